import { AsyncLocalStorage } from 'node:async_hooks'
import { AuditError, type AuditScope, currentScope } from '../core/internal.ts'
import type { Driver, Session } from './driver.ts'
import { forgetsContext, statementKind } from './statement.ts'

/** What is used of a transaction of PGlite. */
export interface PgliteTransactionLike {
  query(sql: string, parameters?: unknown[], options?: object): Promise<{ rows: unknown[]; affectedRows?: number }>
  exec(sql: string, options?: object): Promise<{ rows: unknown[]; affectedRows?: number }[]>
}

/** What is used of a PGlite. */
export interface PgliteLike extends PgliteTransactionLike {
  transaction<T>(fn: (transaction: never) => Promise<T>): Promise<T>
}

const setter = `select set_config('whodunit.context', $1, true)`
/** Open while the calling code is inside a transaction of PGlite, which has one connection only. */
const openTransaction = new AsyncLocalStorage<true>()

/** A driver for PGlite. The original stays as it is; `client` is a view of it that carries the context. */
export function pgliteDriver<T extends PgliteLike>(original: T): Driver<T, PgliteTransactionLike> {
  if (typeof original?.query !== 'function' || typeof original.exec !== 'function' || typeof original.transaction !== 'function') {
    throw new AuditError('AUDIT_CLIENT_UNKNOWN', 'fromPglite() got no PGlite.', 'Pass new PGlite(...).')
  }
  const client = wrap(original)
  const session = ownSession(original)
  return {
    client,
    writing: session,
    reading: session,
    asApplication: async (sql, parameters = []) => (await client.query(sql, [...parameters])).rows as never,
    in: (transaction) => async (sql, parameters = []) => (await transaction.query(sql, [...parameters])).rows as never,
    wouldDeadlock: () => openTransaction.getStore() === true,
    close: async () => {},
  }
}

function ownSession(original: PgliteLike): Session {
  return {
    run: async (sql, parameters = []) => (await original.query(sql, [...parameters])).rows as never,
    transaction: (fn) =>
      original.transaction(async (transaction: PgliteTransactionLike) =>
        fn(async (sql, parameters = []) => (await transaction.query(sql, [...parameters])).rows as never),
      ),
  }
}

function wrap<T extends PgliteLike>(original: T): T {
  // A lone statement gets a transaction of its own, so that the context is local to it
  const alone = async <R extends { affectedRows?: number }[] | { affectedRows?: number }>(
    sql: string,
    list: boolean,
    run: (on: PgliteTransactionLike) => Promise<R>,
  ): Promise<R> => {
    const scope = currentScope()
    const text = scope?.text() ?? ''
    if (text === '' || statementKind(sql, list) !== 'plain') return run(original)
    const result = await original.transaction(async (transaction: PgliteTransactionLike) => {
      await transaction.query(setter, [text])
      return run(transaction)
    })
    note(scope, sql, result)
    return result
  }
  const own = {
    query: (sql: string, parameters?: unknown[], options?: object) => alone(sql, false, (on) => on.query(sql, parameters, options)),
    exec: (sql: string, options?: object) => alone(sql, true, (on) => on.exec(sql, options)),
    sql: (strings: TemplateStringsArray, ...values: unknown[]) => own.query(...joined(strings, values)),
    transaction: <R>(fn: (transaction: never) => Promise<R>): Promise<R> =>
      original.transaction((transaction: never) =>
        openTransaction.run(true, () => fn(wrapTransaction(transaction as PgliteTransactionLike) as never)),
      ),
  }
  return view(original, own)
}

function wrapTransaction(original: PgliteTransactionLike): PgliteTransactionLike {
  let known: string | undefined = ''
  const carry = async <R extends object>(sql: string, list: boolean, run: () => Promise<R>): Promise<R> => {
    const scope = currentScope()
    const text = scope?.text() ?? ''
    if (known !== text && statementKind(sql, list) !== 'none') {
      await original.query(setter, [text])
      known = text
    }
    const result = await run()
    if (forgetsContext(sql.trimStart())) known = undefined
    note(scope, sql, result)
    return result
  }
  const own = {
    query: (sql: string, parameters?: unknown[], options?: object) => carry(sql, false, () => original.query(sql, parameters, options)),
    exec: (sql: string, options?: object) => carry(sql, true, () => original.exec(sql, options)),
    sql: (strings: TemplateStringsArray, ...values: unknown[]) => own.query(...joined(strings, values)),
  }
  return view(original, own)
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

function joined(strings: TemplateStringsArray, values: readonly unknown[]): [string, unknown[]] {
  return [strings.reduce((text, part, index) => `${text}$${index}${part}`), [...values]]
}

function note(scope: AuditScope | undefined, sql: string, result: object): void {
  if (!/\b(insert|update|delete|merge|copy)\b/i.test(sql)) return
  const results = (Array.isArray(result) ? result : [result]) as { affectedRows?: number }[]
  scope?.note(results.reduce((sum, { affectedRows = 0 }) => sum + affectedRows, 0))
}
