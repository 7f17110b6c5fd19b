import { Pool } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { fromPg } from '../../src/database/postgres.ts'
import { createAudit } from '../../src/index.ts'
import { freshDatabase } from '../harness/postgres.ts'
import { captureDatabase, short } from './fixture.ts'

const capture = captureDatabase()
const linked = `create table post (id int primary key, title text); create table tag (id int primary key, name text);
  create table post_tag (post_id int references post on delete cascade, tag_id int references tag on delete cascade, place int, primary key (post_id, tag_id));
  insert into post values (1, 'a'), (2, 'b'); insert into tag values (1, 'x'), (2, 'y'), (3, 'z'); insert into post_tag values (1, 1, 1)`

test('links are recorded once each, and only those that changed [C2, C3, C4]', async () => {
  const world = await capture.audited(linked)
  const replace = (place: number) =>
    world.sql(`with wanted as (select 1 as post_id, tag_id, ${place}::int as place from unnest(array[1, 2]) as tag_id),
      gone as (delete from post_tag p where post_id = 1 and not exists (select from wanted w where w.tag_id = p.tag_id))
      insert into post_tag select * from wanted on conflict (post_id, tag_id) do update set place = excluded.place`)
  await replace(1)
  await replace(1)
  await replace(5)
  await world.sql('insert into post_tag values (1, 1, 9) on conflict do nothing')
  expect(short(await world.entries())).toEqual([
    'CREATE post_tag ["1","2"] post_id,tag_id,place',
    'UPDATE post_tag ["1","1"] place',
    'UPDATE post_tag ["1","2"] place',
  ])
})

test('a new label of a row writes nothing for the rows that refer to it [C5]', async () => {
  const world = await capture.audited(linked, { models: { post: { label: '{title}' } } })
  await world.sql(`update post set title = 'renamed' where id = 1`)
  expect(short(await world.entries())).toEqual(['UPDATE post 1 title'])
})

test('a deleted row leaves its key, its label and every value that it had [A3]', async () => {
  const world = await capture.audited(linked, { models: { post: { label: 'no. {id}: {title}' } } })
  await world.sql('delete from post where id = 1')
  const entries = (await world.entries()).filter(({ kind }) => kind === 'change')
  expect(short(entries)).toEqual(['DELETE post 1 id,title', 'DELETE post_tag ["1","1"] post_id,tag_id,place'])
  expect(entries[0]).toMatchObject({
    target: { model: 'post', id: '1', label: 'no. 1: a' },
    changes: { id: [1, null], title: ['a', null] },
  })
})

test('a copied row is a new one, and what matches no row is nothing [A10, A12]', async () => {
  const world = await capture.audited(linked)
  await world.sql('insert into post select id + 10, title from post where id = 1')
  await world.sql('delete from post where id = 77; insert into post select * from post where false')
  expect(short(await world.entries())).toEqual(['CREATE post 11 id,title'])
})

test('days, times and moments are told apart from their like, each by itself [B6]', async () => {
  const world = await capture.audited(`create table item (id int primary key, d date, t time, m timestamptz);
    insert into item values (1, '2024-01-01', '10:00', '2024-01-01 10:00+00')`)
  await world.sql(
    `update item set d = '2024-01-02'; update item set t = '10:00:00.000001'; update item set m = '2024-01-01 10:00:00.5+00'`,
  )
  expect((await world.recorded()).map(([, , changes]) => changes)).toEqual([
    { d: ['2024-01-01', '2024-01-02'] },
    { t: ['10:00:00', '10:00:00.000001'] },
    { m: ['2024-01-01 10:00:00+00', '2024-01-01 10:00:00.5+00'] },
  ])
})

test('entries from before a column got another type are read as before [B9]', async () => {
  const world = await capture.audited(
    'create table retyped (id int primary key, v int); insert into retyped values (1, 1)',
  )
  await world.sql('update retyped set v = 2')
  await world.sql(`alter table retyped alter v type text using 'no. ' || v`)
  await world.audit.migrate()
  await world.sql(`update retyped set v = 'three'`)
  expect((await world.audit.history('retyped', 1)).map(({ changes }) => changes)).toEqual([
    { v: ['no. 2', 'three'] },
    { v: [1, 2] },
  ])
})

test('a user who is gone, or was never committed, is still named by the entries [E7, E8]', async () => {
  const world = await capture.audited(
    'create table users (id int primary key, email text); insert into users values (1, $$ann@x$$)',
    {
      actors: { user: { model: 'users', label: '{email}' } },
    },
  )
  const { audit, client } = world
  await audit.withContext({ actor: { id: 1, label: 'Ann' } }, async () =>
    client.query(`insert into users values (2, 'bob@x')`),
  )
  await audit.withContext({ actor: { id: 3 } }, async () => {
    await client.query(`begin; insert into users values (3, 'cat@x'); rollback`)
    await audit.logAuditEvent({ action: 'invited', target: { model: 'users', id: 3 }, durable: true })
  })
  await world.sql('delete from users')
  const entries = await world.entries()
  expect(entries.map(({ action, actor }) => [action, actor])).toMatchObject([
    ['MIGRATE', null],
    ['CREATE', { type: 'user', id: '1', label: 'Ann' }],
    ['invited', { type: 'user', id: '3' }],
    ['DELETE', null],
    ['DELETE', null],
  ])
})

test('where one entry cannot be written, the whole statement fails, and nothing of it stays [C9, D7]', async () => {
  const database = await freshDatabase()
  await database.pool.query('create table item (id int primary key, n int); insert into item values (100, 0)')
  const audit = createAudit({ database: fromPg(new Pool({ connectionString: database.url, max: 2 })) })
  onTestFinished(async () => {
    await audit.close()
    await audit.client.end()
    await database.drop()
  })
  await audit.migrate()
  await database.pool.query(
    `alter table whodunit.entry add constraint broken check (target_id <> '7') not valid`,
  )
  await expect(
    audit.client.query('insert into item select n, n from generate_series(1, 10) n'),
  ).rejects.toThrow('broken')
  await expect(
    audit.client.query('begin; update item set n = 1; insert into item values (7, 7); commit'),
  ).rejects.toThrow('broken')
  await audit.client.query('rollback')
  await database.pool.query('alter table whodunit.entry drop constraint broken')
  expect((await database.pool.query('select * from item')).rows).toEqual([{ id: 100, n: 0 }])
  expect((await audit.entries.find({ kind: 'change' })).entries).toEqual([])
  await audit.client.query('insert into item values (7, 7)')
  expect((await audit.entries.find({ kind: 'change' })).entries).toHaveLength(1)
})

test('a scope in which nothing was written, or all was undone, leaves nothing [D6]', async () => {
  const world = await capture.audited(linked)
  const { audit, client } = world
  await audit.withContext({ actor: { id: 'ann' } }, async () => client.query('select * from post'))
  const broken = audit.withContext({ actor: { id: 'ann' } }, async () => {
    const held = await client.connect()
    try {
      await held.query('begin; delete from post')
      throw new Error('no')
    } finally {
      await held.query('rollback')
      held.release()
    }
  })
  await expect(broken).rejects.toThrow('no')
  expect(await world.recorded()).toEqual([])
})
