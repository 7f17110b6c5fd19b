import pg from 'pg'
import postgres, { type Sql } from 'postgres'
import { createAudit } from '../../src/index.ts'
import { fromPostgresJs, type PostgresJsOptions } from '../../src/database/postgres.ts'
import type { DriverUnderTest, StatementsUnderTest } from '../../src/testing/index.ts'

type Unsafe = Pick<Sql, 'unsafe'>

/** The suite's operations over postgres.js with `max` connections. */
export function postgresJsUnderTest(
  url: string,
  max: number,
  options: PostgresJsOptions & { readonly prepare?: boolean; readonly direct?: string } = {},
): DriverUnderTest {
  const { prepare = true, direct = url, ...rest } = options
  const original = postgres(url, { max, prepare, onnotice() {} })
  const audit = createAudit({ database: fromPostgresJs(original, rest) })
  const sql = audit.client
  const reserved = async <T>(fn: (on: StatementsUnderTest) => Promise<T>): Promise<T> => {
    const connection = await sql.reserve()
    try {
      return await fn(statements(connection))
    } finally {
      connection.release()
    }
  }
  return {
    ...statements(sql),
    // postgres.js allows BEGIN on a connection of one's own only
    text: async (text) =>
      /\bbegin\b|^rollback/i.test(text)
        ? reserved(async (connection) => connection.text!(text))
        : sql.unsafe(text),
    audit,
    postgres: true,
    chains: true,
    setUp: async (text) => once(direct, text),
    connection: reserved,
    transaction: async (fn) =>
      sql.begin(async (tx) => fn({ ...statements(tx), handle: tx })) as Promise<never>,
    leftovers: async () => {
      const held = await Promise.all(Array.from({ length: max }, async () => original.reserve()))
      const values = await Promise.all(
        held.map(async (one) => one`select current_setting('whodunit.context', true) as value`),
      )
      for (const one of held) one.release()
      return values.map(([row]) => row!['value'])
    },
    close: async () => original.end(),
  }
}

function statements(on: Unsafe): StatementsUnderTest {
  return {
    query: async (text, parameters = []) => on.unsafe(text, parameters as never[]),
    text: async (text) => on.unsafe(text),
    prepared: async (_name, text, parameters) => on.unsafe(text, parameters as never[], { prepare: true }),
  }
}

async function once(url: string, text: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(text)
  } finally {
    await client.end()
  }
}
