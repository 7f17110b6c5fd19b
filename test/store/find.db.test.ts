import { Pool } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { fromPg } from '../../src/database/postgres.ts'
import { type Audit, createAudit } from '../../src/index.ts'
import { freshDatabase, type TestDatabase } from '../harness/postgres.ts'

let database: TestDatabase
let audit: Audit<Pool>

beforeAll(async () => {
  database = await freshDatabase()
  await database.pool.query(
    'create table page (url text primary key); create table burst (id int primary key)',
  )
  audit = createAudit({ database: fromPg(new Pool({ connectionString: database.url })) })
  await audit.migrate()
})
afterAll(async () => {
  await audit.close()
  await audit.client.end()
  await database.drop()
})

const all = async (model: string): Promise<string[]> =>
  (
    await database.pool.query<{ id: string }>(
      'select e.id::text from whodunit.entry e where model = $1 order by at desc, e.id desc',
      [model],
    )
  ).rows.map(({ id }) => id)

test('keys longer than a row of an index are kept apart', async () => {
  const [one, other] = ['a', 'b'].map((end) => `${'x'.repeat(1_500)}${end}`)
  await audit.client.query('insert into page values ($1), ($2)', [one, other])
  expect(await audit.history('page', one!)).toHaveLength(1)
})

test('row changes of equal times are paged and streamed in the order of the index [G1]', async () => {
  await audit.client.query('insert into burst select generate_series(1, 1300)')
  await database.pool.query(
    `set session_replication_role = replica; update whodunit.entry set at = date_trunc('second', at) where model = 'burst'; reset session_replication_role`,
  )
  const streamed: string[] = []
  for await (const { id } of audit.entries.stream({ model: 'burst' })) streamed.push(id)
  expect(streamed).toEqual(await all('burst'))
})
