import { AuditError } from '../core/internal.ts'
import { type Carrier, noContext } from './base/sqlite/carrier.ts'
import { type SyncConnection, toSqlite } from './base/sqlite/connection.ts'
import { splitStatements, type StatementKind, statementKind } from './base/sqlite/statement.ts'
import {
  carrying,
  instrumentOnce,
  preparedConnection,
  syncDriver,
  type SyncStatement as Statement,
} from './base/sqlite/sync.ts'
import type { Driver } from './driver.ts'

/** What is used of a `DatabaseSync` of node:sqlite. */
export interface NodeSqliteLike {
  readonly isTransaction: boolean
  prepare(sql: string): unknown
  exec(sql: string): void
  location(): string | null
}

/** A driver for node:sqlite. The database is instrumented in place and given back as `client`. */
export function nodeSqliteDriver<T extends NodeSqliteLike>(
  client: T,
  { context = 'row' }: { readonly context?: 'row' | 'function' } = {},
): Driver<T, NodeSqliteLike> {
  const database = checked(client)
  const instrumented = instrumentOnce(
    database,
    mark,
    () => connectionOf(database),
    context === 'function' ? (answer) => database.function('whodunit_context', answer) : undefined,
    (carrier) => instrument(database, carrier),
  )
  const file = database.location()
  return syncDriver(client, {
    instrumented,
    open: file ? () => second(database, file, instrumented.plain, context) : undefined,
    asApplication: async (sql, parameters) => rowsOf(database.prepare(sql), parameters),
    inTransaction: () => database.isTransaction,
    wants: 'DatabaseSync',
  })
}

type Tag = (strings: TemplateStringsArray, ...values: unknown[]) => unknown
const methods = ['run', 'get', 'all', 'iterate'] as const
type Store = Record<(typeof methods)[number], Tag>

interface Database extends NodeSqliteLike {
  prepare(sql: string, options?: object): Statement
  /** Since Node 24.9. */
  createTagStore?(size?: number): Store
  function(name: string, fn: () => unknown): void
  close(): void
  readonly constructor: new (file: string, options?: object) => Database
}

function checked(client: NodeSqliteLike): Database {
  const { prepare, exec, location, isTransaction } = (client ?? {}) as Partial<NodeSqliteLike>
  if (typeof prepare !== 'function' || typeof exec !== 'function') {
    throw new AuditError(
      'AUDIT_CLIENT_UNKNOWN',
      'fromNodeSqlite() got no DatabaseSync of node:sqlite.',
      'Pass new DatabaseSync(file).',
    )
  }
  if (typeof isTransaction === 'boolean' && typeof location === 'function') return client as Database
  throw new AuditError(
    'AUDIT_DATABASE_UNSUPPORTED',
    `The node:sqlite of Node ${process.version} does not say whether a transaction is open.`,
    'Use Node 22.16, 24 or later, with the database open.',
  )
}

const mark: unique symbol = Symbol.for('whodunit.node-sqlite')

function instrument(database: Database, carrier: Carrier): void {
  const [prepare, exec] = [database.prepare.bind(database), database.exec.bind(database)]
  const createTagStore = database.createTagStore?.bind(database)
  const prototypes = new Map<StatementKind, object>()
  const define = (name: string, value: unknown): unknown =>
    Object.defineProperty(database, name, { value, writable: true, configurable: true })
  define('prepare', (sql: string, options?: object): Statement => {
    const statement = options === undefined ? prepare(sql) : prepare(sql, options)
    const kind = statementKind(sql)
    if (kind === 'read') return statement
    const prototype =
      prototypes.get(kind) ?? carrying(Object.getPrototypeOf(statement) as Statement, kind, carrier)
    prototypes.set(kind, prototype)
    return Object.setPrototypeOf(statement, prototype) as Statement
  })
  define('exec', (sql: string): void => {
    if (typeof sql !== 'string') exec(sql)
    for (const one of splitStatements(sql))
      carrier.run(
        statementKind(one),
        () => exec(one),
        () => 1,
      )
  })
  if (createTagStore) {
    define('createTagStore', (size?: number): Store => {
      const store = createTagStore(size)
      for (const method of methods) {
        const run = store[method].bind(store)
        store[method] = (strings, ...values) => {
          const kind = statementKind(strings.join('?'))
          if (method !== 'iterate' || kind === 'read')
            return carrier.run(kind, () => run(strings, ...values), counted)
          return (carrier.run(kind, () => store.all(strings, ...values)) as unknown[]).values()
        }
      }
      return store
    })
  }
}

function counted(result: unknown): number {
  if (Array.isArray(result)) return result.length
  const { changes } = (result ?? {}) as { changes?: number | bigint }
  return result === undefined ? 0 : Number(changes ?? 1)
}

function connectionOf(database: Database): SyncConnection {
  return preparedConnection(database.prepare.bind(database), rowsOf, {
    inTransaction: () => database.isTransaction,
    close: database.close.bind(database),
  })
}

function rowsOf(statement: Statement, parameters: readonly unknown[] | undefined): never {
  return statement.all(...toSqlite(parameters)) as never
}

/** A connection of the library's own to the same file. It never waits by blocking the process. */
function second(
  database: Database,
  file: string,
  first: SyncConnection,
  context: 'row' | 'function',
): SyncConnection {
  const other = new database.constructor(file, { timeout: 0 })
  const [{ synchronous } = {}] = first.run('pragma synchronous')
  other.exec(`pragma synchronous = ${Number(synchronous)}`)
  if (context === 'function') other.function('whodunit_context', () => noContext)
  return connectionOf(other)
}
