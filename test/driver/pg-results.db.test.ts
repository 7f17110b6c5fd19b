import pg from 'pg'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { createAudit } from '../../src/index.ts'
import { fromPg } from '../../src/database/postgres.ts'
import { freshDatabase, type TestDatabase } from '../harness/postgres.ts'

let database: TestDatabase
let plain: pg.Pool
const openAudit = (options: pg.PoolConfig = {}) =>
  createAudit({ database: fromPg(new pg.Pool({ connectionString: database.url, max: 2, ...options })) })
let audit: ReturnType<typeof openAudit>

beforeAll(async () => {
  database = await freshDatabase()
  plain = new pg.Pool({ connectionString: database.url, max: 1 })
  audit = openAudit()
  await plain.query(`create table item (id int primary key, note text, at timestamptz default now())`)
  await plain.query(`insert into item (id, note) select n, 'row ' || n from generate_series(1, 20) n`)
  await audit.migrate()
})
afterAll(async () => {
  await audit.close()
  await audit.client.end()
  await plain.end()
  await database.drop()
})

const asAnn = <T>(work: () => Promise<T>): Promise<T> => audit.withContext({ actor: { id: 'ann' } }, work)
/** One connection of the pool, released when the test ends. */
async function connect(of = audit.client) {
  const client = await of.connect()
  onTestFinished(() => client.release(true))
  return client
}

const visible = (result: unknown): unknown =>
  Array.isArray(result)
    ? result.map(visible)
    : (({ command, rowCount, oid, rows, fields }) => ({ command, rowCount, oid, rows, fields }))(
        result as pg.QueryResult,
      )

test.each<[string, string | pg.QueryConfig | pg.QueryArrayConfig]>([
  ['a select', 'select * from item order by id'],
  ['parameters', { text: 'select $1::int as a, $2::text as b', values: [1, null] }],
  ['arrays as rows', { text: 'select id, note from item order by id', values: [], rowMode: 'array' }],
  ['arrays of a text', { text: 'select 1 as a, 2 as a', rowMode: 'array' }],
  ['a write that returns', { text: 'update item set note = note where id < $1 returning id', values: [4] }],
  ['a write without rows', 'delete from item where id = -1'],
  [
    'several statements',
    `set local a.b = 'c'; select 1 as one; begin; select 2 as two, 3 as three; commit; show a.b`,
  ],
  ['several of one', 'select 1; ; -- nothing'],
  ['a SET of its own', `set application_name = 'x'; select current_setting('application_name')`],
  ['an empty text', ''],
  ['a comment', '-- nothing'],
  ['a named statement', { name: 'some', text: 'select note from item where id = $1', values: [2] }],
  [
    'types of its own',
    { text: 'select 1::int8 as n', types: { getTypeParser: () => () => 'parsed' } } as never,
  ],
  ['pages of rows', { text: 'select id from item order by id', values: [], rows: 7 } as never],
  ['binary results', { text: 'select $1::int as n', values: [5], binary: true } as never],
  ['an explain', 'explain (costs off) select 1'],
])('%s answers what it does without the wrapper', async (_, given) => {
  const query = given as string
  const [without, within] = [await plain.query(query), await asAnn(async () => audit.client.query(query))]
  expect(visible(within)).toEqual(visible(without))
  // inside a transaction, where nothing is sent the second time
  const client = await connect()
  await client.query('begin')
  expect(visible(await asAnn(async () => client.query(query)))).toEqual(visible(without))
  expect(visible(await asAnn(async () => client.query(query)))).toEqual(visible(without))
})

test.each<[string, string, unknown[]?]>([
  ['a syntax error', 'selec 1'],
  ['an unknown table', 'insert into nowhere values (1)'],
  ['an unknown column, with parameters', 'select nothing from item where id = $1', [1]],
  ['a duplicate key', `insert into item values (1, 'again')`],
  ['a duplicate key, with parameters', 'insert into item values ($1)', [1]],
  ['an error inside a function', `do $$ begin perform 1 / 0; end $$`],
  ['an error in a later statement', `select 1; select '\u{1f600}'; select nothing`],
  ['a value that does not fit', 'select $1::int', ['abc']],
])('%s is the same error', async (_, text, values) => {
  const failure = async (pool: pg.Pool) =>
    pool.query(text, values).then(
      () => undefined,
      (error: Error) => error,
    )
  const [without, within] = [await failure(plain), await asAnn(async () => failure(audit.client))]
  // `length` counts the bytes of the message on the wire
  const { length: _length, ...fields } = without as pg.DatabaseError
  expect(within).toMatchObject({ ...fields, message: without!.message })
  expect(within!.constructor).toBe(without!.constructor)
  expect(within!.stack).toContain('pg-results.db.test.ts')
})

test('misuse is refused as without the wrapper', async () => {
  const client = await connect()
  await asAnn(async () => {
    expect(() => client.query(null as never)).toThrow('Client was passed a null or undefined query')
    expect(() => client.query('select 1', [], 'no function' as never)).toThrow('callback is not a function')
    await expect(client.query({} as never)).rejects.toThrow('A query must have either text or a name')
    await expect(client.query('select 1', 'no list' as never)).rejects.toThrow(
      'Query values must be an array',
    )
    const unreadable = { toPostgres: () => { throw new Error('not to be read') } } // prettier-ignore
    await expect(client.query('select $1::text', [unreadable])).rejects.toThrow('not to be read')
    await client.query({ name: 'one', text: 'select 1' })
    await expect(client.query({ name: 'one', text: 'select 2' })).rejects.toThrow(
      'Prepared statements must be unique',
    )
    expect((await client.query('select $1::int as n', [1])).rows).toEqual([{ n: 1 }])
  })
})
