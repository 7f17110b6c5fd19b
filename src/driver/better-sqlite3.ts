import { AuditError } from '../core/internal.ts'
import { type Carrier, noContext } from './base/sqlite/carrier.ts'
import { type SyncConnection, toSqlite } from './base/sqlite/connection.ts'
import { splitStatements, type StatementKind, statementKind } from './base/sqlite/statement.ts'
import {
  carrying,
  instrumentOnce,
  preparedConnection,
  syncDriver,
  type SyncStatement,
} from './base/sqlite/sync.ts'
import type { Driver } from './driver.ts'

/** What is used of a `Database` of better-sqlite3. */
export interface BetterSqlite3Like {
  readonly name: string
  readonly memory: boolean
  readonly inTransaction: boolean
  prepare(sql: string): unknown
  exec(sql: string): unknown
  transaction(fn: never): unknown
}

/** A driver for better-sqlite3. The database is instrumented in place and given back as `client`. */
export function betterSqlite3Driver<T extends BetterSqlite3Like>(
  client: T,
  { context = 'row' }: { readonly context?: 'row' | 'function' } = {},
): Driver<T, BetterSqlite3Like> {
  const database = checked(client)
  const instrumented = instrumentOnce(
    database,
    mark,
    () => connectionOf(database),
    context === 'function'
      ? (answer) => void database.function('whodunit_context', { directOnly: false }, answer)
      : undefined,
    (carrier) => instrument(database, carrier),
  )
  return syncDriver(client, {
    instrumented,
    open: database.memory ? undefined : () => second(database, instrumented.plain, context),
    asApplication: async (sql, parameters) => rowsOf(database.prepare(sql), parameters),
    inTransaction: () => database.inTransaction,
    wants: 'Database of better-sqlite3',
  })
}

interface Statement extends SyncStatement {
  readonly readonly: boolean
  readonly reader: boolean
}

type TransactionFunction = ((...args: unknown[]) => unknown) &
  Readonly<Record<Variant, (...args: unknown[]) => unknown>>
type Variant = (typeof variants)[number]
const variants = ['default', 'deferred', 'immediate', 'exclusive'] as const

interface Database extends BetterSqlite3Like {
  prepare(sql: string): Statement
  transaction(fn: (...args: unknown[]) => unknown): TransactionFunction
  pragma(source: string, options?: { simple?: boolean }): unknown
  function(name: string, options: object, fn: () => unknown): unknown
  close(): unknown
  readonly constructor: new (file: string, options: object) => Database
}

function checked(client: BetterSqlite3Like): Database {
  const { prepare, exec, transaction, inTransaction } = (client ?? {}) as Partial<BetterSqlite3Like>
  if (
    [prepare, exec, transaction].every((method) => typeof method === 'function') &&
    typeof inTransaction === 'boolean'
  )
    return client as Database
  throw new AuditError(
    'AUDIT_CLIENT_UNKNOWN',
    'fromBetterSqlite3() got no Database of better-sqlite3.',
    'Pass new Database(file).',
  )
}

const mark: unique symbol = Symbol.for('whodunit.better-sqlite3')

function instrument(database: Database, carrier: Carrier): void {
  const original = {
    prepare: database.prepare,
    exec: database.exec,
    transaction: database.transaction,
    pragma: database.pragma,
  }
  const prototypes = new Map<StatementKind, object>()
  const define = (methods: Readonly<Record<string, unknown>>): void => {
    for (const [name, value] of Object.entries(methods))
      Object.defineProperty(database, name, { value, writable: true, configurable: true })
  }
  define({
    prepare(sql: string): Statement {
      const statement = original.prepare.call(database, sql)
      const kind = statementKind(sql)
      if (kind === 'read' || (kind === 'write' && statement.readonly)) return statement
      const prototype =
        prototypes.get(kind) ?? carrying(Object.getPrototypeOf(statement) as Statement, kind, carrier)
      prototypes.set(kind, prototype)
      return Object.setPrototypeOf(statement, prototype) as Statement
    },
    exec(sql: string): unknown {
      const statements = typeof sql === 'string' ? splitStatements(sql) : [sql]
      for (const one of statements)
        carrier.run(
          statementKind(String(one)),
          () => original.exec.call(database, one),
          () => 1,
        )
      return this
    },
    pragma(source: string, options?: { simple?: boolean }): unknown {
      return carrier.run('other', () => original.pragma.call(database, source, options))
    },
    transaction(fn: (...args: unknown[]) => unknown): TransactionFunction {
      return transactionOf(database, carrier, (given) => original.transaction.call(database, given), fn)
    },
  })
}

/** better-sqlite3 begins and commits by statements of its own, which nobody can wrap. */
function transactionOf(
  database: Database,
  carrier: Carrier,
  make: (fn: (...args: unknown[]) => unknown) => TransactionFunction,
  fn: (...args: unknown[]) => unknown,
): TransactionFunction {
  if (typeof fn !== 'function') return make(fn)
  let outermost = false
  const inner = make(function (this: unknown, ...args: unknown[]): unknown {
    const commits = outermost
    outermost = false
    try {
      const result = fn.apply(this, args)
      if (commits) carrier.beforeCommit()
      return result
    } catch (error) {
      carrier.run('rollback to', () => {})
      throw error
    }
  })
  const variant = (name: Variant) =>
    function (this: unknown, ...args: unknown[]): unknown {
      outermost = !database.inTransaction
      if (!outermost) return inner[name].apply(this, args)
      carrier.run('begin', () => {})
      outermost = true
      try {
        return inner[name].apply(this, args)
      } finally {
        outermost = false
        if (!database.inTransaction) carrier.forget()
      }
    }
  const made = Object.fromEntries(variants.map((name) => [name, variant(name)])) as Record<
    Variant,
    TransactionFunction
  >
  for (const one of variants) {
    for (const name of variants) Object.defineProperty(made[one], name, { value: made[name] })
    Object.defineProperty(made[one], 'database', { value: database, enumerable: true })
  }
  return made.default
}

function connectionOf(database: Database): SyncConnection {
  const close = database.close.bind(database)
  return preparedConnection(database.prepare.bind(database), rowsOf, {
    inTransaction: () => database.inTransaction,
    close: () => void close(),
  })
}

function rowsOf(statement: Statement, parameters: readonly unknown[] | undefined): never {
  const given = toSqlite(parameters)
  return (statement.reader ? statement.all(...given) : (statement.run(...given), [])) as never
}

/** A connection of the library's own to the same file. It never waits by blocking the process. */
function second(database: Database, first: SyncConnection, context: 'row' | 'function'): SyncConnection {
  const other = new database.constructor(database.name, { fileMustExist: true, timeout: 0 })
  const [{ synchronous } = {}] = first.run('pragma synchronous')
  other.pragma(`synchronous = ${Number(synchronous)}`)
  if (context === 'function') other.function('whodunit_context', {}, () => noContext)
  return connectionOf(other)
}
