import { expect, test } from 'vitest'
import { captureDatabase, short } from './fixture.ts'

const capture = captureDatabase()
const item = `create table item (id int primary key, name text, n int, updated_at timestamptz, deleted_at timestamptz, owner_id int, notes text);
  insert into item values (1, 'a', 1, now(), null, 7, 'x')`

test('an ignored column alone writes no entry, and is listed beside others [A14]', async () => {
  const world = await capture.audited(
    `${item}; create table other (id int primary key, updated_at timestamptz, n int)`,
    {
      models: { '*': { ignore: ['updated_at'] }, item: { ignore: ['n'] } },
    },
  )
  await world.sql(
    `insert into other values (1, now(), 1); update item set updated_at = '2024-01-01', n = 5; update other set updated_at = '2024-01-01'`,
  )
  await world.sql(
    `update item set n = 6, updated_at = '2024-01-02', name = 'b'; update other set n = 2, updated_at = '2024-01-02'`,
  )
  expect(short(await world.entries())).toEqual([
    'CREATE other 1 id,updated_at,n',
    'UPDATE item 1 name,n,updated_at',
    'UPDATE other 1 n,updated_at',
  ])
})

test('only included columns are recorded, or all but the excluded ones [F1, F2]', async () => {
  const world = await capture.audited(`${item}; create table other (id int primary key, a int, b int)`, {
    models: { '*': { exclude: ['notes', 'b'] }, item: { include: ['name', 'n'] } },
  })
  await world.sql(
    `update item set notes = 'y', owner_id = 8; update item set name = 'b', notes = 'z'; delete from item`,
  )
  await world.sql(
    'insert into other values (1, 1, 1); update other set b = 2; update other set a = 2, b = 3; delete from other',
  )
  expect(short(await world.entries())).toEqual([
    'UPDATE item 1 name', 'DELETE item 1 name,n', 'CREATE other 1 id,a', 'UPDATE other 1 a', 'DELETE other 1 id,a',
  ]) // prettier-ignore
})

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

test('a very long label or subject is cut, and the write goes on', async () => {
  const world = await capture.audited('create table item (id int primary key, name text)', {
    models: { item: { label: '{name}', subject: 'name' } },
  })
  await world.sql(`insert into item values (1, repeat('é', 10000))`)
  const [entry] = (await world.entries()).filter(({ kind }) => kind === 'change')
  expect([entry!.target!.label!.length, entry!.subject!.length]).toEqual([200, 200])
})

test('a soft delete and its undoing have actions of their own', async () => {
  const world = await capture.audited(item, { models: { item: { softDelete: 'deleted_at' } } })
  await world.sql(
    `update item set deleted_at = now(); update item set deleted_at = '2024-01-01'; update item set deleted_at = null, n = 2; update item set n = 3; delete from item`,
  )
  expect((await world.recorded()).map(([action]) => action)).toEqual([
    'SOFT_DELETE',
    'UPDATE',
    'RESTORE',
    'UPDATE',
    'DELETE',
  ])
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

test('a policy can follow the policy before it: what is left out now is masked, recorded or removed at once', async () => {
  const world = await capture.audited(item)
  await world.sql(`update item set notes = 'open'`)
  await world.with({ models: { item: { redact: { notes: 'mask' } } } }).migrate()
  await world.sql(`update item set notes = 'hidden 1'`)
  await world.with({ models: { item: { exclude: ['notes'] } } }).migrate()
  await world.sql(`update item set notes = 'hidden 2'`)
  await world.with({ models: { item: false } }).migrate()
  await world.sql('update item set n = 50')
  await world.with({}).migrate()
  await world.sql(`update item set notes = 'open again'`)
  expect((await world.recorded()).map(([, , changes]) => changes)).toEqual([
    { notes: ['x', 'open'] },
    { notes: [{ $: 'masked' }, { $: 'masked' }] },
    { notes: ['hidden 2', 'open again'] },
  ])
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
