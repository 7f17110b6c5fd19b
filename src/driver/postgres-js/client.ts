import { readFile } from 'node:fs'
import { forgetsContext, inTransactionAfter, setContext, statementKind } from '../base/statement.ts'
import { take, type Taken } from '../base/taken.ts'
import { inSession, ownTransaction, sendAlone } from './alone.ts'
import {
  isQuery,
  isServerError,
  keepOrigin,
  type MakeQuery,
  type QueryLike,
  realign,
  rowsChanged,
  settle,
  textOf,
} from './query.ts'
import { setInText } from './text.ts'

/*
 * How the context travels through postgres.js. Each query knows by which handler it is sent, when somebody waits for it.
 * That handler is replaced where the query is made, and the context taken there. A query that becomes a piece of another
 * is never sent, so nothing happens to it.
 */

export type Mode = 'begin' | 'pipeline'

export interface SqlLike {
  (first: never, ...rest: never[]): unknown
  unsafe: MakeQuery
  begin?(...given: unknown[]): Promise<unknown>
  reserve?(): Promise<SqlLike>
  savepoint?(...given: unknown[]): Promise<unknown>
  readonly options?: { readonly max?: number }
}

/** What is known of the session behind a `sql`. */
interface State {
  /** Whether a transaction is open. */
  open: boolean
  /** The context of the open transaction; `undefined` where it is not certain. */
  known: string | undefined
  /** Whether the open transaction was ever given a context. */
  used: boolean
  /** Savepoints that are being rolled back, to a context of before. */
  returning: number
}

/** One `sql`: of the pool, of a reserved connection, or of a transaction. */
interface Place {
  readonly make: MakeQuery
  readonly mode: Mode
  readonly address: { direct: boolean | undefined }
  /** Absent where each statement may get another connection. */
  readonly state?: State
  /** Whether transactions begin and end by statements of the application. */
  readonly byHand: boolean
}

/** A view of `sql` whose statements carry the context of the code that made them. */
export function carryingView<T extends SqlLike>(sql: T, mode: Mode): T {
  if (views.has(sql)) return sql
  const byHand = sql.options?.max === 1
  const place = { make: sql.unsafe, mode, address: { direct: undefined }, byHand }
  const carrying = view(sql, byHand ? { ...place, state: newState(false) } : place)
  views.add(carrying)
  return carrying
}

const views = new WeakSet<object>()

const newState = (open: boolean): State => ({ open, known: '', used: false, returning: 0 })

function view<T extends SqlLike>(sql: T, place: Place): T {
  const replaced: Record<string, unknown> = {
    unsafe: (...given: Parameters<MakeQuery>) => carry(sql.unsafe(...given), place),
    file: (path: string, args?: unknown, options?: object) => fileQuery(sql, place, path, args, options),
    begin: (...given: unknown[]) =>
      sql.begin!(
        ...given.slice(0, -1),
        inside(given.at(-1), (tx) =>
          view(tx, { ...place, make: tx.unsafe, state: newState(true), byHand: false }),
        ),
      ),
    reserve: async () => {
      const reserved = await sql.reserve!()
      return view(reserved, { ...place, make: reserved.unsafe, state: newState(false), byHand: true })
    },
    savepoint: (...given: unknown[]) => savepoint(sql, place, given),
  }
  const apply = (target: T, self: unknown, given: unknown[]): unknown => {
    const value: unknown = Reflect.apply(target as never, self, given)
    if (!isQuery(value)) return value
    keepOrigin(value, apply)
    return carry(value, place)
  }
  return new Proxy(sql, {
    apply,
    get: (target, key) =>
      typeof key === 'string' && Object.hasOwn(replaced, key) && key in target
        ? replaced[key]
        : Reflect.get(target, key, target),
  })
}

type Work = (sql: SqlLike) => unknown

function inside(fn: unknown, of: (sql: SqlLike) => SqlLike): unknown {
  return typeof fn === 'function' ? (sql: SqlLike) => (fn as Work)(of(sql)) : fn
}

/** What is set inside may go with the savepoint, at a moment that only the client knows. */
async function savepoint(sql: SqlLike, place: Place, given: unknown[]): Promise<unknown> {
  const state = place.state!
  if (Array.isArray((given[0] as { raw?: unknown } | undefined)?.raw)) {
    return savepoint(sql, place, [(inner: SqlLike) => Reflect.apply(inner as never, undefined, given)])
  }
  const work = inside(given.at(-1), (inner) => view(inner, { ...place, make: inner.unsafe })) as Work
  let leaving = false
  const leave = (): void => {
    if (!leaving) state.returning++
    leaving = true
  }
  const watched = async (inner: SqlLike): Promise<unknown> => {
    try {
      const result = work(inner)
      return Array.isArray(result) ? await Promise.all(result) : await result
    } finally {
      leave()
    }
  }
  try {
    return await sql.savepoint!(...given.slice(0, -1), watched)
  } catch (error) {
    state.known = undefined
    throw error
  } finally {
    if (leaving) state.returning--
  }
}

/** As the client's own, but the text passes here before it is sent. */
function fileQuery(sql: SqlLike, place: Place, path: string, args: unknown, options?: object): QueryLike {
  const [list, more] = Array.isArray(args) ? [args, options] : [[], args ?? options]
  const query = carry(
    sql.unsafe('', list, { prepare: true, simple: list.length === 0, ...(more as object) }),
    place,
  )
  const sendText = query.handler
  query.handler = () => {
    readFile(path, 'utf8', (error, text) => {
      if (error) return query.reject(error)
      query.strings = [text]
      sendText(query)
    })
  }
  return query
}

/** Gives a query the context of the calling code, for when it is sent. */
function carry(query: QueryLike, place: Place): QueryLike {
  const taken = take()
  const { handler } = query
  query.handler = () => send(query, taken, handler, place)
  return query
}

function send(
  query: QueryLike,
  { scope, context }: Taken,
  handler: QueryLike['handler'],
  place: Place,
): void {
  const { state } = place
  if (query.onlyDescribe || (context === '' && !state)) return void handler(query)
  const text = textOf(query)
  if (scope) {
    settle(
      query,
      (result, done) => {
        scope.note(rowsChanged(result))
        done(result)
      },
      (error, done) => done(error),
    )
  }
  if (state?.open) sendInside(query, text, context, handler, place, state)
  else sendOutside(query, text, context, handler, place)
  if (state && place.byHand) follow(query, text, state)
}

function sendOutside(
  query: QueryLike,
  text: string,
  context: string,
  handler: QueryLike['handler'],
  { make, mode, address, state }: Place,
): void {
  const list = query.options.simple === true
  const kind = context === '' ? 'none' : statementKind(text, list)
  if (kind === 'none') return void handler(query)
  const holds = kind === 'plain' && list ? setInText(query, text, context, false) : undefined
  if (holds !== undefined) {
    handler(query)
    if (state && inTransactionAfter(text, false)) {
      Object.assign(state, { known: holds ? context : undefined, used: true })
    }
    return
  }
  const [apart, ask] = [kind === 'apart', kind === 'apart' || mode === 'pipeline']
  const way = (direct: boolean) =>
    ask && direct ? inSession(context) : apart ? undefined : ownTransaction(context)
  sendAlone(query, { make, handler, address, way, ask })
}

function sendInside(
  query: QueryLike,
  text: string,
  context: string,
  handler: QueryLike['handler'],
  { make }: Place,
  state: State,
): void {
  if (context === '' && !state.used) return void handler(query)
  state.used = true
  const list = query.options.simple === true
  const holds = state.known === context && state.returning === 0
  const held = list ? setInText(query, text, context, holds) : undefined
  if (held !== undefined) {
    state.known = held ? context : undefined
    return void handler(query)
  }
  const set = !holds && statementKind(text, list) !== 'none'
  if (set) state.known = context
  if (forgetsContext(text)) state.known = undefined
  if (!set) return void handler(query)
  const setter = (): QueryLike => make(setContext(context, 'local'))
  let sending = false
  let unbuilt = false
  const first = setter()
  settle(
    first,
    () => {},
    (error) => {
      if (!sending || isServerError(error)) return
      unbuilt = true
      realign(query, error)
    },
  )
  handler(first)
  sending = true
  handler(query)
  sending = false
  if (unbuilt) handler(setter()) // whose answers are taken for the query's
}

/** Takes note of transactions that the application begins and ends itself, on a connection of its own. */
function follow(query: QueryLike, text: string, state: State): void {
  const before = state.open
  const after = inTransactionAfter(text, before)
  const closed = { open: false, known: '', used: false }
  if (after) state.open = true
  else Object.assign(state, closed)
  settle(
    query,
    (result, done) => done(result),
    (error, done) => {
      // a text that failed began nothing that lasts; a connection that is lost has nothing open
      if (before !== after || !isServerError(error)) Object.assign(state, closed)
      done(error)
    },
  )
}
