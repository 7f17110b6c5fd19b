import { expect, test } from 'vitest'
import { captureDatabase, short } from './fixture.ts'

const capture = captureDatabase()
const item = `create table item (id int primary key, name text, n int, updated_at timestamptz, deleted_at timestamptz, owner_id int, notes text);
  insert into item values (1, 'a', 1, now(), null, 7, 'x')`

test('label, subject, category, severity and tags stand on each entry of the table', async () => {
  const world = await capture.audited(item, {
    models: {
      item: {
        label: '{name} no. {n} {}',
        subject: 'owner_id',
        category: 'stock',
        severity: 'high',
        tags: ['a', `it's "b"`],
      },
    },
  })
  await world.sql(
    `update item set name = 'it''s "b"', n = 2; update item set owner_id = 8, name = null; delete from item`,
  )
  const entries = (await world.entries()).filter(({ kind }) => kind === 'change')
  expect(entries.map(({ target, subject }) => [target!.label, subject])).toEqual([
    [`it's "b" no. 2 {}`, '7'],
    [' no. 2 {}', '8'],
    [' no. 2 {}', '8'],
  ])
  for (const entry of entries)
    expect(entry).toMatchObject({ category: 'stock', severity: 'high', tags: ['a', `it's "b"`] })
  expect((await world.audit.entries.find({ subject: 8, model: 'item' })).entries).toHaveLength(2)
})

test('actions that the policy leaves out are not recorded, each by its own name', async () => {
  const all = `update item set n = 2; insert into item values (2); update item set deleted_at = now() where id = 1;
    update item set deleted_at = null where id = 1; delete from item; truncate item`
  const without = async (...skipActions: string[]) => {
    const world = await capture.audited(item, { skipActions, models: { item: { softDelete: 'deleted_at' } } })
    await world.sql(all)
    return (await world.recorded()).map(([action, id]) => `${action} ${id}`)
  }
  const every = [
    'UPDATE 1',
    'CREATE 2',
    'SOFT_DELETE 1',
    'RESTORE 1',
    'DELETE 1',
    'DELETE 2',
    'TRUNCATE null',
  ]
  expect((await without()).toSorted()).toEqual(every.toSorted())
  for (const action of ['UPDATE', 'CREATE', 'SOFT_DELETE', 'RESTORE', 'DELETE', 'TRUNCATE']) {
    expect((await without(action)).toSorted(), action).toEqual(
      every.filter((entry) => !entry.startsWith(`${action} `)).toSorted(),
    )
  }
})

test('tables that the policy leaves out are not recorded, and status says so', async () => {
  const world = await capture.audited(
    `${item}; create table sessions (id int primary key); create table caches (id int primary key)`,
    {
      models: { sessions: false },
      skipModels: ['caches'],
    },
  )
  await world.sql('insert into sessions values (1); insert into caches values (1); update item set n = 2')
  expect(short(await world.entries())).toEqual(['UPDATE item 1 n'])
  expect(await world.status()).toEqual({ item: 'audited', sessions: 'skipped', caches: 'skipped' })
})

test('what migration tools keep their books in is not audited', async () => {
  const world =
    await capture.audited(`create table _prisma_migrations (id text primary key); create table "__drizzle_migrations" (id int primary key);
    create table knex_migrations_lock (index int primary key); create table "SequelizeMeta" (name text primary key);
    create table migrations (id int primary key, timestamp bigint, name text)`)
  await world.sql(
    `insert into _prisma_migrations values ('a'); insert into "SequelizeMeta" values ('b'); insert into migrations values (1, 1, 'c')`,
  )
  expect(await world.recorded()).toEqual([])
  expect(new Set(Object.values(await world.status()))).toEqual(new Set(['skipped']))
  const own = await capture.audited(
    'create table migrations (id int primary key, timestamp bigint, name text, more text)',
  )
  expect(await own.status()).toEqual({ migrations: 'audited' })
})

test('check refuses an application that hides more than the database does, and warns of less', async () => {
  const world = await capture.audited(item, { models: { item: { redact: { notes: 'hash', name: 'mask' } } } })
  await expect(
    world.with({ models: { item: { redact: { notes: 'mask', name: 'mask' } } } }).check(),
  ).rejects.toThrow('item.notes')
  await expect(
    world.with({ models: { item: { redact: { notes: 'hash', name: 'mask', owner_id: 'omit' } } } }).check(),
  ).rejects.toThrow('item.owner_id')
  await expect(world.with({ models: { item: false } }).check()).rejects.toMatchObject({
    code: 'AUDIT_POLICY_EXPOSED',
  })
  expect((await world.with({}).check()).map(({ message }) => message).join()).toContain(
    'item.name is hidden by the database',
  )
  expect(await world.with({ models: { item: { redact: { notes: 'hash', name: 'mask' } } } }).check()).toEqual(
    [],
  )
})
