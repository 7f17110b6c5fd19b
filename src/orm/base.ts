import { type AuditDatabase, AuditError, type Names } from '../index.ts'

/** What an ORM adds to the database over its client. */
export interface OrmParts<Client> {
  /** What the application works with; it becomes `audit.client`. */
  readonly client: Client
  readonly names: Names
  /** Sends a statement by the ORM, as the application's own are sent, and answers its rows in whatever form. */
  run(sql: string): Promise<unknown>
  /** The transaction of the client inside of one of the ORM. */
  handle(transaction: never): unknown
}

/**
 * The database of an ORM: proved through the ORM itself, in its names, with its transactions for `audit.in()`. `database` is
 * the one over the client that was found in the ORM.
 */
export function throughOrm<Client, Transaction>(
  database: AuditDatabase<unknown, never>,
  { client, names, run, handle }: OrmParts<Client>,
): AuditDatabase<Client, Transaction> {
  const handleOf = async (transaction: Transaction): Promise<never> => {
    const found = await handle(transaction as never)
    if ((typeof found === 'object' || typeof found === 'function') && found !== null) return found as never
    throw new AuditError(
      'AUDIT_CLIENT_UNKNOWN',
      'audit.in() got no open transaction of the ORM.',
      'Pass the one that the ORM gives to the function that runs in it.',
    )
  }
  const { attach: _ofTheClientBelow, ...rest } = database
  return {
    ...rest,
    client,
    names,
    writeIn: async (transaction, entries) => database.writeIn(await handleOf(transaction), entries),
    hashIn: async (transaction, values) => database.hashIn(await handleOf(transaction), values),
    probe: async () => database.probe(async (sql) => rowsIn(await run(sql))),
  }
}

/** Rows as ORMs answer them: alone, in front of what else was answered, or as a member. */
function rowsIn(answer: unknown): readonly object[] {
  const { rows } = (answer ?? {}) as { rows?: unknown }
  if (Array.isArray(rows)) return rows as object[]
  if (!Array.isArray(answer)) return []
  return (Array.isArray(answer[0]) ? answer[0] : answer) as object[]
}

/** The table of a model, as the trail has it: with its schema, but for the default one. */
export function tableName(table: string, schema?: string | null, defaultSchema = 'public'): string {
  return schema && schema !== defaultSchema ? `${schema}.${table}` : table
}

export function unknownOrm(door: string, wanted: string): AuditError {
  return new AuditError(
    'AUDIT_CLIENT_UNKNOWN',
    `${door} got no ${wanted}.`,
    `Pass the ${wanted} that the application works with.`,
  )
}
