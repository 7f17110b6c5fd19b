import { expect, test } from 'vitest'
import { captureDatabase, short } from './fixture.ts'

const capture = captureDatabase()
const parted = `create table part (id int, region text, n int, primary key (id, region)) partition by list (region);
  create table part_eu partition of part for values in ('eu');
  create table part_us (n int, region text not null, id int not null, gone int); alter table part_us drop gone;
  alter table part attach partition part_us for values in ('us');
  create table part_rest partition of part default partition by range (id);
  create table part_rest_low partition of part_rest for values from (0) to (100)`

test('a partition reports its parent, however it is written to', async () => {
  const world = await capture.audited(parted, { models: { part: { label: 'in {region}' } } })
  await world.sql(`insert into part values (1, 'eu', 1), (2, 'us', 2), (3, 'asia', 3)`)
  await world.sql(
    `update part_us set n = 20; insert into part_eu values (4, 'eu', 4); delete from part_rest_low`,
  )
  expect(await world.recorded()).toEqual([
    ['CREATE', '["1","eu"]', { id: [null, 1], region: [null, 'eu'], n: [null, 1] }],
    ['CREATE', '["2","us"]', { id: [null, 2], region: [null, 'us'], n: [null, 2] }],
    ['CREATE', '["3","asia"]', { id: [null, 3], region: [null, 'asia'], n: [null, 3] }],
    ['UPDATE', '["2","us"]', { n: [2, 20] }],
    ['CREATE', '["4","eu"]', { id: [null, 4], region: [null, 'eu'], n: [null, 4] }],
    ['DELETE', '["3","asia"]', { id: [3, null], region: ['asia', null], n: [3, null] }],
  ])
  const entries = (await world.entries()).filter(({ kind }) => kind === 'change')
  expect(new Set(entries.map(({ target }) => target!.model))).toEqual(new Set(['part']))
  expect(entries[1]!.target!.label).toBe('in us')
  expect(await world.status()).toEqual({ part: 'audited' })
})

test('a row that moves to another partition is deleted there and created here, in one transaction', async () => {
  const world = await capture.audited(`${parted}; insert into part values (1, 'eu', 1)`)
  await world.sql(`update part set region = 'us', n = 2`)
  expect(short(await world.entries())).toEqual([
    'DELETE part ["1","eu"] id,region,n',
    'CREATE part ["1","us"] id,region,n',
  ])
  expect(
    new Set((await world.entries()).filter(({ kind }) => kind === 'change').map(({ tx }) => tx)).size,
  ).toBe(1)
})

test('a partition made or attached later is recorded at once; one detached shows as missing', async () => {
  const world = await capture.audited(parted)
  await world.sql(
    `create table part_asia partition of part for values in ('asia'); insert into part values (1, 'asia', 1)`,
  )
  await world.sql(
    `create table part_au (like part including all); insert into part_au values (2, 'au', 2); alter table part attach partition part_au for values in ('au')`,
  )
  await world.sql(`update part set n = 3`)
  expect(short(await world.entries())).toEqual([
    'CREATE part ["1","asia"] id,region,n',
    'UPDATE part ["1","asia"] n',
    'UPDATE part ["2","au"] n',
  ])
  await world.sql('alter table part detach partition part_au')
  expect(await world.status()).toEqual({ part: 'audited', part_au: 'missing' })
  await world.audit.migrate()
  await world.sql('update part_au set n = 4')
  expect(short(await world.entries()).at(-1)).toBe('UPDATE part_au ["2","au"] n')
})

test('an audited table becomes a partition once its own capture is removed', async () => {
  const world = await capture.audited(
    `${parted}; create table old (like part including all); insert into old values (5, 'old', 5)`,
  )
  await expect(world.sql(`alter table part attach partition old for values in ('old')`)).rejects.toThrow(
    '!whodunit',
  )
  await world.sql(
    `drop trigger "!whodunit" on old; drop trigger "!whodunit_truncate" on old; alter table part attach partition old for values in ('old')`,
  )
  await world.sql(`update part set n = 6`)
  expect(short(await world.entries())).toEqual(['UPDATE part ["5","old"] n'])
  expect(await world.status()).toEqual({ part: 'audited' })
})

test('a changed partitioned table is recorded while it differs, through each partition', async () => {
  const world = await capture.audited(
    `${parted}; insert into part values (1, 'eu', 1), (2, 'us', 2), (3, 'asia', 3)`,
  )
  await world.sql(`alter table part rename n to m; alter table part add later text`)
  await world.sql(`update part set m = m + 10, later = 'x'`)
  expect(short(await world.entries()).toSorted()).toEqual([
    'UPDATE part ["1","eu"] m,later',
    'UPDATE part ["2","us"] m,later',
    'UPDATE part ["3","asia"] m,later',
  ])
  await world.audit.migrate()
  expect(await world.status()).toEqual({ part: 'audited' })
})

test('tables that inherit are each recorded under their own name, with their own columns [C13]', async () => {
  const world =
    await capture.audited(`create table base (id int primary key, n int); create table more (extra text, primary key (id)) inherits (base);
    insert into base values (1, 1); insert into more values (2, 2, 'e')`)
  await world.sql('update base set n = n + 10')
  await world.sql(`update more set extra = 'f'; delete from base`)
  expect(short(await world.entries()).toSorted()).toEqual(
    [
      'UPDATE base 1 n',
      'UPDATE more 2 n',
      'UPDATE more 2 extra',
      'DELETE base 1 id,n',
      'DELETE more 2 id,n,extra',
    ].toSorted(),
  )
})

test('rows that the writer may not see are recorded when others change them', async () => {
  const world =
    await capture.audited(`create table item (id int primary key, owner text, n int); alter table item enable row level security;
    alter table item force row level security; create policy own on item using (owner = current_user); insert into item values (1, 'somebody', 1)`)
  const role = await capture.database.createRole()
  await world.sql(`grant usage on schema ${world.schema} to ${role.name}; grant all on item to ${role.name}`)
  await role.pool.query(`insert into ${world.schema}.item values (2, current_user, 2)`)
  expect((await role.pool.query(`update ${world.schema}.item set n = 5`)).rowCount).toBe(1)
  await world.sql('update item set n = 6 where id = 1')
  expect(short(await world.entries())).toEqual([
    'CREATE item 2 id,owner,n',
    'UPDATE item 2 n',
    'UPDATE item 1 n',
  ])
})
