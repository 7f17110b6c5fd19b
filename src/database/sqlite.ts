import type { AuditDatabase } from '../core/internal.ts'
import { sqlite } from '../dialect/sqlite/index.ts'
import { betterSqlite3Driver, type BetterSqlite3Like } from '../driver/better-sqlite3.ts'
import { libsqlDriver, type LibsqlLike, type LibsqlTransactionLike } from '../driver/libsql.ts'
import { nodeSqliteDriver, type NodeSqliteLike } from '../driver/node-sqlite.ts'
import { createDatabase } from '../store/store.ts'

export type { BetterSqlite3Like, LibsqlLike, LibsqlTransactionLike, NodeSqliteLike }

export interface SqliteOptions {
  /**
   * From where the triggers take the context. `row`: a row that is filled and emptied within each transaction, so that
   * every program may write. `function`: a function of the connection, which costs less; a write by any other program
   * fails ("no such function"). `migrate` must be run in the same way.
   * @default 'row'
   */
  readonly context?: 'row' | 'function'
}

/**
 * SQLite over better-sqlite3.
 *
 * The `Database` is instrumented in place: `audit.client` is the same object, and stays synchronous. A write outside of a
 * transaction gets one of its own, so that its context begins and ends with it. What the library writes goes through a
 * connection of its own to the same file; a database in memory has one connection only, so there it waits for open
 * transactions, and `{ durable: true }` inside one is refused (AUDIT_WRITE_DEADLOCK). `audit.in()` takes the Database.
 *
 * @throws AUDIT_CLIENT_UNKNOWN for anything but a Database of better-sqlite3
 * @example
 * const audit = createAudit({ ...config, database: fromBetterSqlite3(new Database('shop.db')) })
 */
export function fromBetterSqlite3<T extends BetterSqlite3Like>(
  client: T,
  options: SqliteOptions = {},
): AuditDatabase<T, BetterSqlite3Like> {
  return createDatabase(sqlite(options), betterSqlite3Driver(client, options))
}

/**
 * SQLite over node:sqlite (Node 22.16 and later), in the same way as {@link fromBetterSqlite3}; tag stores included.
 *
 * @throws AUDIT_CLIENT_UNKNOWN for anything but an open DatabaseSync; AUDIT_DATABASE_UNSUPPORTED on an older Node
 * @example
 * const audit = createAudit({ ...config, database: fromNodeSqlite(new DatabaseSync('shop.db')) })
 */
export function fromNodeSqlite<T extends NodeSqliteLike>(
  client: T,
  options: SqliteOptions = {},
): AuditDatabase<T, NodeSqliteLike> {
  return createDatabase(sqlite(options), nodeSqliteDriver(client, options))
}

/**
 * SQLite over local files of `@libsql/client`.
 *
 * The client given stays as it is; `audit.client` is a view of it that carries the context. `audit.in()` takes what
 * `client.transaction()` answers. Remote databases are not supported yet.
 *
 * @throws AUDIT_CLIENT_UNKNOWN for anything but a client; AUDIT_DATABASE_UNSUPPORTED for a remote one
 * @example
 * const audit = createAudit({ ...config, database: fromLibsql(createClient({ url: 'file:shop.db' })) })
 */
export function fromLibsql<T extends LibsqlLike>(client: T): AuditDatabase<T, LibsqlTransactionLike> {
  return createDatabase(sqlite(), libsqlDriver(client))
}
