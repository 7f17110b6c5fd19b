import { databaseOver } from '../database/base.ts'
import { type AuditDatabase, AuditError, type Names } from '../index.ts'
import { tableName, throughOrm, unknownOrm } from './base.ts'

/** What is used of a `DataSource` of TypeORM. */
export interface TypeOrmLike {
  readonly isInitialized: boolean
  readonly entityMetadatas: readonly object[]
  readonly driver: object
  query(sql: string): Promise<unknown>
}

/** What is used of an `EntityManager` of a transaction, or of the `QueryRunner` that holds it. */
export interface TypeOrmTransactionLike {
  readonly connection: object
  query(sql: string): Promise<unknown>
}

/**
 * PostgreSQL over `pg`, MariaDB and MySQL over `mysql2`, or SQLite over better-sqlite3, through TypeORM.
 *
 * The pool that TypeORM has made is found and instrumented, those of replicas too, so call it after
 * `dataSource.initialize()`; `audit.client` is the same DataSource. Models are called as the entities, fields by the paths
 * of their properties. `audit.in()` takes the EntityManager of a transaction, or its QueryRunner.
 *
 * @throws AUDIT_CLIENT_UNKNOWN for anything but an initialised DataSource over such a client
 * @example
 * await dataSource.initialize()
 * const audit = createAudit({ ...config, database: fromTypeORM(dataSource) })
 */
export function fromTypeORM<T extends TypeOrmLike>(dataSource: T): AuditDatabase<T, TypeOrmTransactionLike> {
  if (typeof dataSource?.driver !== 'object' || typeof dataSource.query !== 'function')
    throw unknownOrm('fromTypeORM()', 'DataSource of TypeORM')
  if (!dataSource.isInitialized) {
    throw new AuditError(
      'AUDIT_CLIENT_UNKNOWN',
      'fromTypeORM() got a DataSource that is not initialised: it has no pool yet.',
      'Call it after: await dataSource.initialize().',
    )
  }
  const driver = dataSource.driver as Driver
  const where = 'The client of TypeORM'
  const database = databaseOver(driver.master ?? driver.pool ?? driver.databaseConnection, where)
  for (const replica of driver.slaves ?? []) databaseOver(replica, where)
  driver.queryRunner?.stmtCache?.clear() // what was prepared before the client carried anything
  return throughOrm(database, {
    client: dataSource,
    names: typeOrmNames(dataSource),
    run: async (sql) => dataSource.query(sql),
    handle: async (transaction: { queryRunner?: QueryRunner | undefined } & QueryRunner) => {
      const runner = transaction.queryRunner ?? transaction
      return runner.isTransactionActive ? runner.connect() : undefined
    },
  })
}

/** The names of the entities of an initialised DataSource, for a policy file. */
export function typeOrmNames({ entityMetadatas, driver }: TypeOrmLike): Names {
  const stored = (entityMetadatas as readonly Entity[]).filter(({ tableType }) => tableType !== 'view')
  // of entities that share a table, the one that the others extend comes first
  const sorted = stored.toSorted((a, b) => a.inheritanceTree.length - b.inheritanceTree.length)
  return Object.fromEntries(
    sorted.map(({ name, tableName: table, schema, columns }) => {
      const real = columns.filter(({ isVirtualProperty }) => !isVirtualProperty)
      // a property of its own says more than the relation over the same column
      const ordered = real.toSorted((a, b) => Number(a.isVirtual) - Number(b.isVirtual))
      const fields = new Map<string, string>()
      for (const { propertyPath, databaseName } of ordered)
        if (!fields.has(propertyPath)) fields.set(propertyPath, databaseName)
      return [
        name,
        {
          table: tableName(table, schema, (driver as Driver).searchSchema),
          fields: Object.fromEntries(fields),
        },
      ]
    }),
  )
}

interface Driver {
  readonly master?: unknown
  readonly slaves?: readonly unknown[]
  readonly pool?: unknown
  readonly databaseConnection?: unknown
  readonly searchSchema?: string
  readonly queryRunner?: { readonly stmtCache?: Map<string, unknown> }
}

interface QueryRunner {
  readonly isTransactionActive?: boolean
  connect(): Promise<unknown>
}

interface Entity {
  readonly name: string
  readonly tableName: string
  readonly schema?: string
  readonly tableType: string
  readonly inheritanceTree: readonly unknown[]
  readonly columns: readonly {
    readonly propertyPath: string
    readonly databaseName: string
    readonly isVirtual: boolean
    readonly isVirtualProperty: boolean
  }[]
}
