import { databaseOver } from '../database/base.ts'
import { type AuditDatabase, AuditError, type Names } from '../index.ts'
import { tableName, throughOrm, unknownOrm } from './base.ts'

/** What is used of a database of Drizzle; its kind depends on the client below it. */
export interface DrizzleLike {
  readonly _: { readonly fullSchema?: object }
  select(...fields: never[]): unknown
}

/** What is used of a transaction of Drizzle. */
export interface DrizzleTransactionLike {
  rollback(): never
  select(...fields: never[]): unknown
}

export interface DrizzleOptions {
  /** The tables, by their names in the application. @default the schema that Drizzle was given */
  readonly schema?: Readonly<Record<string, unknown>>
}

/**
 * Any database through Drizzle, over `pg`, postgres.js, PGlite, mysql2, better-sqlite3 or libsql.
 *
 * The client below is found and made to carry the context; `audit.client` is the same Drizzle, and `db.$client` what it
 * works with from then on. Models are called as the schema exports them, fields as the keys of their columns.
 * `audit.in()` takes the transaction that Drizzle gives. A query must be awaited inside the context: Drizzle sends it then.
 *
 * @throws AUDIT_CLIENT_UNKNOWN for anything but a Drizzle over such a client
 * @example
 * const audit = createAudit({ ...config, database: fromDrizzle(drizzle(pool, { schema })) })
 */
export function fromDrizzle<T extends DrizzleLike>(
  db: T,
  options: DrizzleOptions = {},
): AuditDatabase<T, DrizzleTransactionLike> {
  const inner = db as unknown as Drizzle
  const client = inner?.$client
  if (!client || typeof inner.session !== 'object') throw unknownOrm('fromDrizzle()', 'database of Drizzle')
  const database = databaseOver(client, 'The client of Drizzle')
  if (database.client !== client) useView(inner, database.client)
  const casing = inner.dialect?.casing
  const names = namesOf(options.schema ?? inner._?.fullSchema ?? {}, (column) =>
    column.keyAsName && casing ? casing.getColumnCasing(column) : column.name,
  )
  return throughOrm(database, {
    client: db,
    names,
    run: async (sql) => (inner.execute ? inner.execute(sql) : inner.all!(sql)),
    handle: ({ session }: { session?: Session }) => session?.tx ?? session?.client,
  })
}

/**
 * The names of a schema of Drizzle, for a policy file: `defineAudit({ names: drizzleNames(schema) })`. Where Drizzle is
 * told a `casing`, use `fromDrizzle(db).names`.
 */
export function drizzleNames(schema: Readonly<Record<string, unknown>>): Names {
  return namesOf(schema, ({ name }) => name)
}

interface Session {
  client?: unknown
  readonly tx?: unknown
}

interface Column {
  readonly name: string
  readonly keyAsName?: boolean
}

interface Drizzle {
  $client: unknown
  readonly session: Session
  readonly _?: { readonly fullSchema?: object }
  readonly dialect?: { readonly casing?: { getColumnCasing(column: Column): string } }
  execute?(sql: string): Promise<unknown>
  all?(sql: string): Promise<unknown>
}

/** Where a client cannot be changed in place, Drizzle is given the view of it that carries the context. */
function useView(db: Drizzle, view: unknown): void {
  if (db.session.client !== db.$client) {
    throw new AuditError(
      'AUDIT_CLIENT_UNKNOWN',
      'This Drizzle does not show the client that its queries go through.',
      'Wrap the client first, fromPglite(client) or its like, and make Drizzle over audit.client.',
    )
  }
  db.session.client = view
  db.$client = view
}

// Drizzle keeps these under symbols that every copy of it shares
const [isTable, tableOf, schemaOf, columnsOf] = ['IsDrizzleTable', 'OriginalName', 'Schema', 'Columns'].map(
  (name) => Symbol.for(`drizzle:${name}`),
) as [symbol, symbol, symbol, symbol]

function namesOf(schema: object, nameOf: (column: Column) => string): Names {
  const tables = Object.entries(schema).filter(
    ([, table]) => typeof table === 'object' && table !== null && isTable in table,
  )
  return Object.fromEntries(
    tables.map(([model, table]: [string, Record<symbol, unknown>]) => {
      const columns = Object.entries(table[columnsOf] as Record<string, Column>)
      return [
        model,
        {
          table: tableName(String(table[tableOf]), table[schemaOf] as string | undefined),
          fields: Object.fromEntries(columns.map(([field, column]) => [field, nameOf(column)])),
        },
      ]
    }),
  )
}
