import type { AuditDatabase } from '../core/internal.ts'
import { mariadb } from '../dialect/mariadb/index.ts'
import { type MariadbConnectionLike, mariadbDriver, type MariadbPoolLike } from '../driver/mariadb.ts'
import { type Mysql2ClientLike, mysql2Driver, type Mysql2TransactionLike } from '../driver/mysql2.ts'
import { createDatabase } from '../store/store.ts'

export type { MariadbConnectionLike, MariadbPoolLike, Mysql2ClientLike, Mysql2TransactionLike }

/**
 * MariaDB 10.6 and later, or MySQL 8.0.22 and later, over `mysql2` 3, its API of callbacks or of promises.
 *
 * The pool, or the lone connection, is instrumented in place: `audit.client` is the same object. The context is set in
 * front of a statement that may write and cleared behind it, or behind its transaction, without waiting for the answers:
 * no round trip more, but with `compress`. A SELECT outside of a transaction carries none, so a function in it that
 * writes is recorded without an actor. The library's own reading and writing uses up to three connections of its own with
 * the pool's settings.
 *
 * @throws AUDIT_CLIENT_UNKNOWN for anything but a pool or a connection of mysql2
 * @example
 * const audit = createAudit({ ...config, database: fromMysql2(mysql.createPool(process.env.DATABASE_URL)) })
 */
export function fromMysql2<T extends Mysql2ClientLike>(client: T): AuditDatabase<T, Mysql2TransactionLike> {
  return createDatabase(mariadb, mysql2Driver(client))
}

/**
 * The same over `mariadb` 3, the connector of MariaDB, its API of promises or of callbacks.
 *
 * The connector shows nobody the settings of its pool, so the library takes its connections from the same pool, one at a
 * time; `own`, another pool, spares the application that. With a pool of one connection, `{ durable: true }` inside a
 * transaction waits until the pool gives up.
 *
 * @throws AUDIT_CLIENT_UNKNOWN for anything but a pool or a connection of mariadb
 * @example
 * const audit = createAudit({ ...config, database: fromMariadb(mariadb.createPool(process.env.DATABASE_URL)) })
 */
export function fromMariadb<T extends MariadbPoolLike | MariadbConnectionLike>(
  client: T,
  own?: MariadbPoolLike,
): AuditDatabase<T, MariadbConnectionLike> {
  return createDatabase(mariadb, mariadbDriver(client, own))
}
