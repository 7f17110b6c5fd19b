import { expect, test } from 'vitest'
import { captureDatabase, short } from './fixture.ts'

const capture = captureDatabase()

test('cascades of a foreign key are recorded, each with the context of the statement [C12]', async () => {
  const world = await capture.audited(`create table parent (id int primary key, name text);
    create table owned (id int primary key, parent_id int references parent on delete cascade on update cascade);
    create table linked (id int primary key, parent_id int references parent on delete set null);
    create table defaulted (id int primary key, parent_id int default 9 references parent on delete set default);
    insert into parent values (1, 'a'), (2, 'b'), (9, 'z');
    insert into owned values (1, 1), (2, 1); insert into linked values (1, 1); insert into defaulted values (1, 1)`)
  await world.audit.withContext({ actor: { id: 'ann' } }, async () => {
    await world.client.query('update parent set id = 3 where id = 2')
    await world.client.query('delete from parent where id = 1')
  })
  const entries = await world.entries()
  expect(short(entries).toSorted()).toEqual(
    [
      'UPDATE parent 2 id',
      'DELETE parent 1 id,name',
      'DELETE owned 1 id,parent_id',
      'DELETE owned 2 id,parent_id',
      'UPDATE linked 1 parent_id',
      'UPDATE defaulted 1 parent_id',
    ].toSorted(),
  )
  expect(new Set(entries.filter(({ kind }) => kind === 'change').map(({ actor }) => actor?.id))).toEqual(
    new Set(['ann']),
  )
})

test('upserts record what they did to each row, and nothing where they did nothing [C2, C10]', async () => {
  const world = await capture.audited(
    'create table item (id int primary key, n int unique); insert into item values (1, 1)',
  )
  await world.sql('insert into item values (1, 5), (2, 2) on conflict (id) do update set n = excluded.n')
  await world.sql('insert into item values (1, 9), (3, 3) on conflict do nothing')
  await world.sql('insert into item values (1, 5) on conflict (id) do update set n = excluded.n')
  expect(short(await world.entries())).toEqual([
    'UPDATE item 1 n',
    'CREATE item 2 id,n',
    'CREATE item 3 id,n',
  ])
})

test('merge records the rows it changed', async ({ skip }) => {
  skip(capture.database.version < 15, 'MERGE came with PostgreSQL 15')
  const world = await capture.audited(
    'create table item (id int primary key, n int); insert into item values (1, 1), (2, 2)',
  )
  await world.sql(`merge into item i using (values (1, 10), (2, 0), (3, 30)) v(id, n) on i.id = v.id
    when matched and v.n = 0 then delete when matched then update set n = v.n when not matched then insert values (v.id, v.n)`)
  expect(short(await world.entries()).toSorted()).toEqual([
    'CREATE item 3 id,n',
    'DELETE item 2 id,n',
    'UPDATE item 1 n',
  ])
})

test('statements inside WITH, and views, record the rows behind them', async () => {
  const world =
    await capture.audited(`create table item (id int primary key, n int); create table other (id int primary key, n int);
    create view shown as select id, n from item where n < 100; insert into item values (1, 1), (3, 30)`)
  await world.sql(
    'with gone as (delete from item where id = 3 returning *), kept as (insert into other select * from gone returning id) update item set n = 11 where id = 1',
  )
  await world.sql('update shown set n = 12; insert into shown values (4, 4)')
  expect(short(await world.entries()).toSorted()).toEqual(
    [
      'DELETE item 3 id,n',
      'CREATE other 3 id,n',
      'UPDATE item 1 n',
      'UPDATE item 1 n',
      'CREATE item 4 id,n',
    ].toSorted(),
  )
})

test('what is rolled back, to a savepoint or as a whole, leaves nothing [D1, D2, A19]', async () => {
  const world = await capture.audited('create table item (id int primary key, n int)')
  await world.sql(`begin; insert into item values (1, 1); savepoint a; insert into item values (2, 2); savepoint b; update item set n = 0;
    release b; rollback to a; insert into item values (3, 3); commit`)
  await world.sql('begin; delete from item; rollback')
  await world.sql(
    `do $$ begin insert into item values (4, 4); begin insert into item values (5, 5); raise 'x'; exception when others then null; end; end $$`,
  )
  await expect(world.sql('insert into item values (6, 6), (1, 1)')).rejects.toThrow('duplicate key')
  expect(short(await world.entries())).toEqual([
    'CREATE item 1 id,n',
    'CREATE item 3 id,n',
    'CREATE item 4 id,n',
  ])
  const tx = (await world.entries()).filter(({ kind }) => kind === 'change').map((entry) => entry.tx)
  expect([tx[0] === tx[1], tx[1] === tx[2]]).toEqual([true, false])
})

test('changes that triggers make in turn come after the one that caused them', async () => {
  const world =
    await capture.audited(`create table item (id int primary key, n int, note text); create table log (id int generated always as identity primary key, item_id int);
    create function before_it() returns trigger language plpgsql as $$ begin new.note := 'set by a trigger'; return new; end $$;
    create function after_it() returns trigger language plpgsql as $$ begin
      insert into log (item_id) values (new.id); update item set n = n + 1 where id = new.id and n < 5; return null; end $$;
    create trigger "  first" before insert or update on item for each row execute function before_it();
    create trigger "Again" after insert on item for each row execute function after_it()`)
  await world.sql('insert into item values (1, 1)')
  expect(await world.recorded()).toEqual([
    ['CREATE', '1', { id: [null, 1], n: [null, 1], note: [null, 'set by a trigger'] }],
    ['CREATE', '1', { id: [null, 1], item_id: [null, 1] }],
    ['UPDATE', '1', { n: [1, 2] }],
  ])
})

test('truncate leaves one entry for each table it empties, also through cascade', async () => {
  const world =
    await capture.audited(`create table parent (id int primary key); create table child (id int primary key, parent_id int references parent);
    insert into parent values (1); insert into child values (1, 1)`)
  await world.audit.withContext({ actor: { id: 'ann' }, reason: 'reset' }, async () =>
    world.client.query('truncate parent cascade'),
  )
  const entries = (await world.entries()).filter(({ kind }) => kind === 'change')
  expect(short(entries).toSorted()).toEqual(['TRUNCATE child', 'TRUNCATE parent'])
  expect(entries[0]).toMatchObject({ actor: { id: 'ann' }, reason: 'reset', changes: null })
})

test('the key is the primary key, or a unique one that can stand in for it [B4]', async () => {
  const world = await capture.audited(`create table composite (a int, b text, primary key (b, a));
    create table stands_in (id int, code text not null unique, other text unique);
    create table by_expression (code text not null); create unique index on by_expression (lower(code));
    create table partly (code text not null); create unique index on partly (code) where code > 'm';
    create table wider (id int, more text, primary key (id) include (more));
    create table "Odd ""name" ("the ""key\\" text primary key);
    create table uuids (id uuid primary key)`)
  await world.sql(`insert into composite values (1, 'x"y'); insert into stands_in values (null, 'c', 'o'); insert into by_expression values ('e');
    insert into partly values ('p'); insert into wider values (7, 'm'); insert into "Odd ""name" values ('k'); insert into uuids values ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11')`)
  const ids = Object.fromEntries(
    (await world.entries())
      .filter(({ kind }) => kind === 'change')
      .map(({ target }) => [target!.model, target!.id]),
  )
  expect(ids).toEqual({
    composite: '["x\\"y","1"]',
    stands_in: 'c',
    by_expression: null,
    partly: null,
    wider: '7',
    'Odd "name': 'k',
    uuids: 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
  })
  const { tables } = await world.audit.status()
  expect(tables.filter(({ note }) => note?.includes('no key')).map(({ model }) => model)).toEqual([
    'by_expression',
    'partly',
  ])
})

test('row counts, returned rows and the last value of a sequence are those without capture [D3]', async () => {
  const world = await capture.audited('create table item (id serial primary key, n int)')
  expect((await world.sql('insert into item (n) values (1), (2) returning id')).rows).toEqual([
    { id: 1 },
    { id: 2 },
  ])
  const results = (await world.sql(
    `insert into item (n) values (3); select currval('item_id_seq')::int as last`,
  )) as unknown as { rows: unknown[] }[]
  expect(results[1]!.rows).toEqual([{ last: 3 }])
  expect((await world.sql('update item set n = n')).rowCount).toBe(3)
  expect((await world.sql('delete from item where n = 7')).rowCount).toBe(0)
})

test('temporary tables are not audited, unlogged ones are, and other schemas by the policy', async () => {
  const world = await capture.tables('create unlogged table fast (id int primary key)')
  await world.sql(
    `create schema ${world.schema}_more; create table ${world.schema}_more.item (id int primary key)`,
  )
  const audit = world.with({ schemas: [world.schema, `${world.schema}_more`] })
  await audit.migrate()
  await world.sql(
    `create temp table item (id int); insert into item values (1); insert into fast values (1); insert into ${world.schema}_more.item values (1)`,
  )
  expect(short(await world.entries())).toEqual(['CREATE fast 1 id', `CREATE ${world.schema}_more.item 1 id`])
})
