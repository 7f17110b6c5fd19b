/** What is used of a query of postgres.js. One that nobody awaits is a piece of another, and never sent. */
export interface QueryLike {
  strings: readonly string[]
  args: readonly unknown[]
  handler(query: QueryLike): unknown
  readonly options: { simple?: boolean; prepare?: boolean }
  readonly onlyDescribe?: boolean
  readonly streaming?: boolean
  cursorFn?: unknown
  canceller: ((query: QueryLike) => unknown) | null
  prepared?: boolean
  readonly origin: string
  readonly string?: string
  parameters?: unknown
  readonly tagged: boolean
  readonly statement: { string: string } | null
  /** The process of the server that it was sent to. */
  readonly state: { readonly pid: number } | null
  resolve(result: unknown): void
  reject(error: unknown): void
}

export interface ResultLike {
  readonly command?: string
  readonly count?: number | null
  readonly statement?: { string: string } | null
}

export type MakeQuery = (text: string, args?: readonly unknown[], options?: object) => QueryLike

export function isQuery(value: unknown): value is QueryLike {
  const { handle, handler, strings } = (value ?? {}) as Partial<Record<string, unknown>>
  return typeof handle === 'function' && typeof handler === 'function' && Array.isArray(strings)
}

/** The text of a query with its pieces, as far as one has to know what it does: names and values are placeholders. */
export function textOf({ strings, args }: QueryLike): string {
  let text = strings[0] ?? ''
  for (let n = 1; n < strings.length; n++) text += pieceOf(args[n - 1]) + strings[n]
  return text
}

function pieceOf(value: unknown): string {
  if (isQuery(value)) return textOf(value)
  if (Array.isArray(value) && isQuery(value[0])) return value.map(pieceOf).join(' ')
  return '$1'
}

/** Puts a step between a query's answer and who waits for it: `done` passes it on. */
export function settle(
  query: QueryLike,
  resolved: (result: never, done: (result: unknown) => void) => void,
  rejected: (error: never, done: (error: unknown) => void) => void,
): void {
  // a cursor puts others in their place with each round
  let { resolve, reject } = query
  const atResult = (result: unknown): void => resolved(result as never, (given) => resolve(given))
  const atError = (error: unknown): void => rejected(error as never, (given) => reject(given))
  Object.defineProperties(query, {
    resolve: {
      get: () => atResult,
      set(given) {
        resolve = given
      },
      configurable: true,
    },
    reject: {
      get: () => atError,
      set(given) {
        reject = given
      },
      configurable: true,
    },
  })
}

/** Lets errors of one query name another, as if that had been sent. */
export function speaksFor(ours: QueryLike, theirs: QueryLike): void {
  Object.defineProperties(ours, {
    string: { get: () => theirs.string ?? textOf(theirs), set() {} },
    origin: { get: () => theirs.origin },
  })
}

/**
 * For a query that failed before it was sent, behind one on its way: the client takes the next answers for those to it. So
 * it asks the server for one answer more, as queries with a cursor do.
 */
export function realign(query: QueryLike, error: unknown): void {
  query.cursorFn = () => {}
  query.options.simple = false
  query.reject(error)
}

/** Whether the server said it, and not the client or the network. */
export function isServerError(error: unknown): error is object & { code?: string; routine?: string } {
  return typeof (error as { severity?: unknown } | null)?.severity === 'string'
}

/** Rows that a query changed. */
export function rowsChanged(result: unknown): number {
  const results = (
    Array.isArray(result) && (result as ResultLike).command === undefined ? result : [result]
  ) as (ResultLike | null | undefined)[]
  return results.reduce((sum, one) => sum + (changing.has(one?.command ?? '') ? (one?.count ?? 0) : 0), 0)
}

const changing = new Set(['INSERT', 'UPDATE', 'DELETE', 'MERGE', 'COPY'])

const seen = new WeakSet<object>()

/**
 * The client takes down where a template stands in the code, four calls deep, once for each. One of these calls is now
 * `wrapper`, which would push out the one that matters.
 */
export function keepOrigin(query: QueryLike, wrapper: object): void {
  if (!query.tagged || seen.has(query.strings)) return
  seen.add(query.strings)
  const key = Object.getOwnPropertySymbols(query).find(({ description }) => description === 'OriginError')
  const error = key && (query as never as Record<symbol, unknown>)[key]
  if (!(error instanceof Error)) return
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 4
  Error.captureStackTrace(error, wrapper as () => void)
  Error.stackTraceLimit = limit
}
