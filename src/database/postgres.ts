import type { AuditDatabase } from '../core/internal.ts'
import { postgres } from '../dialect/postgres/index.ts'
import { type PgClientLike, pgDriver, type PgPoolLike } from '../driver/pg.ts'
import { pgliteDriver, type PgliteLike, type PgliteTransactionLike } from '../driver/pglite.ts'
import { createDatabase } from '../store/store.ts'

export type { PgClientLike, PgPoolLike, PgliteLike, PgliteTransactionLike }

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
