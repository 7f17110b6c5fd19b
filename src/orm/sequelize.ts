import { databaseOfModule } from '../database/base.ts'
import type { AuditDatabase, Names } from '../index.ts'
import { tableName, throughOrm, unknownOrm } from './base.ts'

/** What is used of an instance of Sequelize. */
export interface SequelizeLike {
  readonly models: object
  query(sql: string): Promise<unknown>
}

/** What is used of a transaction of Sequelize. */
export interface SequelizeTransactionLike {
  commit(): Promise<void>
  rollback(): Promise<void>
}

export interface SequelizeOptions {
  /** A pool of the client for the library's own connections. @default made with the settings that Sequelize has */
  readonly own?: object
}

/**
 * PostgreSQL over `pg`, or MariaDB and MySQL over `mysql2`, through Sequelize 6.
 *
 * Each connection that Sequelize takes from its pools, with replication of reading and writing alike, is made to carry the
 * context; `audit.client` is the same Sequelize. Its models have to be defined before: entries, policy and filters speak their
 * names and those of their attributes. `audit.in()` takes the transaction that Sequelize gives.
 *
 * @throws AUDIT_CLIENT_UNKNOWN for anything but a Sequelize over such a client
 * @example
 * const audit = createAudit({ ...config, database: fromSequelize(sequelize) })
 */
export function fromSequelize<T extends SequelizeLike>(
  sequelize: T,
  { own }: SequelizeOptions = {},
): AuditDatabase<T, SequelizeTransactionLike> {
  const manager = (sequelize as { connectionManager?: ConnectionManager } | undefined)?.connectionManager
  if (typeof manager?.getConnection !== 'function')
    throw unknownOrm('fromSequelize()', 'instance of Sequelize')
  const { replication, username, password, dialectOptions, ...config } = manager.config
  const login = { ...config, username, password, ...(replication && replication.write) }
  const settings = {
    ...dialectOptions,
    host: login.host,
    port: login.port,
    database: login.database,
    user: login.username,
    password: login.password,
  }
  const { database, adopt } = databaseOfModule(manager.lib, settings, own, 'The client of Sequelize')
  if (!manager[adopted]) {
    manager[adopted] = true
    const getConnection = manager.getConnection
    manager.getConnection = async function (this: unknown, ...args) {
      const connection = await getConnection.apply(this, args)
      adopt(connection)
      return connection
    }
  }
  return throughOrm(database, {
    client: sequelize,
    names: sequelizeNames(sequelize),
    run: async (sql) => sequelize.query(sql),
    handle: ({ connection }: { connection?: unknown }) => connection,
  })
}

/** The names of the models that are defined so far, for a policy file. */
export function sequelizeNames(sequelize: SequelizeLike): Names {
  return Object.fromEntries(
    Object.entries(sequelize.models as Record<string, Model>).map(([name, model]) => {
      const table = model.getTableName()
      const stored = Object.entries(model.rawAttributes).filter(([, { type }]) => type?.key !== 'VIRTUAL')
      return [
        name,
        {
          table: typeof table === 'string' ? table : tableName(table.tableName, table.schema),
          fields: Object.fromEntries(stored.map(([attribute, { field }]) => [attribute, field ?? attribute])),
        },
      ]
    }),
  )
}

const adopted: unique symbol = Symbol('whodunit sequelize')

interface Login {
  readonly host?: string
  readonly port?: number | string
  readonly database?: string
  readonly username?: string
  readonly password?: string
}

interface ConnectionManager {
  [adopted]?: true
  readonly lib?: unknown
  readonly config: Login & {
    readonly dialectOptions?: object
    readonly replication?: { readonly write?: Login } | false | null
  }
  getConnection(...args: unknown[]): Promise<unknown>
}

interface Model {
  readonly rawAttributes: Readonly<
    Record<string, { readonly field?: string; readonly type?: { readonly key?: string } }>
  >
  getTableName(): string | { readonly tableName: string; readonly schema?: string }
}
