import { AuditError } from '../core/internal.ts'
import { type Carrier, createCarrier, noContext } from './base/sqlite/carrier.ts'
import { type SyncConnection, toSqlite } from './base/sqlite/connection.ts'
import {
  createLibraryTransaction,
  createSession,
  type LibraryTransaction,
  syncParts,
} from './base/sqlite/session.ts'
import { splitStatements, type StatementKind, statementKind } from './base/sqlite/statement.ts'
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
  const { carrier, library, plain } = instrumented(database, context === 'function')
  const file = database.location()
  let opened: SyncConnection | undefined
  const own = (): SyncConnection => (file ? (opened ??= second(database, file, plain, context)) : plain)
  return {
    client,
    writing: createSession(syncParts(own, library, 'outside'), library),
    reading: createSession(syncParts(own, library, 'inside'), library),
    asApplication: async (sql, parameters) => rowsOf(database.prepare(sql), parameters),
    in: (transaction) => {
      if ((transaction as unknown) !== client) {
        throw new AuditError(
          'AUDIT_CLIENT_UNKNOWN',
          'audit.in() got another object than the database.',
          'Pass the DatabaseSync that audit.client is.',
        )
      }
      return async (sql, parameters) => carrier.run(statementKind(sql), () => plain.run(sql, parameters))
    },
    wouldDeadlock: () => database.isTransaction,
    close: async () => {
      opened?.close()
      opened = undefined
    },
  }
}

interface Statement {
  run(...parameters: unknown[]): { readonly changes: number | bigint }
  get(...parameters: unknown[]): unknown
  all(...parameters: unknown[]): unknown[]
  iterate(...parameters: unknown[]): IterableIterator<unknown>
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

interface Instrumented {
  readonly carrier: Carrier
  readonly library: LibraryTransaction
  /** The database past the wrapper. */
  readonly plain: SyncConnection
}

const mark: unique symbol = Symbol.for('whodunit.node-sqlite')

function instrumented(database: Database, byFunction: boolean): Instrumented {
  const marked = database as Database & { [mark]?: Instrumented }
  const before = marked[mark]
  if (before) return before
  const plain = connectionOf(database)
  const library = createLibraryTransaction()
  const carrier = createCarrier(plain, library, byFunction)
  if (byFunction) database.function('whodunit_context', () => carrier.answer())
  instrument(database, carrier)
  Object.defineProperty(database, mark, { value: { carrier, library, plain } })
  return marked[mark]!
}

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

/** The methods of a statement, each of which carries the context. */
function carrying(original: Statement, kind: StatementKind, carrier: Carrier): object {
  const method = (name: 'run' | 'get' | 'all') =>
    function (this: Statement, ...parameters: unknown[]): unknown {
      return carrier.run(kind, () => original[name].apply(this, parameters), counted)
    }
  const wrapped = {
    run: method('run'),
    get: method('get'),
    all: method('all'),
    // read to its end at once: a transaction cannot be committed while one of its statements runs
    iterate(this: Statement, ...parameters: unknown[]): IterableIterator<unknown> {
      return carrier.run(kind, () => original.all.apply(this, parameters), counted).values()
    },
  }
  return Object.create(original, Object.getOwnPropertyDescriptors(wrapped)) as object
}

function connectionOf(database: Database): SyncConnection {
  const [prepare, close] = [database.prepare.bind(database), database.close.bind(database)]
  const prepared = new Map<string, Statement>()
  return {
    inTransaction: () => database.isTransaction,
    run(sql, parameters) {
      let statement = prepared.get(sql)
      if (!statement) {
        statement = prepare(sql)
        for (const [oldest] of prepared) if (prepared.size >= mostPrepared) prepared.delete(oldest)
        prepared.set(sql, statement)
      }
      return rowsOf(statement, parameters)
    },
    close,
  }
}

/** Statements that are kept prepared. */
const mostPrepared = 50

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
