import { expect, test } from 'vitest'
import { captureDatabase } from './fixture.ts'

const capture = captureDatabase()
const cut = (length: number) => ({ $: 'cut', length })

test('a value is kept up to the limit in bytes, and cut with its length beyond [B8]', async () => {
  const world = await capture.audited(
    'create table item (id int primary key, t text, v varchar(200), j jsonb, b bytea, list int[])',
    { maxValueBytes: 100 },
  )
  await world.sql(
    `insert into item values (1, repeat('x', 100), repeat('v', 100), to_jsonb(repeat('j', 98)), decode(repeat('ab', 49), 'hex'), '{1}')`,
  )
  await world.sql(`insert into item values (2, repeat('x', 101), repeat('v', 101), to_jsonb(repeat('j', 99)), decode(repeat('ab', 50), 'hex'),
    array(select generate_series(1, 100)))`)
  await world.sql(`insert into item (id, t) values (3, repeat('é', 50)), (4, repeat('é', 51))`)
  const [kept, shortened, fits, tooLong] = (await world.recorded()).map(([, , changes]) => changes!)
  expect(kept!['t']![1]).toBe('x'.repeat(100))
  expect(kept!['j']![1]).toBe(`"${'j'.repeat(98)}"`)
  expect(kept!['b']![1]).toBe(`\\x${'ab'.repeat(49)}`)
  expect(shortened).toMatchObject({
    t: [null, cut(101)],
    j: [null, cut(101)],
    b: [null, cut(102)],
    list: [null, cut(293)],
  })
  expect(shortened!['v']![1]).toEqual(cut(101))
  expect([fits!['t']![1], tooLong!['t']![1]]).toEqual(['é'.repeat(50), cut(51)])
})

test('long values that did not change are not listed, and are not read', async () => {
  const world = await capture.audited(`create table item (id int primary key, n int, big text, j jsonb);
    insert into item select 1, 1, string_agg(md5(i::text), ''), jsonb_build_object('x', string_agg(md5(i::text), '')) from generate_series(1, 3000) i`)
  await world.sql('update item set n = 2')
  expect(await world.recorded()).toEqual([['UPDATE', '1', { n: [1, 2] }]])
})

test('a key of 10,000 characters does not fail the write, and history finds it', async () => {
  const world = await capture.audited(
    'create table item (code text primary key, n int); create table pair (a text, b text, primary key (a, b))',
  )
  // random text: what compresses would fit into an index in any case
  const long = Array.from({ length: 640 }, () => Math.random().toString(36).slice(2, 6).padEnd(4, 'x')).join(
    '',
  )
  await world.sql('insert into item values ($1, 1)', [long])
  await world.sql('update item set n = 2')
  await world.sql('update item set code = $1', [`${long}!`])
  const huge = 'k'.repeat(10_000)
  await world.sql('insert into item values ($1, 1)', [huge])
  await world.sql('delete from item where code = $1', [huge])
  expect((await world.audit.history('item', `${long}!`)).map(({ action }) => action)).toEqual([
    'UPDATE',
    'UPDATE',
    'CREATE',
  ])
  expect((await world.audit.history('item', huge)).map(({ action }) => action)).toEqual(['DELETE', 'CREATE'])
  expect(await world.audit.history('item', 'k'.repeat(9_999))).toEqual([])
})

test('a table of 1,600 columns is recorded in full, also after it changed', async () => {
  const columns = Array.from({ length: 1_599 }, (_, n) => `c${n} smallint`).join(', ')
  const world = await capture.audited(`create table wide (id int primary key, ${columns})`, {
    models: { wide: { label: '{c1598}' } },
  })
  const names = Array.from({ length: 1_599 }, (_, n) => `c${n}`).join(', ')
  await world.sql(
    `insert into wide (id, ${names}) values (1, ${Array.from({ length: 1_599 }, (_, n) => n).join(', ')})`,
  )
  await world.sql('update wide set c0 = 1, c1598 = 0')
  await world.sql('alter table wide rename c7 to other')
  await world.sql('update wide set other = 8, c9 = 10')
  await world.sql('delete from wide')
  const recorded = await world.recorded()
  expect(Object.keys(recorded[0]![2]!)).toHaveLength(1_600)
  expect(recorded[1]![2]).toEqual({ c0: [0, 1], c1598: [1_598, 0] })
  expect(recorded[2]![2]).toEqual({ other: [7, 8], c9: [9, 10] })
  expect(Object.keys(recorded[3]![2]!)).toHaveLength(1_600)
  expect((await world.entries()).find(({ action }) => action === 'CREATE')!.target!.label).toBe('1598')
})

test('a statement of 20,000 rows writes 20,000 entries [C7]', async () => {
  const world = await capture.audited('create table many (id int primary key, n int)')
  await world.sql('insert into many select n, n from generate_series(1, 20000) n')
  await world.sql('update many set n = n + 1')
  const { rows } =
    await world.sql(`select action, count(*)::int as n, count(distinct target_id)::int as targets, count(distinct tx)::int as txs
    from whodunit.entries where model = 'many' group by 1 order by 1`)
  expect(rows).toEqual([
    { action: 'CREATE', n: 20_000, targets: 20_000, txs: 1 },
    { action: 'UPDATE', n: 20_000, targets: 20_000, txs: 1 },
  ])
})
