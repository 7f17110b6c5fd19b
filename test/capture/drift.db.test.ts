import { expect, onTestFinished, test } from 'vitest'
import { captureDatabase, short } from './fixture.ts'

const capture = captureDatabase()
const masked = { $: 'masked' }

const people = `create table person (id int primary key, name text, password text, nick text, notes text, data jsonb, n int, m int);
  insert into person values (1, 'ann', 'secret 1', 'a', 'n', '{"code": 1}', 1, 1), (2, 'bob', 'secret 2', 'b', 'n', null, 2, 2)`
const policy = {
  models: {
    person: { label: '{name}', redact: { nick: 'mask' as const }, exclude: ['notes'], ignore: ['m'] },
  },
  redact: ['**.code'],
}

/** A change of the table, then one insert, update and delete in the words of the table as it is then. */
const drifts: [string, string, { insert: string; update: string; delete: string }, string[]][] = [
  [
    'a column was added',
    'alter table person add extra text default $$e$$',
    { insert: `insert into person (id, name, extra) values (3, 'cat', 'x')`, update: `update person set extra = 'y' where id = 3`, delete: 'delete from person where id = 1' },
    ['CREATE 3 extra=x', 'UPDATE 3 extra=y', 'DELETE 1 extra=e'],
  ],
  [
    'a column was dropped',
    'alter table person drop n',
    { insert: `insert into person (id, name) values (3, 'cat')`, update: `update person set name = 'dan' where id = 3`, delete: 'delete from person where id = 1' },
    ['CREATE 3 name=cat', 'UPDATE 3 name=dan', 'DELETE 1 name=ann'],
  ],
  [
    'a column was renamed',
    'alter table person rename name to full_name',
    { insert: `insert into person (id, full_name) values (3, 'cat')`, update: `update person set full_name = 'dan' where id = 3`, delete: 'delete from person where id = 1' },
    ['CREATE 3 full_name=cat', 'UPDATE 3 full_name=dan', 'DELETE 1 full_name=ann'],
  ],
  [
    'a column got another type',
    `alter table person alter n type text using 'n' || n`,
    { insert: `insert into person (id, n) values (3, 'c')`, update: `update person set n = 'd' where id = 3`, delete: 'delete from person where id = 1' },
    ['CREATE 3 n=c', 'UPDATE 3 n=d', 'DELETE 1 n=n1'],
  ],
  [
    'a text got to be a number',
    `alter table person alter name type int using length(name)`,
    { insert: `insert into person (id, name) values (3, 7)`, update: `update person set name = 8 where id = 3`, delete: 'delete from person where id = 1' },
    ['CREATE 3 name=7', 'UPDATE 3 name=8', 'DELETE 1 name=3'],
  ],
  [
    'the key was renamed',
    'alter table person rename id to person_id',
    { insert: `insert into person (person_id, n) values (3, 7)`, update: `update person set n = 8 where person_id = 3`, delete: 'delete from person where person_id = 1' },
    ['CREATE 3 n=7', 'UPDATE 3 n=8', 'DELETE 1 n=1'],
  ],
  [
    'the key got another type',
    'alter table person alter id type uuid using lpad(id::text, 32, $$0$$)::uuid',
    { insert: `insert into person (id, n) values ('00000000-0000-0000-0000-000000000003', 7)`, update: `update person set n = 8 where n = 7`, delete: 'delete from person where n = 1' },
    ['CREATE 00000000-0000-0000-0000-000000000003 n=7', 'UPDATE 00000000-0000-0000-0000-000000000003 n=8', 'DELETE 00000000-0000-0000-0000-000000000001 n=1'],
  ],
  [
    'the key was replaced by another',
    'alter table person drop constraint person_pkey, add column k int generated always as identity, add primary key (k)',
    { insert: `insert into person (id, n) values (3, 7)`, update: `update person set n = 8 where id = 3`, delete: 'delete from person where id = 1' },
    ['CREATE 3 n=7', 'UPDATE 3 n=8', 'DELETE 1 n=1'],
  ],
  [
    'columns were added and dropped in one go',
    'alter table person drop n, drop m, add n bigint default 9007199254740993',
    { insert: `insert into person (id) values (3)`, update: `update person set n = n + 1 where id = 3`, delete: 'delete from person where id = 1' },
    ['CREATE 3 n=9007199254740993', 'UPDATE 3 n=9007199254740994', 'DELETE 1 n=9007199254740993'],
  ],
] // prettier-ignore

test.each(drifts)(
  'when %s, no write fails, no change is lost, and migrate heals',
  async (_, ddl, writes, expected) => {
    const world = await capture.audited(people, policy)
    const client = await world.client.connect()
    onTestFinished(() => client.release())
    await client.query(`update person set n = 5 where id = 2`) // plans are cached before the table changes
    await world.sql(ddl)
    expect(await world.status()).toEqual({ person: 'drifted' })
    for (const write of Object.values(writes)) await client.query(write)
    const column = expected[0]!.split(' ').at(-1)!.split('=')[0]!
    const seen = (await world.recorded()).slice(1).map(([action, id, changes]) => {
      const value = changes![column]![action === 'DELETE' ? 0 : 1]
      return `${action} ${id} ${column}=${typeof value === 'object' ? 'hidden' : value}`
    })
    expect(seen).toEqual(expected)
    const all = JSON.stringify(await world.recorded())
    expect(all).not.toContain('secret')

    const healed = world.with({ models: { person: { redact: { nick: 'mask' } } } })
    await healed.migrate()
    expect(await world.status()).toEqual({ person: 'audited' })
    expect((await healed.migrate()).done).toEqual([])
    await client.query(writes.insert.replaceAll('3', '4'))
    expect((await world.recorded()).at(-1)![1]).toBe(expected[0]!.split(' ')[1]!.replaceAll('3', '4'))
  },
)

test('a masked column stays masked when it is renamed, and so does one left out', async () => {
  const world = await capture.audited(people, policy)
  await world.sql(
    'alter table person rename password to pw; alter table person rename nick to alias; alter table person rename notes to remarks',
  )
  await world.sql(`update person set pw = 'secret 3', alias = 'secret 4', remarks = 'secret 5' where id = 1`)
  await world.sql(
    `insert into person (id, pw, alias, remarks) values (3, 'secret 6', 'secret 7', 'secret 8')`,
  )
  await world.sql('delete from person')
  const recorded = await world.recorded()
  expect(recorded.map(([action, id]) => `${action} ${id}`).toSorted()).toEqual([
    'CREATE 3',
    'DELETE 1',
    'DELETE 2',
    'DELETE 3',
    'UPDATE 1',
  ])
  expect(recorded[0]![2]).toMatchObject({ pw: [masked, masked], alias: [masked, masked] })
  expect(JSON.stringify(recorded)).not.toContain('secret')
})

test('a column added with a secret name, by the built-in list or the policy, is masked at once', async () => {
  const world = await capture.audited(people, { redact: ['**.code', 'person.maiden'] })
  await world.sql('alter table person add api_token text, add code text, add maiden text, add open text')
  await world.sql(
    `update person set api_token = 'secret', code = 'secret', maiden = 'secret', open = 'seen' where id = 1`,
  )
  await world.sql(`update person set data = '{"code": "secret", "other": 2}' where id = 1`)
  const [first, second] = await world.recorded()
  expect(first![2]).toEqual({
    api_token: [null, masked],
    code: [null, masked],
    maiden: [null, masked],
    open: [null, 'seen'],
  })
  expect(JSON.stringify(second)).not.toContain('secret')
  expect(JSON.stringify(second)).toContain('other')
})

test('an include list holds for columns added later', async () => {
  const world = await capture.audited(people, { models: { person: { include: ['name'] } } })
  await world.sql('alter table person add salary int')
  await world.sql(`update person set salary = 4711, name = 'ann b' where id = 1`)
  await world.sql(`update person set n = 99 where id = 1`)
  const recorded = await world.recorded()
  expect(JSON.stringify(recorded)).not.toContain('4711')
  expect(recorded).toHaveLength(1)
  expect(recorded[0]![2]).toMatchObject({ name: ['ann', 'ann b'] })
})

test('an ignored column is ignored while the table differs, and recorded with others', async () => {
  const world = await capture.audited(people, policy)
  await world.sql('alter table person add extra text')
  await world.sql('update person set m = 50 where id = 1')
  await world.sql(`update person set m = 51, extra = 'x' where id = 1`)
  expect(short(await world.entries())).toEqual(['UPDATE person 1 m,extra'])
})

test('a long value is cut while the table differs too', async () => {
  const world = await capture.audited(people, { maxValueBytes: 1_000 })
  await world.sql('alter table person add extra text')
  await world.sql(`update person set extra = repeat('x', 5000), name = repeat('y', 5000) where id = 1`)
  const [[, , changes]] = (await world.recorded()) as [[string, string, Record<string, unknown>]]
  expect(changes).toEqual({
    name: ['ann', { $: 'cut', length: 5_000 }],
    extra: [null, { $: 'cut', length: 5_000 }],
  })
})

test('a renamed table is recorded, shows as drifted, and migrate gives it its new name', async () => {
  const world = await capture.audited(people)
  await world.sql('alter table person rename to human')
  await world.sql('update human set n = 5 where id = 1')
  expect(await world.status()).toEqual({ human: 'drifted' })
  await world.audit.migrate()
  expect(await world.status()).toEqual({ human: 'audited' })
  expect((await world.audit.migrate()).done).toEqual([])
  await world.sql(`create table person (id int primary key, other text)`)
  await world.audit.migrate()
  await world.sql('update human set n = 6 where id = 1')
  await world.sql(`insert into person values (1, 'x')`)
  expect(short(await world.entries())).toEqual([
    'UPDATE person 1 n',
    'UPDATE human 1 n',
    'CREATE person 1 id,other',
  ])
})

test('two tables that swap their names are each recorded under their own after migrate', async () => {
  const world = await capture.audited(
    'create table a (id int primary key, x text); create table b (id int primary key, y text)',
  )
  await world.sql('alter table a rename to c; alter table b rename to a; alter table c rename to b')
  await world.sql(`insert into a values (1, 'now a'); insert into b values (2, 'now b')`)
  await world.audit.migrate()
  expect(await world.status()).toEqual({ a: 'audited', b: 'audited' })
  await world.sql(`insert into a values (3, 'now a'); insert into b values (4, 'now b')`)
  expect(short(await world.entries())).toEqual([
    'CREATE b 1 id,y',
    'CREATE a 2 id,x',
    'CREATE a 3 id,y',
    'CREATE b 4 id,x',
  ])
})

test('status names what the stored policy names in vain, and migrate says so with the nearest name', async () => {
  const world = await capture.audited(people, policy)
  await world.sql('alter table person rename nick to nickname')
  const { tables } = await world.audit.status()
  expect(tables).toMatchObject([{ model: 'person', state: 'drifted' }])
  await expect(world.audit.migrate()).rejects.toThrow('nickname')
  await world.sql('drop table person; create table persons (id int)')
  expect((await world.audit.status()).tables).toMatchObject([{ model: 'persons', state: 'missing' }])
  await expect(world.audit.migrate()).rejects.toThrow('persons')
})
