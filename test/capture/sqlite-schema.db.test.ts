import { expect, test } from 'vitest'
import { sqliteWorld } from '../harness/sqlite.ts'

const item = 'create table item (id integer primary key, name text, n integer)'

test('the trail is append-only, and the row of the context stays', async () => {
  const world = await sqliteWorld(item)
  world.client.exec(`insert into item values (1, 'a', 1)`)
  for (const sql of [
    'update whodunit_entry set actor = 1',
    'delete from whodunit_entry',
    'delete from whodunit_context',
  ])
    expect(() => world.client.exec(sql), sql).toThrow(/append-only|stays/)
  expect(await world.short()).toEqual(['CREATE item 1 id,name,n'])
})

test('an INSERT OR IGNORE never commits a row without its entry', async () => {
  const world = await sqliteWorld(item)
  const odd = 'x'.repeat(1_000_000)
  world.client.prepare('insert or ignore into item values (1, ?, 1)').run(odd)
  world.client.exec(`insert or ignore into item values (2, cast(x'ff00' as text), 9e999)`)
  expect(await world.short()).toEqual(['CREATE item 1 id,name,n', 'CREATE item 2 id,name,n'])
})

test('virtual tables are no tables here, and temporary ones are left alone', async () => {
  const world = await sqliteWorld(
    `${item}; create virtual table search using fts5(name); create view shown as select * from item`,
  )
  expect((await world.audit.status()).tables.map(({ model }) => model)).toEqual(['item'])
  world.client.exec(
    `insert into search values ('a'); create temp table item2 (a); insert into item2 values (1); create temp table item (a); insert into temp.item values (1); drop table temp.item`,
  )
  expect(await world.short()).toEqual([])
  expect((await world.audit.status()).tables.map(({ model, state }) => [model, state])).toEqual([
    ['item', 'audited'],
  ])
})

test('a full-text index kept by triggers goes on as before', async () => {
  const world =
    await sqliteWorld(`${item}; create virtual table search using fts5(name, content='item', content_rowid='id');
    create trigger item_ai after insert on item begin insert into search(rowid, name) values (new.id, new.name); end;
    create trigger item_au after update on item begin insert into search(search, rowid, name) values ('delete', old.id, old.name); insert into search(rowid, name) values (new.id, new.name); end`)
  world.client.exec(`insert into item values (1, 'ann', 1); update item set name = 'bob'`)
  expect(world.client.prepare(`select rowid from search where search match 'bob'`).pluck().all()).toEqual([1])
  expect(await world.short()).toEqual(['CREATE item 1 id,name,n', 'UPDATE item 1 name'])
})

test('DROP COLUMN is refused while capture is on, and works in between [drift]', async () => {
  const world = await sqliteWorld(item)
  expect(() => world.client.exec('alter table item drop column n')).toThrow('error in trigger')
  expect((await world.audit.status()).tables[0]!.state).toBe('audited')
  for (const name of world.client
    .prepare(`select name from sqlite_master where type = 'trigger' and tbl_name = 'item'`)
    .pluck()
    .all())
    world.client.exec(`drop trigger "${String(name)}"`)
  world.client.exec('alter table item drop column n')
  expect((await world.audit.status()).tables[0]!.state).toBe('missing')
  await world.audit.migrate()
  world.client.exec(`insert into item values (1, 'a')`)
  expect(await world.short()).toEqual(['CREATE item 1 id,name'])
})

test('a table rebuilt as migration tools do has lost its triggers: status and check say so, and migrate heals', async () => {
  const world = await sqliteWorld(`${item}; insert into item values (1, 'a', 1)`)
  world.client
    .exec(`pragma foreign_keys = off; begin; create table __new_item (id integer primary key, name text); insert into __new_item select id, name from item;
    drop table item; alter table __new_item rename to item; commit`)
  expect((await world.audit.status()).tables).toMatchObject([{ model: 'item', state: 'missing' }])
  expect((await world.audit.check()).map(({ message }) => message).join()).toContain('item is missing')
  await world.audit.migrate()
  expect((await world.audit.status()).tables).toMatchObject([{ model: 'item', state: 'audited' }])
})

test('two tables that swap their names are each recorded under their own after migrate', async () => {
  const world = await sqliteWorld(
    'create table a (id integer primary key, x text); create table b (id integer primary key, y text)',
  )
  world.client.exec('alter table a rename to c; alter table b rename to a; alter table c rename to b')
  await world.audit.migrate()
  expect((await world.audit.migrate()).done).toEqual([])
  world.client.exec(`insert into a values (3, 'now a'); insert into b values (4, 'now b')`)
  expect(await world.short()).toEqual(['CREATE a 3 id,y', 'CREATE b 4 id,x'])
})

test('setting up and writing the first row takes milliseconds', async () => {
  const world = await sqliteWorld(item)
  const started = process.cpuUsage()
  await world.audit.migrate()
  world.client.exec(`insert into item values (1, 'a', 1)`)
  const { user, system } = process.cpuUsage(started)
  expect((user + system) / 1_000).toBeLessThan(500)
})
