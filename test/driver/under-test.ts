import { PGlite } from '@electric-sql/pglite'
import pg from 'pg'
import { createAudit } from '../../src/index.ts'
import { fromPg, fromPglite } from '../../src/database/postgres.ts'
import type { DriverUnderTest, StatementsUnderTest, TransactionUnderTest } from '../../src/testing/index.ts'

type Queryable = Pick<pg.ClientBase, 'query'>

/** The suite's operations over a pool of `max` connections; the schema goes through one of its own. */
export function poolUnderTest(url: string, max: number, direct = url): DriverUnderTest {
  const audit = createAudit({ database: fromPg(new pg.Pool({ connectionString: url, max })) })
  const pool = audit.client
  return {
    ...statements(pool),
    audit,
    postgres: true,
    chains: true,
    setUp: async (sql) => once(direct, async (client) => client.query(sql)),
    connection: async (fn) => {
      const client = await pool.connect()
      try {
        return await fn(statements(client))
      } finally {
        client.release()
      }
    },
    transaction: async (fn) => {
      const client = await pool.connect()
      try {
        return await inTransaction(client, fn)
      } finally {
        client.release()
      }
    },
    callbacks: [
      (sql, parameters, done) => pool.query(sql, [...parameters], done),
      (sql, parameters, done) =>
        pool.connect((error, client, release) => {
          if (error || !client) return done(error)
          return client.query(sql, [...parameters], (failed) => {
            release()
            done(failed ?? undefined)
          })
        }),
      (sql, parameters, done) => pool.query({ text: sql, values: [...parameters] }, done as never),
    ],
    leftovers: async () => {
      const clients = await Promise.all(Array.from({ length: max }, async () => pool.connect()))
      const values = await Promise.all(clients.map(async (client) => leftover(client)))
      for (const client of clients) client.release()
      return values
    },
    close: async () => pool.end(),
  }
}

/** The same over one lone client, on which everything takes turns. */
export async function clientUnderTest(url: string): Promise<DriverUnderTest> {
  const audit = createAudit({ database: fromPg(new pg.Client({ connectionString: url })) })
  const client = audit.client
  await client.connect()
  let last: Promise<unknown> = Promise.resolve()
  const inTurn = async <T>(work: () => Promise<T>): Promise<T> => {
    const before = last
    let done = (): void => {}
    last = new Promise<void>((resolve) => (done = resolve))
    await before
    return work().finally(done)
  }
  const alone = statements(client)
  return {
    query: async (sql, parameters) => inTurn(async () => alone.query(sql, parameters)),
    text: async (sql) => inTurn(async () => alone.text!(sql)),
    prepared: async (name, sql, parameters) => inTurn(async () => alone.prepared!(name, sql, parameters)),
    audit,
    postgres: true,
    chains: true,
    takesTurns: true,
    setUp: async (sql) => once(url, async (other) => other.query(sql)),
    connection: async (fn) => inTurn(async () => fn(alone)),
    transaction: async (fn) => inTurn(async () => inTransaction(client, fn)),
    callbacks: [
      (sql, parameters, done) =>
        void inTurn(async () => {}).then(() => client.query(sql, [...parameters], done)),
    ],
    leftovers: async () => [await leftover(client)],
    close: async () => client.end(),
  }
}

export async function pgliteUnderTest(): Promise<DriverUnderTest> {
  const original = await PGlite.create()
  const audit = createAudit({ database: fromPglite(original) })
  const client = audit.client
  return {
    query: async (sql, parameters) => client.query(sql, parameters as unknown[]),
    text: async (sql) => client.exec(sql),
    audit,
    postgres: true,
    setUp: async (sql) => original.exec(sql),
    transaction: async (fn) =>
      client.transaction(async (transaction) =>
        fn({
          handle: transaction,
          query: async (sql, parameters) => transaction.query(sql, parameters as unknown[]),
          text: async (sql) => transaction.exec(sql),
        }),
      ),
    leftovers: async () => {
      const { rows } = await original.query<{ value: unknown }>(
        `select current_setting('whodunit.context', true) as value`,
      )
      return rows.map(({ value }) => value)
    },
    close: async () => original.close(),
  }
}

/** A connection of its own, not wrapped. */
async function once<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

function statements(client: Queryable): StatementsUnderTest {
  return {
    query: async (sql, parameters) => client.query(sql, parameters as unknown[]),
    text: async (sql) => client.query(sql),
    prepared: async (name, text, parameters) => client.query({ name, text, values: [...parameters] }),
  }
}

async function inTransaction<T>(
  client: Queryable,
  fn: (transaction: TransactionUnderTest) => Promise<T>,
): Promise<T> {
  await client.query('begin')
  try {
    const result = await fn({ ...statements(client), handle: client })
    await client.query('commit')
    return result
  } catch (error) {
    await client.query('rollback')
    throw error
  }
}

async function leftover(client: Queryable): Promise<unknown> {
  const { rows } = await client.query(`select current_setting('whodunit.context', true) as value`)
  return rows[0].value
}
