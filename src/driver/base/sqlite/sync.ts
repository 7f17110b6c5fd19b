import { AuditError } from '../../../core/internal.ts'
import type { RunSql, SqlRow } from '../../../dialect/dialect.ts'
import type { Driver } from '../../driver.ts'
import { type Carrier, createCarrier } from './carrier.ts'
import type { SyncConnection } from './connection.ts'
import { createLibraryTransaction, createSession, type LibraryTransaction, syncParts } from './session.ts'
import { type StatementKind, statementKind } from './statement.ts'

/** What clients whose statements are done when the call returns have in common. */
export interface SyncStatement {
  run(...parameters: unknown[]): { readonly changes: number | bigint }
  get(...parameters: unknown[]): unknown
  all(...parameters: unknown[]): unknown[]
  iterate(...parameters: unknown[]): IterableIterator<unknown>
}

/** A database that carries the context. */
export interface Instrumented {
  readonly carrier: Carrier
  readonly library: LibraryTransaction
  /** The database past the wrapper. */
  readonly plain: SyncConnection
}

/** Instruments a database once, and remembers it by `mark`. `answering` makes the SQL function, where the context comes by one. */
export function instrumentOnce(
  database: object,
  mark: symbol,
  plain: () => SyncConnection,
  answering: ((answer: () => string) => void) | undefined,
  instrument: (carrier: Carrier) => void,
): Instrumented {
  const marked = database as Record<symbol, Instrumented | undefined>
  const before = marked[mark]
  if (before) return before
  const connection = plain()
  const library = createLibraryTransaction()
  const carrier = createCarrier(connection, library, answering !== undefined)
  answering?.(() => carrier.answer())
  instrument(carrier)
  const made = { carrier, library, plain: connection }
  Object.defineProperty(database, mark, { value: made })
  return made
}

interface SyncParts {
  readonly instrumented: Instrumented
  /** Opens a connection of the library's own; absent where there is no file that it could open. */
  readonly open: (() => SyncConnection) | undefined
  readonly asApplication: RunSql
  inTransaction(): boolean
  /** What `audit.in()` takes, in words. */
  readonly wants: string
}

/** A driver over a database that is instrumented in place. */
export function syncDriver<T, Transaction>(client: T, parts: SyncParts): Driver<T, Transaction> {
  const { carrier, library, plain } = parts.instrumented
  let opened: SyncConnection | undefined
  const own = (): SyncConnection => (parts.open ? (opened ??= parts.open()) : plain)
  return {
    client,
    writing: createSession(syncParts(own, library, 'outside'), library),
    reading: createSession(syncParts(own, library, 'inside'), library),
    asApplication: parts.asApplication,
    in: (transaction) => {
      if ((transaction as unknown) !== client) {
        throw new AuditError(
          'AUDIT_CLIENT_UNKNOWN',
          'audit.in() got another object than the database.',
          `Pass the ${parts.wants} that audit.client is.`,
        )
      }
      return async (sql, parameters) => carrier.run(statementKind(sql), () => plain.run(sql, parameters))
    },
    wouldDeadlock: parts.inTransaction,
    close: async () => {
      opened?.close()
      opened = undefined
    },
  }
}

/** The methods of a statement, each of which carries the context. */
export function carrying(original: SyncStatement, kind: StatementKind, carrier: Carrier): object {
  const counted = (rows: unknown): number => (Array.isArray(rows) ? rows.length : rows === undefined ? 0 : 1)
  const method = (name: 'get' | 'all') =>
    function (this: SyncStatement, ...parameters: unknown[]): unknown {
      return carrier.run(kind, () => original[name].apply(this, parameters), counted)
    }
  const methods = {
    get: method('get'),
    all: method('all'),
    run(this: SyncStatement, ...parameters: unknown[]): unknown {
      return carrier.run(
        kind,
        () => original.run.apply(this, parameters),
        ({ changes }) => Number(changes),
      )
    },
    // read to its end at once: a transaction cannot be committed while one of its statements runs
    iterate(this: SyncStatement, ...parameters: unknown[]): IterableIterator<unknown> {
      return carrier.run(kind, () => original.all.apply(this, parameters), counted).values()
    },
  }
  return Object.create(original, Object.getOwnPropertyDescriptors(methods)) as object
}

/** Statements that are kept prepared. */
const mostPrepared = 50

/** A connection that keeps its statements prepared. */
export function preparedConnection<Statement>(
  prepare: (sql: string) => Statement,
  rowsOf: (statement: Statement, parameters: readonly unknown[] | undefined) => readonly SqlRow[],
  rest: Pick<SyncConnection, 'inTransaction' | 'close'>,
): SyncConnection {
  const prepared = new Map<string, Statement>()
  return {
    ...rest,
    run(sql, parameters) {
      let statement = prepared.get(sql)
      if (!statement) {
        statement = prepare(sql)
        for (const [oldest] of prepared) if (prepared.size >= mostPrepared) prepared.delete(oldest)
        prepared.set(sql, statement)
      }
      return rowsOf(statement, parameters)
    },
  }
}
