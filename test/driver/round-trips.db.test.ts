import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createAudit } from '../../src/index.ts'
import { fromPg } from '../../src/database/postgres.ts'
import { freshDatabase, type TestDatabase } from '../harness/postgres.ts'
import { type CountingProxy, countingProxy } from './proxy.ts'

let database: TestDatabase
let proxy: CountingProxy
let plain: pg.Client
let client: pg.Client
const openAudit = () => createAudit({ database: fromPg(new pg.Client({ connectionString: proxy.url })) })
let audit: ReturnType<typeof openAudit>

beforeAll(async () => {
  database = await freshDatabase()
  proxy = await countingProxy(database.url)
  plain = new pg.Client({ connectionString: proxy.url })
  audit = openAudit()
  client = audit.client
  await plain.connect()
  await client.connect()
  await plain.query(`create table item (id int generated always as identity primary key, note text)`)
  await plain.query(
    `create procedure add() language plpgsql as $$ begin insert into item default values; commit; insert into item default values; end $$`,
  )
  await audit.migrate()
})
afterAll(async () => {
  await audit.close()
  await client.end()
  await plain.end()
  await proxy.close()
  await database.drop()
})

const insert = `insert into item (note) values ($1)`
const cases: [string, (on: pg.Client) => Promise<unknown>][] = [
  ['a write with parameters', async (on) => on.query(insert, ['a'])],
  ['a write without parameters', async (on) => on.query(`insert into item (note) values ('a')`)],
  ['a write by a named statement', async (on) => on.query({ name: 'add', text: insert, values: ['a'] })],
  [
    'several statements in a text',
    async (on) => on.query(`begin; insert into item default values; commit; select 1`),
  ],
  ['a CALL that commits inside', async (on) => on.query('call add()')],
  ['a DO block', async (on) => on.query('do $$ begin insert into item default values; end $$')],
  [
    'a transaction with savepoints',
    async (on) => {
      await on.query('begin')
      await on.query(insert, ['a'])
      await on.query('savepoint s')
      await on.query(`insert into item (note) values ('b')`)
      await on.query('rollback to s')
      await on.query(insert, ['c'])
      await on.query('commit')
    },
  ],
]

test.each(cases)('%s takes no round trip and no packet more [C8]', async (_, work) => {
  const measure = async (on: pg.Client) => {
    await work(on)
    proxy.take()
    await work(on)
    return proxy.take()
  }
  const without = await measure(plain)
  expect(without.roundTrips).toBeGreaterThan(0)
  const within = await audit.withContext({ actor: { id: 'ann' }, reason: 'counted' }, async () =>
    measure(client),
  )
  expect(within).toEqual(without)
  expect(await measure(client)).toEqual(without)
})

test('inside a transaction the context is sent once, not with every write', async () => {
  const bytes = async (work: () => Promise<unknown>) => {
    const { bytesWritten } = (client as any).connection.stream
    await work()
    return (client as any).connection.stream.bytesWritten - bytesWritten
  }
  const reason = 'x'.repeat(900)
  await audit.withContext({ actor: { id: 'ann' }, reason }, async () => {
    await client.query('begin')
    const first = await bytes(async () => client.query(insert, ['a']))
    const second = await bytes(async () => client.query(insert, ['a']))
    expect(first).toBeGreaterThan(900)
    expect(second).toBeLessThan(300)
    await client.query('commit')
  })
})
