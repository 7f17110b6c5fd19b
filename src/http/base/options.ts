import { isPromise } from 'node:util/types'
import { suggest } from '../../core/internal.ts'
import { type ActorInput, AuditError } from '../../index.ts'
import type { TrustProxy } from './address.ts'

/** What a callback may answer where it knows nothing: `req.user && { ... }` is meant to work. */
export type Nothing = false | 0 | '' | null | undefined

/**
 * The options of every framework's middleware; `Request` is the framework's own.
 *
 * `actor`, `tenant`, `reason` and `session` are asked at each write, so what becomes known later in the request still
 * counts. They must be synchronous and should only look into the request. One that throws leaves its part unknown for
 * that write; one that returns a promise is not asked again, and the process warns once.
 */
export interface RequestOptions<Request> {
  /** Who sends the request. */
  readonly actor?: (req: Request) => ActorInput | Nothing
  readonly tenant?: (req: Request) => string | number | bigint | Nothing
  /** Why: a ticket, a header such as `x-reason`. */
  readonly reason?: (req: Request) => string | Nothing
  /** The session's id. Kept are only the first 16 hex digits of its SHA-256. */
  readonly session?: (req: Request) => string | Nothing
  /** Which proxies are believed about the client's address. @default false, nobody */
  readonly trustProxy?: TrustProxy
  /** Whether the client's address is stored. @default true, or what the policy's `addresses` says */
  readonly address?: boolean
  /**
   * The header with the request's id, `false` for none. Taken are only 1 to 64 letters, digits, `_`, `.` and `-`;
   * otherwise a random UUID is made. @default 'x-request-id'
   */
  readonly requestIdHeader?: string | false
  /** Whether the answer carries the request's id, in the same header. @default false */
  readonly echoRequestId?: boolean
  /**
   * Which requests leave an entry of their own: those that `acted` (changed rows or logged something), failed, were
   * aborted or slow; `all`; `none`. @default 'acted'
   */
  readonly requests?: 'acted' | 'all' | 'none'
  /** Milliseconds from which a request is slow; `Infinity` for never. @default 1000 */
  readonly slow?: number
  /** Requests that leave no entry of their own. What they change is recorded all the same, with their context. */
  readonly skip?: (req: Request) => boolean
}

/** The options that are data, with their defaults. */
export interface Settings {
  readonly requestIdHeader: string | false
  readonly requests: 'acted' | 'all' | 'none'
  readonly slow: number
}

const callbacks = ['actor', 'tenant', 'reason', 'session', 'skip']
const flags = ['address', 'echoRequestId']
const known = [...callbacks, ...flags, 'trustProxy', 'requestIdHeader', 'requests', 'slow']

/** Checks the options. @throws AUDIT_HTTP_OPTION: a misspelt `actor` would leave every entry without one */
export function checkOptions(options: object): Settings {
  for (const [name, value] of Object.entries(options)) {
    if (!known.includes(name)) throw invalid(`There is no option "${name}".`, suggest(name, known))
    if (value === undefined) continue
    const type = callbacks.includes(name) ? 'function' : flags.includes(name) ? 'boolean' : undefined
    if (type && typeof value !== type) throw invalid(`"${name}" is ${show(value)}.`, `Give a ${type}.`)
  }
  const {
    requestIdHeader = 'x-request-id',
    requests = 'acted',
    slow = 1_000,
  } = options as RequestOptions<unknown>
  if (
    requestIdHeader !== false &&
    !(typeof requestIdHeader === 'string' && /^[\w-]+$/.test(requestIdHeader))
  ) {
    throw invalid(`"requestIdHeader" is ${show(requestIdHeader)}.`, 'Give the name of a header, or false.')
  }
  if (!['acted', 'all', 'none'].includes(requests)) {
    throw invalid(`"requests" is ${show(requests)}.`, "Give 'acted', 'all' or 'none'.")
  }
  if (typeof slow !== 'number' || !(slow >= 0))
    throw invalid(`"slow" is ${show(slow)}.`, 'Give milliseconds.')
  return { requestIdHeader: requestIdHeader && requestIdHeader.toLowerCase(), requests, slow }
}

/**
 * A callback of the application's, made safe to be asked at each write. A promise is no answer: the write cannot wait.
 * After one, the callback is not asked again, for what it starts may itself write, and so ask again without end.
 */
export function synchronous<Request>(
  name: string,
  callback: ((req: Request) => unknown) | undefined,
): ((req: Request) => unknown) | undefined {
  if (!callback) return undefined
  let asking = false
  let unfit = false
  return (req) => {
    if (asking || unfit) return undefined
    asking = true
    try {
      const answer = callback(req)
      if (typeof (answer as { then?: unknown } | null | undefined)?.then !== 'function') return answer
      unfit = true
      if (isPromise(answer)) answer.catch(() => {}) // its rejection must not end the process
      process.emitWarning(
        `The callback "${name}" returned a promise, so the ${name} stays unknown: it must be synchronous.`,
        'AuditWarning',
      )
      return undefined
    } finally {
      asking = false
    }
  }
}

function invalid(message: string, hint: string): AuditError {
  return new AuditError('AUDIT_HTTP_OPTION', message, hint)
}

function show(value: unknown): string {
  return JSON.stringify(value) ?? String(value)
}
