import { type AuditScope, runInScope } from '../../core/internal.ts'
import type { Audit } from '../../index.ts'
import type { Settings } from './options.ts'

/** A request as plain data. */
export interface RequestData {
  /** A header by its name in lower case. */
  readonly header: (name: string) => string | undefined
  /** The address at the other end of the socket. */
  readonly peer: string | undefined
  readonly method: string
  /** As the client sent it, with the query. */
  readonly url: string
}

/** How a request ended. */
export interface RequestResult {
  /** Absent where the client left before there was one. */
  readonly status?: number | undefined
  /** The template of the route, `/invoices/:id`. */
  readonly route?: string | undefined
  /** Whether the answer was left unfinished. */
  readonly aborted?: boolean
}

/** A request whose context is open. */
export interface OpenRequest {
  readonly id: string
  /** Runs `fn` in the context of the request, whatever context the caller is in. */
  within<T>(fn: () => T): T
  /**
   * Notes an error that the handler threw. The first one is recorded as a system event when the request ends, unless it
   * was answered as the client's mistake (a status of 4xx).
   */
  failed(error: unknown): void
  /** Records the request if it is worth an entry. Only the first call counts. Never throws. */
  end(result: RequestResult): void
}

/** A request in the given scope. The scope is kept, for a request's end may be told in any context. */
export function openRequest(
  audit: Audit,
  scope: AuditScope,
  id: string,
  { method, url }: RequestData,
  { requests, slow }: Settings,
): OpenRequest {
  const within = <T>(fn: () => T): T => runInScope(scope, fn)
  const started = performance.now()
  let thrown: { readonly error: unknown } | undefined
  let result: RequestResult | undefined
  const recordError = (): void => {
    if (!thrown || isClientsMistake(result?.status)) return
    logError(audit, `${method} ${result?.route ?? pathOf(url)}`, thrown.error)
  }
  return {
    id,
    within,
    failed(error) {
      if (thrown) return
      thrown = { error }
      if (result) within(recordError)
    },
    end(given) {
      if (result) return
      result = given
      const { status, route, aborted = false } = given
      const duration = performance.now() - started
      const failed = aborted || (status ?? 0) >= 500 || (thrown !== undefined && !isClientsMistake(status))
      within(() => {
        recordError()
        if (requests === 'none') return
        if (requests === 'acted' && !failed && duration < slow && scope.acted === 0) return
        const entry = {
          duration,
          aborted,
          ...(status === undefined ? {} : { status }),
          ...(route ? { route } : {}),
        }
        audit.logRequest(entry).catch(() => {}) // the queue has told onError
      })
    },
  }
}

/** Records an error that a handler threw. Never throws. */
export function logError(audit: Audit, title: string, error: unknown): void {
  audit.logSystemEvent({ eventType: 'ERROR', title, error }).catch(() => {}) // as above
}

/** Whether a status says that the client, not the server, was wrong. */
export function isClientsMistake(status: unknown): boolean {
  return typeof status === 'number' && status >= 400 && status < 500
}

/** The id that the client or a proxy gave, if it is harmless in every log and every header. */
export function givenRequestId(value: string | undefined): string | undefined {
  return value !== undefined && /^[\w.-]{1,64}$/.test(value) ? value : undefined
}

/** The path alone: a query may hold secrets. */
export function pathOf(url: string): string {
  const path = /^[^?#]*/.exec(url)![0]
  return path.startsWith('/') || !URL.canParse(path) ? path : new URL(path).pathname // a proxy may be sent the whole URL
}
