import { AsyncLocalStorage } from 'node:async_hooks'
import { AuditError, currentScope } from '../core/internal.ts'
import type { SqlRow } from '../dialect/dialect.ts'
import { emptyRow, fillRow, isMissing, partsOf } from './base/sqlite/carrier.ts'
import { toSqlite, Waiting } from './base/sqlite/connection.ts'
import { scriptWithContext } from './base/sqlite/script.ts'
import { createLibraryTransaction, createSession, type LibraryTransaction } from './base/sqlite/session.ts'
import { statementKind } from './base/sqlite/statement.ts'
import type { Driver } from './driver.ts'

type Statement = string | { readonly sql: string; readonly args?: unknown }
type Listed = Statement | readonly [sql: string, args?: unknown]
interface Result {
  readonly rows: readonly unknown[]
  readonly rowsAffected: number
}

/** What is used of a transaction of libsql. */
export interface LibsqlTransactionLike {
  execute(statement: never): Promise<unknown>
  commit(): Promise<void>
  rollback(): Promise<void>
}

/** What is used of a client of libsql. */
export interface LibsqlLike {
  readonly protocol: string
  execute(statement: never): Promise<unknown>
  batch(statements: never, mode?: never): Promise<unknown>
  transaction(mode?: never): Promise<LibsqlTransactionLike>
  executeMultiple(sql: string): Promise<void>
}

interface Transaction extends LibsqlTransactionLike {
  execute(statement: Statement, args?: unknown): Promise<Result>
  batch(statements: readonly Listed[]): Promise<Result[]>
  executeMultiple(sql: string): Promise<void>
  close(): void
}

interface Client extends LibsqlLike {
  execute(statement: Statement, args?: unknown): Promise<Result>
  batch(statements: readonly Listed[], mode?: string): Promise<Result[]>
  migrate(statements: readonly Statement[]): Promise<Result[]>
  transaction(mode?: string): Promise<Transaction>
}

/** Of the flow of calls that began a transaction. */
const begun = new AsyncLocalStorage<{ open: boolean }>()

/** Of each client, whoever wraps it. */
const libraries = new WeakMap<object, LibraryTransaction>()

/** A driver for local files of `@libsql/client`. The original stays as it is; `client` is a view that carries the context. */
export function libsqlDriver<T extends LibsqlLike>(original: T): Driver<T, LibsqlTransactionLike> {
  const own = checked(original)
  const library = libraries.get(own) ?? createLibraryTransaction()
  libraries.set(own, library)
  const client = wrap(own, library)
  const run = async (sql: string, parameters?: readonly unknown[]): Promise<readonly SqlRow[]> =>
    rowsOf(await own.execute({ sql, args: toSqlite(parameters) }))
  const session = createSession(
    {
      run,
      runOutside: run,
      async begin() {
        if (library.open) throw new Waiting()
        const transaction = await own.transaction('write')
        return {
          run: async (sql, parameters) =>
            rowsOf(await transaction.execute({ sql, args: toSqlite(parameters) })),
          commit: () => transaction.commit(),
          rollback: () => transaction.close(),
        }
      },
    },
    library,
  )
  return {
    client: client as unknown as T,
    writing: session,
    reading: session,
    asApplication: async (sql, parameters) =>
      rowsOf(await client.execute({ sql, args: toSqlite(parameters) })),
    in: (transaction) => {
      if (typeof transaction?.execute !== 'function' || typeof transaction.commit !== 'function') {
        throw new AuditError(
          'AUDIT_CLIENT_UNKNOWN',
          'audit.in() got no transaction of @libsql/client.',
          'Pass what client.transaction() answered.',
        )
      }
      return async (sql, parameters) =>
        rowsOf(await (transaction as Transaction).execute({ sql, args: toSqlite(parameters) }))
    },
    wouldDeadlock: () => begun.getStore()?.open === true,
    close: async () => {},
  }
}

function checked(client: LibsqlLike): Client {
  const { execute, batch, transaction, executeMultiple, protocol } = (client ?? {}) as Partial<LibsqlLike>
  const methods = [execute, batch, transaction, executeMultiple]
  if (methods.some((method) => typeof method !== 'function')) {
    throw new AuditError(
      'AUDIT_CLIENT_UNKNOWN',
      'fromLibsql() got no client of @libsql/client.',
      `Pass createClient({ url: 'file:...' }).`,
    )
  }
  if (protocol === 'file') return client as Client
  throw new AuditError(
    'AUDIT_DATABASE_UNSUPPORTED',
    `fromLibsql() got a client of protocol "${protocol}": a remote database is not supported yet.`,
    `Pass createClient({ url: 'file:...' }).`,
  )
}

const fill = (text: string): { sql: string; args: unknown[] } => ({
  sql: fillRow,
  args: [...partsOf(text), null],
})

/** The methods that run statements. A context goes with them in one call, which nothing can come between. */
function wrap(original: Client, library: LibraryTransaction): Client {
  const around = async (
    statements: readonly Listed[],
    run: (all: readonly Listed[]) => Promise<Result[]>,
  ): Promise<Result[]> => {
    library.giveWay()
    const scope = currentScope()
    const text = scope?.text() ?? ''
    if (!statements.some(writes)) return run(statements)
    try {
      const results = (await run([fill(text), ...statements, emptyRow])).slice(1, -1)
      scope?.note(results.reduce((sum, result) => sum + changed(result), 0))
      return results
    } catch (error) {
      const failed = error as { statementIndex?: number }
      if (failed.statementIndex === 0 && isMissing(error)) return run(statements)
      if (failed.statementIndex !== undefined) failed.statementIndex -= 1
      throw error
    }
  }
  return view(original, {
    async execute(statement: Statement, args?: unknown): Promise<Result> {
      const given = typeof statement === 'string' ? { sql: statement, args: args ?? [] } : statement
      if (!writes(given)) {
        if (statementKind(given.sql) !== 'read') library.giveWay()
        return original.execute(given)
      }
      try {
        return (await around([given], (all) => original.batch(all, 'write')))[0]!
      } catch (error) {
        throw asOfOne(error)
      }
    },
    batch: (statements: readonly Listed[], mode?: string) =>
      mode === 'read'
        ? original.batch(statements, mode)
        : around(statements, (all) => (mode === undefined ? original.batch(all) : original.batch(all, mode))),
    migrate: (statements: readonly Statement[]) =>
      around(statements, (all) => original.migrate(all as readonly Statement[])),
    async executeMultiple(sql: string): Promise<void> {
      library.giveWay()
      const scope = currentScope()
      // what stands before a failed statement would be done twice
      const { rows } = await original.execute(`select 1 from sqlite_master where name = 'whodunit_context'`)
      await original.executeMultiple(rows.length > 0 ? scriptWithContext(sql, scope?.text() ?? '') : sql)
      scope?.note(1)
    },
    transaction(mode?: string): Promise<Transaction> {
      library.giveWay()
      const state = { open: true }
      if (mode !== 'read') begun.enterWith(state)
      return begin(original, mode, state)
    },
  })
}

async function begin(
  original: Client,
  mode: string | undefined,
  state: { open: boolean },
): Promise<Transaction> {
  try {
    return wrapTransaction(await original.transaction(mode), state, mode === 'read')
  } catch (error) {
    state.open = false
    throw error
  }
}

function wrapTransaction(original: Transaction, state: { open: boolean }, reads: boolean): Transaction {
  /** What is in the row, where that is certain. */
  let known: string | undefined
  let filled = false
  /** Runs at once, in the same turn as what follows it. */
  const fillFor = (sqls: readonly string[]): Promise<unknown> => {
    const text = currentScope()?.text() ?? ''
    if (reads || known === text || !sqls.some(writes)) return Promise.resolve()
    known = text
    filled = true
    return original.execute(fill(text)).catch((error: unknown) => {
      known = undefined
      if (!isMissing(error)) throw error
    })
  }
  const noted = async <R>(
    filling: Promise<unknown>,
    work: Promise<R>,
    count: (result: R) => number,
  ): Promise<R> => {
    const scope = currentScope()
    const [, result] = await Promise.all([filling, work])
    scope?.note(count(result))
    return result
  }
  const ended = async <R>(work: Promise<R>): Promise<R> => work.finally(() => (state.open = false))
  return view(original, {
    execute(statement: Statement, args?: unknown): Promise<Result> {
      const sql = sqlOf(statement)
      if (statementKind(sql) === 'rollback to') known = undefined
      const filling = fillFor([sql])
      const work = args === undefined ? original.execute(statement) : original.execute(statement, args)
      return noted(filling, work, writes(sql) ? changed : () => 0)
    },
    batch(statements: readonly Listed[]): Promise<Result[]> {
      const filling = fillFor(statements.map(sqlOf))
      if (statements.some((one) => statementKind(sqlOf(one)) === 'rollback to')) known = undefined
      return noted(filling, original.batch(statements), (results) =>
        results.reduce((sum, one) => sum + changed(one), 0),
      )
    },
    executeMultiple(sql: string): Promise<void> {
      const script = reads ? sql : scriptWithContext(sql, currentScope()?.text() ?? '', true)
      known = undefined
      filled = true
      return noted(Promise.resolve(), original.executeMultiple(script), () => 1)
    },
    commit(): Promise<void> {
      const emptied = filled && !reads ? original.execute(emptyRow).catch(() => {}) : Promise.resolve()
      filled = false
      known = undefined
      return ended(Promise.all([emptied, original.commit()]).then(() => {}))
    },
    rollback: (): Promise<void> => ended(original.rollback()),
    close(): void {
      state.open = false
      original.close()
    },
  })
}

function sqlOf(statement: Listed): string {
  if (typeof statement === 'string') return statement
  return 'sql' in statement ? statement.sql : statement[0]
}

function writes(statement: Listed): boolean {
  return statementKind(sqlOf(statement)) === 'write'
}

function changed({ rows, rowsAffected }: Result): number {
  return rowsAffected || rows.length
}

/** An error of a batch, as the statement by itself would have thrown it. */
function asOfOne(error: unknown): unknown {
  const { constructor, message, code, extendedCode, rawCode, cause, statementIndex } = error as Error &
    Record<'code' | 'extendedCode' | 'rawCode' | 'statementIndex', unknown>
  if (statementIndex === undefined) return error
  const Plain = Object.getPrototypeOf(constructor) as new (...args: unknown[]) => Error
  // both put the code in front of the message
  return new Plain(message.replaceAll(`${String(code)}: `, ''), code, extendedCode, rawCode, cause)
}

function rowsOf({ rows }: Result): readonly SqlRow[] {
  return rows as readonly SqlRow[]
}

/** An object that behaves as the original, but for these methods. Its private fields need the original as `this`. */
function view<T extends object>(original: T, methods: Readonly<Record<string, unknown>>): T {
  return new Proxy(original, {
    get(target, key) {
      if (typeof key === 'string' && Object.hasOwn(methods, key)) return methods[key]
      const value: unknown = Reflect.get(target, key, target)
      return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(target) : value
    },
  })
}
