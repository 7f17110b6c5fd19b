import { hash, randomUUID } from 'node:crypto'
import { type AuditScope, currentScope, runInScope } from '../core/internal.ts'
import type { Audit, ContextInput } from '../index.ts'
import { createAddressReader } from './base/address.ts'
import { checkOptions, type RequestOptions, synchronous } from './base/options.ts'
import {
  givenRequestId,
  isClientsMistake,
  logError,
  type OpenRequest,
  openRequest,
  pathOf,
  type RequestData,
} from './base/request.ts'

export { createAddressReader, type TrustProxy } from './base/address.ts'
export { bindEvents } from './base/events.ts'
export type { Nothing, RequestOptions } from './base/options.ts'
export { givenRequestId, type OpenRequest, pathOf, type RequestData } from './base/request.ts'

// Known across middlewares: one that is mounted twice must not make a second entry, nor a second id. On the request itself,
// for a WeakMap with an entry a request costs the garbage collector more than all the rest
const opened: unique symbol = Symbol('whodunit requests')
interface Marked {
  [opened]?: Map<Audit, OpenRequest>
}

/**
 * The half of a middleware that is the same for all frameworks. Checks the options once; the function it returns opens the
 * context of one request.
 *
 * That context starts afresh: it takes nothing from a context in which the server was started. Whatever the request began
 * carries it, also what goes on after the answer. A request opened a second time for the same audit keeps its id and its
 * one entry; the second options only refine its context.
 *
 * @throws AUDIT_HTTP_OPTION for an option that is unknown or has the wrong shape
 * @example
 * const open = createRequestOpener<Request>(audit, { actor: (req) => users.get(req) })
 * const opened = open(req, { header: (name) => req.headers.get(name) ?? undefined, peer, method: req.method, url: req.url })
 * const res = await opened.within(() => handle(req))
 * opened.end({ status: res.status })
 */
export function createRequestOpener<Request extends object>(
  audit: Audit,
  options: RequestOptions<Request> = {},
): (req: Request, data: RequestData) => OpenRequest {
  const settings = checkOptions(options)
  const addressOf = createAddressReader(options.trustProxy)
  const addressed = options.address ?? audit.policy.addresses ?? true
  const lateContext = lateContextOf(options)

  return (req, data) => {
    const late = lateContext(req)
    const marked: Marked = req
    const around = marked[opened]
    const again = around?.get(audit)
    if (again) {
      const scope = again.within(() => scopeOf(audit, late))
      return { ...again, end: () => {}, within: (fn) => runInScope(scope, fn) }
    }

    const other = around?.values().next().value
    const given = settings.requestIdHeader ? givenRequestId(data.header(settings.requestIdHeader)) : undefined
    const id = other?.id ?? given ?? randomUUID()
    const ip = addressed ? addressOf(data.peer, data.header('x-forwarded-for')) : undefined
    const userAgent = data.header('user-agent')
    const known = {
      id,
      method: data.method,
      path: pathOf(data.url),
      ...(ip ? { ip } : {}),
      ...(userAgent ? { userAgent } : {}),
    }
    const context: ContextInput = {
      ...late,
      request: { ...late.request, ...known },
      origin: 'http',
      detached: !other,
    }
    const requests = isSkipped(options, req) ? 'none' : settings.requests
    const request = openRequest(audit, scopeOf(audit, context), id, data, { ...settings, requests })
    marked[opened] = (around ?? new Map<Audit, OpenRequest>()).set(audit, request)
    return request
  }
}

/**
 * Records an error that reached the framework's error handling: as a system event ERROR, once a request, when the request
 * ends. Not recorded are errors that are the client's mistake: those with a `status` or `statusCode` of 4xx, and those
 * that were answered with one. Never throws.
 */
export function recordError(audit: Audit, req: object, error: unknown, title: string): void {
  const { status, statusCode } = (error ?? {}) as { status?: unknown; statusCode?: unknown }
  if (isClientsMistake(status ?? statusCode)) return
  const request = (req as Marked)[opened]?.get(audit)
  if (request) request.failed(error)
  else logError(audit, title, error)
}

// What becomes known only in the course of the request
function lateContextOf<Request>(options: RequestOptions<Request>): (req: Request) => ContextInput {
  const actor = synchronous('actor', options.actor)
  const tenant = synchronous('tenant', options.tenant)
  const reason = synchronous('reason', options.reason)
  const session = synchronous('session', options.session)
  return (req) => ({
    ...(actor ? { actor: () => actor(req) } : {}),
    ...(tenant ? { tenant: () => toText(tenant(req)) } : {}),
    ...(reason ? { reason: () => reason(req) } : {}),
    ...(session ? { request: { sessionId: () => toHash(session(req)) } } : {}),
  })
}

function scopeOf(audit: Audit, context: ContextInput): AuditScope {
  return audit.withContext(context, () => currentScope()!)
}

function toText(value: unknown): unknown {
  return typeof value === 'number' || typeof value === 'bigint' ? String(value) : value
}

function toHash(sessionId: unknown): string | undefined {
  return typeof sessionId === 'string' && sessionId !== ''
    ? hash('sha256', sessionId, 'hex').slice(0, 16)
    : undefined
}

function isSkipped<Request>({ skip }: RequestOptions<Request>, req: Request): boolean {
  try {
    return skip?.(req) === true
  } catch {
    return false // recorded rather than lost
  }
}
