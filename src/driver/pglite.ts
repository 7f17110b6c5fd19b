import { AsyncLocalStorage } from 'node:async_hooks'
import { AuditError, type AuditScope, currentScope } from '../core/internal.ts'
import type { RunSql, Session } from '../dialect/dialect.ts'
import type { Driver } from './driver.ts'
import { createListeners, type NoticeListener } from './base/listeners.ts'
import {
  forgetsContext,
  inTransactionAfter,
  shiftBack,
  statementKind,
  withContext,
} from './base/statement.ts'

/** What is used of a transaction of PGlite. */
export interface PgliteTransactionLike {
  query(
    sql: string,
    parameters?: unknown[],
    options?: object,
  ): Promise<{ rows: unknown[]; affectedRows?: number }>
  exec(sql: string, options?: object): Promise<{ rows: unknown[]; affectedRows?: number }[]>
}

/** What is used of a PGlite. */
export interface PgliteLike extends PgliteTransactionLike {
  // `never`: the function given takes a transaction of PGlite's own, of which this names only a part
  transaction(fn: never): Promise<unknown>
}

const setLocal = `select set_config('whodunit.context', $1, true)`
const setSession = `select set_config('whodunit.context', $1, false)`
/** Open while the calling code is inside a transaction of PGlite, which has one connection only. */
const openTransaction = new AsyncLocalStorage<true>()

/** A driver for PGlite. The original stays as it is; `client` is a view of it that carries the context. */
export function pgliteDriver<T extends PgliteLike>(original: T): Driver<T, PgliteTransactionLike> {
  if (
    typeof original?.query !== 'function' ||
    typeof original.exec !== 'function' ||
    typeof original.transaction !== 'function'
  ) {
    throw new AuditError('AUDIT_CLIENT_UNKNOWN', 'fromPglite() got no PGlite.', 'Pass new PGlite(...).')
  }
  const listeners = createListeners()
  const ends: (() => void)[] = []
  const client = wrap(original, listeners.tell)
  const session = ownSession(original)
  return {
    client,
    writing: session,
    reading: session,
    asApplication: async (sql, parameters = []) => (await client.query(sql, [...parameters])).rows as never,
    in:
      (transaction) =>
      async (sql, parameters = []) =>
        (await transaction.query(sql, [...parameters])).rows as never,
    wouldDeadlock: () => openTransaction.getStore() === true,
    onNotice: (listener) => ends.push(listeners.add(listener)),
    close: async () => {
      for (const end of ends.splice(0)) end()
    },
  }
}

function ownSession(original: PgliteLike): Session {
  const run: RunSql = async (sql, parameters = []) =>
    (await original.query(sql, [...parameters])).rows as never
  return {
    run,
    connection: (fn) => fn(run),
    transaction: (fn) =>
      begin(original, async (transaction) =>
        fn(async (sql, parameters = []) => (await transaction.query(sql, [...parameters])).rows as never),
      ),
  }
}

function begin<R>(original: PgliteLike, fn: (transaction: Target) => Promise<R>): Promise<R> {
  return original.transaction(fn as never) as Promise<R>
}

function wrap<T extends PgliteLike>(original: T, hear: NoticeListener): T {
  const line = createLine()
  // of a transaction that the application began by a statement of its own
  let begun: OpenTransaction | undefined
  const run: Run = (sql, list, on) =>
    line.add(sql, async (context) => {
      try {
        if (begun) return await runInside(original, begun, context, sql, list, on)
        const kind = context === '' ? 'none' : statementKind(sql, list)
        if (kind === 'none') return await on(original, sql)
        if (kind === 'apart') return await runApart(original, context, sql, on)
        if (list) return (await runText(original, context, false, sql, on)).result
        // A lone statement gets a transaction of its own, so that the context is local to it
        return await begin(original, async (transaction) => {
          await transaction.query(setLocal, [context])
          return on(transaction, sql)
        })
      } finally {
        begun = inTransactionAfter(sql, begun !== undefined)
          ? (begun ?? { known: undefined, used: true })
          : undefined
      }
    })
  return view(original, {
    ...statements(run, hear),
    transaction: async <R>(fn: (transaction: never) => Promise<R>): Promise<R> => {
      await line.idle() // nothing may come between a session's context and the statement it is for
      return begin(original, (transaction) =>
        openTransaction.run(true, () => fn(wrapTransaction(transaction, hear) as never)),
      )
    },
  })
}

function wrapTransaction(original: PgliteTransactionLike, hear: NoticeListener): PgliteTransactionLike {
  const line = createLine()
  const open: OpenTransaction = { known: '', used: false }
  return view(
    original,
    statements(
      (sql, list, on) => line.add(sql, (context) => runInside(original, open, context, sql, list, on)),
      hear,
    ),
  )
}

type Target = PgliteTransactionLike & {
  sql?(strings: TemplateStringsArray, ...values: unknown[]): Promise<never>
}
type Send<R> = (target: Target, sql: string) => Promise<R>
type Run = <R extends object>(sql: string, list: boolean, on: Send<R>) => Promise<R>

interface Options {
  onNotice?: NoticeListener
}

/** The ways to run statements that a PGlite and its transactions share. */
function statements(run: Run, hear: NoticeListener): Readonly<Record<string, unknown>> {
  const hearing = async <R>(
    given: Options | undefined,
    send: (options: Options) => Promise<R>,
  ): Promise<R> => {
    const onNotice: NoticeListener = (notice) => {
      hear(notice)
      given?.onNotice?.(notice)
    }
    try {
      return await send({ ...given, onNotice })
    } catch (error) {
      // PGlite shows the options in its errors: those that were given
      if (Object.hasOwn(error as object, 'queryOptions'))
        Object.assign(error as object, { queryOptions: given })
      throw error
    }
  }
  return {
    query: (sql: string, parameters?: unknown[], given?: Options) =>
      run(sql, false, (on) => hearing(given, (options) => on.query(sql, parameters, options))),
    exec: (sql: string, given?: Options) =>
      run(sql, true, (on, text) => hearing(given, (options) => on.exec(text, options))),
    // PGlite puts the pieces together itself: they may be names, or pieces of other templates
    sql: (strings: TemplateStringsArray, ...values: unknown[]) =>
      run(strings.join('$1'), false, (on) => on.sql!(strings, ...values)),
  }
}

/** Statements one after another, so that no other comes between one and its context, which is taken where it is called. */
function createLine() {
  let last: Promise<unknown> = Promise.resolve()
  return {
    async add<R extends object>(sql: string, run: (context: string) => Promise<R>): Promise<R> {
      const scope = currentScope()
      const context = scope?.text() ?? ''
      const turn = last.then(() => run(context))
      last = turn.catch(() => {})
      const result = await turn
      note(scope, sql, result)
      return result
    },
    idle: () => last,
  }
}

/** What is known of an open transaction: its context, where certain, and whether it was ever given one. */
interface OpenTransaction {
  known: string | undefined
  used: boolean
}

async function runInside<R extends object>(
  target: Target,
  open: OpenTransaction,
  context: string,
  sql: string,
  list: boolean,
  on: Send<R>,
): Promise<R> {
  if (context === '' && !open.used) return on(target, sql)
  open.used = true
  if (list) {
    const holds = open.known === context
    open.known = undefined // in case it fails half way
    const done = await runText(target, context, holds, sql, on)
    if (done.holds) open.known = context
    return done.result
  }
  if (open.known !== context && statementKind(sql, false) !== 'none') {
    await target.query(setLocal, [context])
    open.known = context
  }
  if (forgetsContext(sql)) open.known = undefined
  return on(target, sql)
}

/** Sets the context in the text itself, and takes the answers to that out again. */
async function runText<R extends object>(
  target: Target,
  context: string,
  holds: boolean,
  sql: string,
  on: Send<R>,
): Promise<{ result: R; holds: boolean }> {
  const sent = withContext(sql, context, holds)
  try {
    const results = await on(target, sent.text)
    const theirs = (results as unknown as { command?: string }[]).filter(
      ({ command }) => !(command === 'SET' && sent.sets.shift()),
    )
    return { result: theirs as unknown as R, holds: sent.holds }
  } catch (error) {
    const { query } = error as { query?: unknown }
    shiftBack(error as object, sent)
    if (query === sent.text) (error as { query?: unknown }).query = sql
    throw error
  }
}

/** For CALL and DO, which may end transactions themselves: the session is given the context, and cleared again. */
async function runApart<R>(target: Target, context: string, sql: string, on: Send<R>): Promise<R> {
  await target.query(setSession, [context])
  try {
    return await on(target, sql)
  } finally {
    await target.query(setSession, [''])
  }
}

/** `object` with some members replaced; the rest is its own, private members included. */
function view<T extends object>(object: T, replaced: Readonly<Record<string, unknown>>): T {
  return new Proxy(object, {
    get(target, key) {
      if (typeof key === 'string' && Object.hasOwn(replaced, key)) return replaced[key]
      const value: unknown = Reflect.get(target, key, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

function note(scope: AuditScope | undefined, sql: string, result: object): void {
  if (!/\b(insert|update|delete|merge|copy)\b/i.test(sql)) return
  const results = (Array.isArray(result) ? result : [result]) as { affectedRows?: number }[]
  scope?.note(results.reduce((sum, { affectedRows = 0 }) => sum + affectedRows, 0))
}
