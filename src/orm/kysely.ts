import type { AuditDatabase, Names } from '../index.ts'
import { throughOrm, unknownOrm } from './base.ts'
import { asClient, compiled } from './base/kysely.ts'

/** What is used of a Kysely. */
export interface KyselyLike {
  executeQuery(query: never): Promise<{ readonly rows: readonly unknown[] }>
}

/** What is used of a transaction of Kysely. */
export interface KyselyTransactionLike extends KyselyLike {
  readonly isTransaction: boolean
}

export interface KyselyOptions {
  /** Kysely knows no models when it runs: without names, entries have those of tables and columns. */
  readonly names?: Names
}

/**
 * Any database through Kysely: `database` is that of the client which its dialect was given, after `fromPg` and the like have
 * wrapped it. `audit.client` is the Kysely, `audit.check()` proves the context through it, and `audit.in()` takes its
 * transactions over `pg`, PGlite and `mysql2`.
 *
 * @throws AUDIT_CLIENT_UNKNOWN for anything but a Kysely
 * @example
 * const database = fromPg(pool)
 * const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool: database.client }) })
 * const audit = createAudit({ ...config, database: fromKysely(db, database, { names }) })
 */
export function fromKysely<T extends KyselyLike>(
  db: T,
  database: AuditDatabase<unknown, never>,
  { names = {} }: KyselyOptions = {},
): AuditDatabase<T, KyselyTransactionLike> {
  if (typeof db?.executeQuery !== 'function') throw unknownOrm('fromKysely()', 'Kysely')
  return throughOrm(database, {
    client: db,
    names: { ...database.names, ...names },
    run: async (sql) => db.executeQuery(compiled(sql)),
    handle: (transaction: KyselyTransactionLike) =>
      transaction.isTransaction ? asClient(transaction) : undefined,
  })
}
