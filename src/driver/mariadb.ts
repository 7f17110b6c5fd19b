import { AuditError } from '../core/internal.ts'
import type { RunSql } from '../dialect/dialect.ts'
import { rowsOf, sessionOver, type TakeConnection } from './base/own.ts'
import { instrumentConnection, instrumentPool, original, settled } from './mariadb/client.ts'
import type { Driver } from './driver.ts'

/** What is used of a connection of `mariadb` or `mariadb/callback`. */
export interface MariadbConnectionLike {
  query(options: never, values?: unknown): unknown
  batch(options: never, values?: unknown): unknown
  readonly threadId: number | null
}

/** What is used of a pool of `mariadb` or `mariadb/callback`. */
export interface MariadbPoolLike {
  query(options: never, values?: unknown): unknown
  batch(options: never, values?: unknown): unknown
  getConnection(...callback: never[]): unknown
  totalConnections(): number
}

/**
 * A driver for the connector of MariaDB. The pool, or the connection, is instrumented in place and given back as
 * `client`. The connector shows nobody the settings of a pool, so the library takes its connections from it too, or from
 * `own`.
 */
export function mariadbDriver<T extends MariadbPoolLike | MariadbConnectionLike>(
  client: T,
  own?: MariadbPoolLike,
): Driver<T, MariadbConnectionLike> {
  if (typeof client?.query !== 'function' || typeof client.batch !== 'function') {
    throw new AuditError(
      'AUDIT_CLIENT_UNKNOWN',
      'fromMariadb() got neither a pool nor a connection of mariadb.',
      'Pass what createPool() or createConnection() of mariadb gave.',
    )
  }
  const source = own ?? client
  const session = sessionOver(isPool(source) ? fromPool(source) : (fn) => fn(runOn(source, true)))
  if (isPool(client)) instrumentPool(client as never)
  else instrumentConnection(client as never)
  return {
    client,
    attach(other) {
      if (isPool(other)) instrumentPool(other as never)
      else instrumentConnection(other as never)
      return other
    },
    writing: session,
    reading: session,
    asApplication: runOn(client, false),
    in: (transaction) => {
      if (typeof transaction?.query !== 'function' || isPool(transaction)) {
        throw new AuditError(
          'AUDIT_CLIENT_UNKNOWN',
          'audit.in() got no connection of mariadb.',
          'Pass the connection that holds the transaction.',
        )
      }
      return runOn(transaction, false)
    },
    wouldDeadlock: () => false,
    close: async () => {},
  }
}

function isPool(client: object): client is MariadbPoolLike {
  return typeof (client as Partial<MariadbPoolLike>).totalConnections === 'function'
}

interface Queryable {
  query(options: object, values: unknown, callback?: (...answer: unknown[]) => void): unknown
}

/** With what the application may have set otherwise for its own queries. */
const plain = {
  rowsAsArray: false,
  nestTables: false,
  namedPlaceholders: false,
  metaAsArray: false,
  typeCast: undefined,
}

/** `untouched`: past the instrumentation, where the library works on its own behalf. */
function runOn(on: Queryable, untouched: boolean): RunSql {
  return async (sql, parameters = []) => {
    const query = untouched ? original(on).query : on.query
    const [answer] = await settled((done) => query.call(on, { sql, ...plain }, [...parameters], done))
    return rowsOf(answer)
  }
}

function fromPool(pool: MariadbPoolLike): TakeConnection {
  return async (fn) => {
    const [taken] = await settled((done) => original(pool).getConnection.call(pool, done as never))
    const connection = taken as Queryable & { release(done: (error?: unknown) => void): unknown }
    try {
      return await fn(runOn(connection, true))
    } finally {
      await settled((done) => connection.release(done))
    }
  }
}
