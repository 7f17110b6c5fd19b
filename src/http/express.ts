import type { IncomingMessage } from 'node:http'
import type { Audit } from '../index.ts'
import { bindEvents, createRequestOpener, pathOf, recordError, type RequestOptions } from './base.ts'

export type { Nothing, RequestOptions, TrustProxy } from './base.ts'

declare global {
  // What applications and packages such as passport add to (`req.user`); the same interface as Express's own
  namespace Express {
    interface Request {}
  }
}

/** The request that callbacks see where TypeScript cannot infer Express's own, such as outside of `app.use(...)`. */
export interface ExpressRequest extends IncomingMessage, Express.Request {
  get(name: string): string | undefined
  readonly originalUrl: string
  readonly path: string
  // oxlint-disable-next-line typescript/no-explicit-any -- as Express has it
  body: any
}

/** What is used of a request of Express. */
export interface ExpressRequestLike {
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly socket: { readonly remoteAddress?: string | undefined }
  readonly method?: string | undefined
  readonly url?: string | undefined
}

/** What is used of a response of Express. */
export interface ExpressResponseLike {
  readonly statusCode: number
  readonly headersSent: boolean
  readonly writableFinished: boolean
  once(event: 'finish' | 'close', listener: () => void): unknown
  setHeader(name: string, value: string): unknown
}

/**
 * Middleware for Express 5 and 4 that opens the audit context of each request. Mount it before everything that writes; the
 * actor is asked for at each write, so authentication may come later.
 *
 * Guarantees: each entry carries the actor and the request whose code caused it, under any concurrency, also for work that
 * goes on after the answer; a request never fails or waits because of the audit.
 * Limits: the path of a request is stored, so keep secrets out of it; the query is not. A router mounted at a path with
 * parameters shows in the route by its actual path. Rows changed inside a database function called by SELECT are audited,
 * but do not count as `acted`.
 *
 * @throws AUDIT_HTTP_OPTION for an option that is unknown or has the wrong shape
 * @example
 * app.use(auditMiddleware(audit, {
 *   actor: (req) => req.user && { id: req.user.id, label: req.user.email },
 *   trustProxy: 'loopback',
 * }))
 */
export function auditMiddleware<Request extends ExpressRequestLike = ExpressRequest>(
  audit: Audit,
  options: RequestOptions<Request> = {},
): (req: Request, res: ExpressResponseLike, next: (error?: unknown) => void) => void {
  const open = createRequestOpener(audit, options)
  const { requestIdHeader, echoRequestId } = options
  return (req, res, next) => {
    const request = open(req, {
      header: (name) => headerOf(req, name),
      peer: req.socket.remoteAddress,
      method: req.method ?? '',
      url: urlOf(req),
    })
    bindEvents(req, request.within)
    bindEvents(res, request.within)
    if (echoRequestId) res.setHeader(requestIdHeader || 'x-request-id', request.id)
    const routeOf = watchRoute(req as Routed)
    const end = (): void => {
      const status = res.headersSent ? res.statusCode : undefined
      request.end({ status, route: routeOf(), aborted: !res.writableFinished })
    }
    res.once('finish', end) // some servers without sockets never close
    res.once('close', end)
    request.within(next)
  }
}

/**
 * Error handler for Express 5 and 4 that records what handlers throw as system events ERROR, one a request, and passes
 * every error on. Mount it after the routes and before the handlers that answer errors.
 *
 * Not recorded are errors with a `status` or `statusCode` of 4xx, and those that end in an answer of 4xx. The entry is
 * written when the answer is finished. Without {@link auditMiddleware} in front it has no context and is written at once.
 *
 * @example
 * app.use(auditErrors(audit))
 */
export function auditErrors(
  audit: Audit,
): (error: unknown, req: ExpressRequestLike, res: unknown, next: (error?: unknown) => void) => void {
  return (error, req, _res, next) => {
    recordError(audit, req, error, `${req.method ?? ''} ${pathOf(urlOf(req))}`)
    next(error)
  }
}

function headerOf({ headers }: ExpressRequestLike, name: string): string | undefined {
  const value = headers[name]
  return Array.isArray(value) ? value.join(', ') : value
}

// Routers cut their own path off `url` while they work
function urlOf(req: ExpressRequestLike): string {
  return (req as { originalUrl?: string }).originalUrl ?? req.url ?? ''
}

const template: unique symbol = Symbol('whodunit route')
interface Routed {
  route?: { path?: unknown } | undefined
  baseUrl?: string
  [template]?: () => string | undefined
}

/**
 * Finds the template of the last route that matched. A router that an error leaves takes its prefix back with it, so the
 * prefix is noted when the route is set.
 */
function watchRoute(req: Routed): () => string | undefined {
  if (req[template]) return req[template]
  let { route } = req
  let prefix = ''
  Object.defineProperty(req, 'route', {
    configurable: true,
    enumerable: true,
    get: () => route,
    set(value: typeof route) {
      route = value
      prefix = req.baseUrl ?? ''
    },
  })
  return (req[template] = () => {
    if (!route) return undefined
    const path = [route.path].flat().map(String).join('|')
    return path === '/' && prefix !== '' ? prefix : prefix + path
  })
}
