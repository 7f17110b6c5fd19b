import { databaseOfModule } from '../database/base.ts'
import type { AuditDatabase, Names } from '../index.ts'
import { throughOrm, unknownOrm } from './base.ts'

/** What is used of an instance of Knex. */
export interface KnexLike {
  readonly client: object
  raw(sql: string): PromiseLike<unknown>
}

/** What is used of a transaction of Knex. */
export interface KnexTransactionLike extends KnexLike {
  commit(value?: never): unknown
  rollback(error?: never): unknown
}

export interface KnexOptions {
  /** Knex knows no models: without names, entries have those of tables and columns. */
  readonly names?: Names
  /** A pool of the client for the library's own connections. @default made with the settings that Knex has */
  readonly own?: object
}

/**
 * PostgreSQL over `pg`, or MariaDB and MySQL over `mysql2`, through Knex, and so through Objection.
 *
 * Each connection that Knex takes from its pool is made to carry the context; `audit.client` is the same Knex. Pass `own`
 * where Knex is given its connection by a function, or a pool. `audit.in()` takes the transaction that Knex gives. A query
 * must be awaited inside the context: Knex sends it then.
 *
 * @throws AUDIT_CLIENT_UNKNOWN for anything but a Knex over such a client, or without settings
 * @example
 * const audit = createAudit({ ...config, database: fromKnex(knex({ client: 'pg', connection })) })
 */
export function fromKnex<T extends KnexLike>(
  knex: T,
  { names = {}, own }: KnexOptions = {},
): AuditDatabase<T, KnexTransactionLike> {
  const client = knex?.client as Client | undefined
  if (typeof client?.acquireConnection !== 'function') throw unknownOrm('fromKnex()', 'instance of Knex')
  const given = client.connectionSettings
  // Knex hides the password from whoever enumerates
  const settings = given && { ...given, password: given['password'] }
  const { database, adopt } = databaseOfModule(client.driver, settings, own, 'The client of Knex')
  if (!client[adopted]) {
    client[adopted] = true
    const acquire = client.acquireConnection
    client.acquireConnection = async function (this: unknown) {
      const connection = await acquire.call(this)
      adopt(connection)
      return connection
    }
  }
  return throughOrm(database, {
    client: knex,
    names,
    run: async (sql) => knex.raw(sql),
    // inside a transaction, Knex has one connection, and hands it out to whoever asks
    handle: async (transaction: { client?: Client; commit?: unknown }) =>
      transaction.commit ? transaction.client?.acquireConnection() : undefined,
  })
}

const adopted: unique symbol = Symbol('whodunit knex')

interface Client {
  [adopted]?: true
  readonly driver: unknown
  readonly connectionSettings?: Readonly<Record<string, unknown>> | undefined
  acquireConnection(): Promise<unknown>
}
