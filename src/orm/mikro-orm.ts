import { databaseOver } from '../database/base.ts'
import { type AuditDatabase, AuditError, type Names } from '../index.ts'
import { tableName, throughOrm, unknownOrm } from './base.ts'
import { asClient, type RunsCompiled } from './base/kysely.ts'

/** What is used of a `MikroORM`. */
export interface MikroOrmLike {
  readonly em: object
  getMetadata(): object
}

/** What is used of an `EntityManager` inside of a transaction. */
export interface MikroOrmTransactionLike {
  getTransactionContext(): unknown
}

/**
 * PostgreSQL through MikroORM 7, whose own copy of `pg` is instrumented, whichever the application has besides.
 *
 * It has to be awaited: MikroORM connects before it shows its pool. `audit.client` is the same MikroORM. Models are called as
 * the entities, fields as their properties, embedded ones by their path. `audit.in()` takes the EntityManager that
 * `em.transactional()` gives.
 *
 * @throws AUDIT_CLIENT_UNKNOWN for anything but a MikroORM over a pool of `pg`
 * @example
 * const orm = await MikroORM.init(options)
 * const audit = createAudit({ ...config, database: await fromMikroORM(orm) })
 */
export async function fromMikroORM<T extends MikroOrmLike>(
  orm: T,
): Promise<AuditDatabase<T, MikroOrmTransactionLike>> {
  const connection = (orm?.em as EntityManager | undefined)?.getConnection?.()
  if (!connection) throw unknownOrm('fromMikroORM()', 'MikroORM')
  if (typeof connection.getNativeClient !== 'function') {
    throw new AuditError(
      'AUDIT_CLIENT_UNKNOWN',
      'This MikroORM does not show the client below it.',
      'Use @mikro-orm/postgresql 7.2 or later.',
    )
  }
  const database = databaseOver(await connection.getNativeClient(), 'The client of MikroORM')
  return throughOrm(database, {
    client: orm,
    names: mikroOrmNames(orm),
    run: async (sql) => connection.execute(sql),
    handle: (em: MikroOrmTransactionLike) => {
      const transaction = em.getTransactionContext?.() as RunsCompiled | undefined
      return transaction && asClient(transaction)
    },
  })
}

/** The names of the entities of a MikroORM, connected or not, for a policy file. */
export function mikroOrmNames(orm: MikroOrmLike): Names {
  const { getAll } = orm.getMetadata() as { getAll(): ReadonlyMap<unknown, Entity> }
  const all = [...getAll.call(orm.getMetadata()).values()]
  const stored = all.filter(({ embeddable, virtual, view }) => !embeddable && !virtual && !view)
  // of entities that share a table, the one that the others extend comes first
  const sorted = stored.toSorted((a, b) => Number(a.root !== a) - Number(b.root !== b))
  return Object.fromEntries(
    sorted.map(({ className, tableName: table, schema, properties }) => [
      className,
      {
        table: tableName(table, schema === '*' ? undefined : schema),
        fields: Object.fromEntries(Object.values(properties).flatMap((one) => fieldsOf(one, properties))),
      },
    ]),
  )
}

/** The columns of one property: none, one, or those of the key that it refers to. */
function fieldsOf(
  property: Property,
  properties: Readonly<Record<string, Property>>,
): readonly (readonly [field: string, column: string])[] {
  const { kind, persist, object, mappedBy, fieldNames = [], referencedColumnNames = [] } = property
  const elsewhere = mappedBy !== undefined || kind === '1:m' || kind === 'm:n'
  // the columns of an embedded object stand as properties of their own
  if (persist === false || elsewhere || (kind === 'embedded' && !object)) return []
  const path = pathOf(property, properties)
  return fieldNames.map((column, index) => [
    fieldNames.length === 1 ? path : `${path}.${referencedColumnNames[index] ?? column}`,
    column,
  ])
}

function pathOf({ name, embedded }: Property, properties: Readonly<Record<string, Property>>): string {
  const outer = embedded && properties[embedded[0]]
  return outer ? `${pathOf(outer, properties)}.${embedded[1]}` : name
}

interface EntityManager {
  getConnection?(): {
    getNativeClient?(): Promise<unknown>
    execute(sql: string): Promise<unknown>
  }
}

interface Entity {
  readonly className: string
  readonly tableName: string
  readonly schema?: string
  readonly embeddable?: boolean
  readonly virtual?: boolean
  readonly view?: unknown
  readonly root: unknown
  readonly properties: Readonly<Record<string, Property>>
}

interface Property {
  readonly name: string
  readonly kind: string
  readonly persist?: boolean
  readonly object?: boolean
  readonly mappedBy?: string
  readonly fieldNames?: readonly string[]
  readonly referencedColumnNames?: readonly string[]
  readonly embedded?: readonly [outer: string, name: string]
}
