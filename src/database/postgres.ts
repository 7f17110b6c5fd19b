import type { AuditDatabase } from '../core/internal.ts'
import { postgres } from '../dialect/postgres/index.ts'
import { type PgClientLike, pgDriver, type PgPoolLike } from '../driver/pg.ts'
import { pgliteDriver, type PgliteLike, type PgliteTransactionLike } from '../driver/pglite.ts'
import {
  postgresJsDriver,
  type PostgresJsLike,
  type PostgresJsOptions,
  type PostgresJsTransactionLike,
} from '../driver/postgres-js.ts'
import { createDatabase } from '../store/store.ts'

export type { PgClientLike, PgPoolLike, PgliteLike, PgliteTransactionLike }
export type { PostgresJsLike, PostgresJsOptions, PostgresJsTransactionLike }

/**
 * PostgreSQL over node-postgres (`pg` 8.11 and later).
 *
 * The pool, or the lone client, is instrumented in place: `audit.client` is the same object. The context goes in the same
 * packet as the statement and ends with its transaction, so it costs no round trip and is safe behind PgBouncer in
 * transaction mode. Behind a pooler, `CALL` and a `DO` that may commit carry no context; `COPY ... TO STDOUT` never does.
 * The library's own reading and writing uses up to three connections of its own with the pool's settings.
 *
 * @throws AUDIT_CLIENT_UNKNOWN for anything but a Pool or a Client of pg
 * @example
 * const audit = createAudit({ ...config, database: fromPg(new pg.Pool({ connectionString })) })
 */
export function fromPg<T extends PgPoolLike | PgClientLike>(client: T): AuditDatabase<T, PgClientLike> {
  return createDatabase(postgres, pgDriver(client))
}

/**
 * PostgreSQL inside the process, over PGlite.
 *
 * The PGlite given stays as it is; `audit.client` is a view of it that carries the context. PGlite has one connection:
 * what the library writes waits for open transactions, and `{ durable: true }` inside one is refused
 * (AUDIT_WRITE_DEADLOCK).
 *
 * @throws AUDIT_CLIENT_UNKNOWN for anything but a PGlite
 * @example
 * const audit = createAudit({ ...config, database: fromPglite(new PGlite('./data')) })
 */
export function fromPglite<T extends PgliteLike>(client: T): AuditDatabase<T, PgliteTransactionLike> {
  return createDatabase(postgres, pgliteDriver(client))
}

/**
 * PostgreSQL over postgres.js (`postgres` 3.4).
 *
 * The `sql` given stays as it is; `audit.client` is a view of it, with everything that it can do. A query carries the
 * context of the code that made it, wherever it is awaited. Inside `begin()` that takes no round trip more. A query by
 * itself gets a transaction of its own, sent with it: no round trip more where it is prepared already or has no
 * parameters, one where the client has to ask for the types of its parameters. Behind a pooler in transaction mode,
 * `CALL` and a `DO` that may commit carry no context; give `prepare: false` there, as postgres.js needs it anyway.
 *
 * `{ mode: 'pipeline' }` spares that transaction: the session is given the context in front of the query and cleared
 * behind it. For direct connections only. The server is asked once whether its sessions are its own, and a pooler that shows
 * by that is used as in `begin` mode; one that passes on the server's process id would not show, and leave contexts to others.
 *
 * The library's own reading and writing uses up to three connections with the settings of `sql`, made by the `postgres`
 * that is installed, or by the one that is given as `{ postgres }`: for bundled applications.
 *
 * @throws AUDIT_CLIENT_UNKNOWN for anything but what `postgres()` gives
 * @example
 * const audit = createAudit({ ...config, database: fromPostgresJs(postgres(process.env.DATABASE_URL)) })
 * const sql = audit.client
 */
export function fromPostgresJs<T extends PostgresJsLike>(
  sql: T,
  options?: PostgresJsOptions,
): AuditDatabase<T, PostgresJsTransactionLike> {
  return createDatabase(postgres, postgresJsDriver(sql, options))
}
