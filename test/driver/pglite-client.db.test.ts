import { PGlite } from '@electric-sql/pglite'
import { identifier, raw, sql } from '@electric-sql/pglite/template'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createAudit } from '../../src/index.ts'
import { fromPglite } from '../../src/database/postgres.ts'

const original = new PGlite()
const audit = createAudit({ database: fromPglite(original) })
const client = audit.client

beforeAll(async () => {
  await original.exec('create table item (id int primary key, note text)')
  await audit.migrate()
})
afterAll(async () => {
  await audit.close()
  await original.close()
})

const as = <T>(id: string, work: () => Promise<T>): Promise<T> => audit.withContext({ actor: { id } }, work)
/** Each row that was written, and by whom its entry says. */
async function written(from: number): Promise<string[]> {
  const { entries } = await audit.entries.find({ model: 'item' }, { limit: 100 })
  return entries
    .filter(({ target }) => Number(target!.id) >= from)
    .map(({ target, actor }) => `${target!.id} ${actor?.id ?? null}`)
    .toReversed()
}

test('templates with names, pieces of SQL and values work as without the wrapper', async () => {
  const query = async (on: Pick<PGlite, 'sql'>) =>
    on.sql`select ${identifier`note`} from ${identifier`item`} ${raw`where`} ${sql`id > ${0}`} order by id`
  await as('ann', async () => client.sql`insert into ${identifier`item`} (id, note) values (${1}, ${'a'})`)
  expect((await as('ann', async () => query(client))).rows).toEqual((await query(original)).rows)
  await client.transaction(async (transaction) => {
    await as('bob', async () => transaction.sql`insert into ${identifier`item`} values (${2}, ${'b'})`)
    expect((await query(transaction)).rows).toEqual([{ note: 'a' }, { note: 'b' }])
  })
  expect(await written(1)).toEqual(['1 ann', '2 bob'])
})

test('results and errors are those without the wrapper', async () => {
  // `length` counts the bytes of the message on the wire
  const fields = (error: unknown) => ({ ...(error as object), length: undefined })
  const run = async (on: PGlite, text: string) => on.exec(text).catch(fields)
  const texts = [
    'select 1 as a; select 2 as b',
    'begin; select 1; commit',
    `set a.b = 'c'; show a.b`,
    'select nowhere',
    '',
  ]
  for (const text of texts) {
    expect(await as('ann', async () => run(client, text)), text).toEqual(await run(original, text))
  }
  const failing = async (on: PGlite) => on.query('select $1::int', ['x']).catch(fields)
  expect(await as('ann', async () => failing(client))).toEqual(await failing(original))
})

test('a transaction begun by a statement stays in the hands of the application', async () => {
  await as('ann', async () => {
    await client.query('begin')
    await client.query('insert into item values (10)')
    await client.exec('rollback')
    await client.exec('begin; insert into item values (11)')
    await as('bob', async () => client.query('insert into item values (12)'))
    await client.query('savepoint s')
    await as('bob', async () => client.query('insert into item values (13)'))
    await client.query('rollback to s')
    await client.query('insert into item values (14)')
  })
  await client.query('insert into item values (15)')
  await client.exec('commit')
  await client.query('insert into item values (16)')
  expect(await written(10)).toEqual(['11 ann', '12 bob', '14 ann', '15 null', '16 null'])
})

test('an open transaction keeps others waiting, and their context stays theirs', async () => {
  const slow = client.transaction(async (transaction) => {
    await as('slow', async () => transaction.query('insert into item values (20)'))
    await new Promise((resolve) => setTimeout(resolve, 20))
    await transaction.query('insert into item values (21)')
  })
  await Promise.all([
    slow,
    as('a', async () => client.query('insert into item values (22)')),
    client.query('insert into item values (23)'),
    as('b', async () => client.exec('do $$ begin insert into item values (24); end $$')),
    client.transaction(async (transaction) => transaction.query('insert into item values (25)')),
    as('c', async () => client.query('insert into item values (26)')),
  ])
  expect((await written(20)).toSorted()).toEqual([
    '20 slow',
    '21 null',
    '22 a',
    '23 null',
    '24 b',
    '25 null',
    '26 c',
  ])
})

test('everything else of PGlite is there', async () => {
  expect(client.ready).toBe(true)
  expect(client).toBeInstanceOf(PGlite)
  expect((await client.describeQuery('select $1::int')).queryParams).toHaveLength(1)
  const stop = await client.listen('news', () => {})
  await stop()
  await client.transaction(async (transaction) => {
    await transaction.exec('insert into item values (30)')
    await transaction.rollback()
    expect(transaction.closed).toBe(true)
  })
  expect(await written(30)).toEqual([])
})

test('onError hears of what goes unrecorded in statements, lists and transactions, but not in templates', async () => {
  const [heard, noticed]: [unknown[], unknown[]] = [[], []]
  const reporting = createAudit({
    onCaptureError: 'report',
    database: fromPglite(original),
    onError: (error) => heard.push(error),
  })
  await original.exec('create table stock (id int primary key, n int); insert into stock values (1, 1)')
  await reporting.migrate()
  await original.exec('alter table whodunit.change rename to gone')
  const { client: pglite } = reporting
  await pglite.query('update stock set n = 2')
  await pglite.query('update stock set n = 3', [], { onNotice: (notice) => noticed.push(notice) })
  await pglite.exec('update stock set n = 4')
  await pglite.transaction(async (tx) => tx.query('update stock set n = 5'))
  await reporting.withContext({ actor: { id: 'ann' } }, async () => pglite.query('update stock set n = 6'))
  expect([heard.length, noticed.length]).toEqual([5, 1])
  await pglite.sql`update stock set n = 7`
  await original.query('update stock set n = 8')
  await reporting.close()
  await pglite.query('update stock set n = 9')
  expect(heard).toHaveLength(5)
  const { unrecorded } = await reporting.status()
  expect(unrecorded).toMatchObject([{ model: 'stock', changes: 8, causes: ['42P01'] }])
  await original.exec('alter table whodunit.gone rename to change')
})
