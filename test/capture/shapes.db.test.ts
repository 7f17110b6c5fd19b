import { Client } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { captureDatabase, short } from './fixture.ts'

const capture = captureDatabase()
const item = 'create table item (id int primary key, n int); insert into item values (1, 1)'

test('a foreign table is recorded like any other, and so is the table behind it', async () => {
  const { database } = capture
  const world = await capture.tables('create table behind (id int primary key, n int, note text)')
  const { hostname, port, pathname } = new URL(database.url)
  await world.sql(`create extension if not exists postgres_fdw schema public;
    create server far_${world.schema} foreign data wrapper postgres_fdw options (host '${hostname}', port '${port}', dbname '${pathname.slice(1)}');
    create user mapping for current_user server far_${world.schema} options (user 'postgres');
    create foreign table away (id int, n int, note text) server far_${world.schema} options (schema_name '${world.schema}', table_name 'behind')`)
  await world.audit.migrate()
  expect(await world.status()).toEqual({ away: 'audited', behind: 'audited' })
  await world.sql(`insert into away values (1, 1, 'a'); update away set n = 2, note = 'b'; delete from away`)
  const of = async (table: string) =>
    short(await world.entries()).filter((entry) => entry.split(' ')[1] === table)
  expect(await of('away')).toEqual(['CREATE away id,n,note', 'UPDATE away n,note', 'DELETE away id,n,note'])
  expect(await of('behind')).toEqual([
    'CREATE behind 1 id,n,note',
    'UPDATE behind 1 n,note',
    'DELETE behind 1 id,n,note',
  ])
  await world.sql('alter foreign table away disable trigger "!whodunit"')
  expect(await world.status()).toEqual({ away: 'off', behind: 'audited' })
  await world.audit.migrate()
  await world.sql('truncate away')
  expect(await of('away')).toHaveLength(database.version >= 16 ? 4 : 3) // before, no trigger sees it
  expect((await of('behind')).at(-1)).toBe('TRUNCATE behind')
})

test('a partition that is a foreign table reports its parent, also when rows move there', async () => {
  const { database } = capture
  const world = await capture.tables(`create table behind (id int, n int);
    create table part (id int, n int) partition by range (id); create table part_near partition of part for values from (0) to (10)`)
  const { hostname, port, pathname } = new URL(database.url)
  await world.sql(`create extension if not exists postgres_fdw schema public;
    create server far_${world.schema} foreign data wrapper postgres_fdw options (host '${hostname}', port '${port}', dbname '${pathname.slice(1)}');
    create user mapping for current_user server far_${world.schema} options (user 'postgres');
    create foreign table part_far partition of part for values from (10) to (20) server far_${world.schema} options (schema_name '${world.schema}', table_name 'behind')`)
  const audit = world.with({ skipModels: ['behind'] })
  await audit.migrate()
  await world.sql(
    'insert into part values (1, 1), (11, 11); update part set n = n + 1; update part set id = 12 where id = 1',
  )
  await world.sql('delete from part_far where id = 11')
  expect(
    (await world.recorded()).map(([action, , changes]) => [action, changes!['id'] ?? changes!['n']]),
  ).toEqual([
    ['CREATE', [null, 1]],
    ['CREATE', [null, 11]],
    ['UPDATE', [1, 2]],
    ['UPDATE', [11, 12]],
    ['DELETE', [1, null]],
    ['CREATE', [null, 12]],
    ['DELETE', [11, null]],
  ])
  expect(new Set(short(await world.entries()).map((entry) => entry.split(' ')[1]))).toEqual(new Set(['part']))
})

test('a view with triggers of its own records the rows that they write', async () => {
  const world = await capture.audited(`${item}; create view shown as select id, n * 10 as tenfold from item;
    create function through() returns trigger language plpgsql as $$ begin
      if tg_op = 'DELETE' then delete from item where id = old.id; return old; end if;
      insert into item values (new.id, new.tenfold / 10) on conflict (id) do update set n = excluded.n; return new; end $$;
    create trigger through instead of insert or update or delete on shown for each row execute function through()`)
  await world.sql(
    'insert into shown values (2, 20); update shown set tenfold = 30 where id = 2; delete from shown where id = 1',
  )
  expect(short(await world.entries())).toEqual([
    'CREATE item 2 id,n',
    'UPDATE item 2 n',
    'DELETE item 1 id,n',
  ])
  expect(await world.status()).toEqual({ item: 'audited' })
})

test('rules, cursors and triggers that hold a row back record what happened in the end', async () => {
  const world =
    await capture.audited(`${item}; create table log (id int generated always as identity primary key, n int);
    create rule noted as on update to item do also insert into log (n) values (new.n);
    create function hold() returns trigger language plpgsql as $$ begin return case when new.n < 0 then null else new end; end $$;
    create trigger hold before insert or update on item for each row execute function hold()`)
  await world.sql('insert into item values (2, -1), (3, 3); update item set n = -5 where id = 3')
  await world.sql(
    `begin; declare c cursor for select * from item where id = 1 for update; fetch c; delete from item where current of c; commit`,
  )
  expect(short(await world.entries())).toEqual([
    'CREATE item 3 id,n',
    'CREATE log 1 id,n',
    'DELETE item 1 id,n',
  ])
})

test('a materialized view is not audited, and can be filled from tables that are', async () => {
  const world = await capture.audited(`${item}; create materialized view sums as select sum(n) from item`)
  await world.sql('update item set n = 2; refresh materialized view sums')
  expect(short(await world.entries())).toEqual(['UPDATE item 1 n'])
  expect(await world.status()).toEqual({ item: 'audited' })
})

test('several tables emptied at once leave an entry each; a partition emptied by itself leaves none', async () => {
  const world =
    await capture.audited(`create table a (id int generated always as identity primary key); create table b (id int primary key);
    create table part (id int primary key) partition by range (id); create table part_low partition of part for values from (0) to (10);
    create table part_high partition of part for values from (10) to (20);
    insert into a default values; insert into b values (1); insert into part values (1), (11)`)
  await world.sql('truncate a, b, part restart identity; insert into a default values')
  expect(short(await world.entries()).toSorted()).toEqual([
    'CREATE a 1 id',
    'TRUNCATE a',
    'TRUNCATE b',
    'TRUNCATE part',
  ])
  await world.sql('insert into part values (1); truncate part_low')
  await world.sql('begin; truncate a; rollback')
  expect(short(await world.entries()).slice(4)).toEqual(['CREATE part 1 id'])
})

test('a prepared transaction shows its entries when it is committed, and leaves none when it is not [D1, D2]', async () => {
  const world = await capture.audited(item)
  const name = (what: string) => `'${world.schema} ${what}'`
  await world.sql(`begin; update item set n = 2; prepare transaction ${name('kept')}`)
  expect(await world.recorded()).toEqual([])
  await world.sql(`commit prepared ${name('kept')}`)
  await world.sql(`begin; update item set n = 3; prepare transaction ${name('gone')}`)
  await world.sql(`rollback prepared ${name('gone')}`)
  expect(await world.recorded()).toEqual([['UPDATE', '1', { n: [1, 2] }]])
})

test('what is checked or written when the transaction ends is recorded, or undone with it', async () => {
  const world =
    await capture.audited(`create table parent (id int primary key); create table child (id int primary key,
      parent_id int references parent deferrable initially deferred); create table late (id int generated always as identity primary key, child_id int);
    create function at_end() returns trigger language plpgsql as $$ begin insert into late (child_id) values (new.id); return null; end $$;
    create constraint trigger at_end after insert on child deferrable initially deferred for each row execute function at_end()`)
  await expect(world.sql('begin; insert into child values (1, 7); commit')).rejects.toThrow('foreign key')
  await world.sql('rollback')
  await world.audit.withContext({ actor: { id: 'ann' } }, async () => {
    const client = await world.client.connect()
    await client.query('begin')
    await client.query('insert into child values (1, 7)')
    await client.query('insert into parent values (7)')
    await client.query('commit')
    client.release()
  })
  const entries = await world.entries()
  expect(short(entries)).toEqual([
    'CREATE child 1 id,parent_id',
    'CREATE parent 7 id',
    'CREATE late 1 id,child_id',
  ])
  expect(new Set(entries.filter(({ kind }) => kind === 'change').map(({ tx }) => tx)).size).toBe(1)
})

test('transactions that may be run in any order are not kept from it by capture', async () => {
  const world = await capture.audited(
    'create table item (id int primary key, email text); insert into item select n from generate_series(1, 50) n',
    { models: { item: { redact: { email: 'hash' } } } },
  )
  await Promise.all(
    Array.from({ length: 10 }, async (_, n) => {
      const client = new Client({ connectionString: world.url })
      await client.connect()
      for (let turn = 0; turn < 5; turn++)
        await client.query(
          `begin isolation level serializable; update item set email = 'x' || id where id = ${n * 5 + turn + 1}; commit`,
        )
      await client.end()
    }),
  )
  expect(await world.recorded()).toHaveLength(50)
})

const odd = [
  `quote " and ' and \\`,
  'dollar $$ $whodunit$ $1',
  'emoji 😀 ключ',
  'select',
  'per%cent {brace}',
  ' ',
  'new\nline',
  `${'x'.repeat(61)}_1`.slice(0, 63),
  `${'x'.repeat(61)}_2`.slice(0, 63),
  'ж'.repeat(31),
]
test('tables, columns, schemas, keys and labels may have any name [B4, B5]', async () => {
  const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`
  const world = await capture.tables('select 1')
  const schemas = ['Odd "schema" $$', '😀'.repeat(15)]
  for (const schema of schemas)
    for (const name of odd) {
      const columns = odd.map((column) => `${quoted(column)} text`).join(', ')
      await world.sql(`create schema if not exists ${quoted(schema)};
        create table ${quoted(schema)}.${quoted(name)} (${columns}, primary key (${quoted(name)}))`)
    }
  const models = Object.fromEntries(
    odd.filter((name) => !name.includes('{') && name.trim() !== '').map((name) => [`${schemas[0]}.${name}`, { label: `{${name}}`, subject: name }]),
  ) // prettier-ignore
  const audit = world.with({ schemas, models })
  await audit.migrate()
  for (const schema of schemas)
    for (const name of odd) {
      const table = `${quoted(schema)}.${quoted(name)}`
      await world.sql(
        `insert into ${table} (${quoted(name)}) values ('it''s "me"'); alter table ${table} add later int; update ${table} set later = 1`,
      )
    }
  const entries = (await world.entries()).filter(({ kind }) => kind === 'change')
  const expected = schemas.flatMap((schema) => odd.map((name) => `${schema}.${name}`))
  for (const action of ['CREATE', 'UPDATE']) {
    const of = entries.filter((entry) => entry.action === action)
    expect(of.map(({ target }) => target!.model)).toEqual(expected)
    expect(new Set(of.map(({ target }) => target!.id))).toEqual(new Set([`it's "me"`]))
  }
  const created = entries.find(({ action }) => action === 'CREATE')!
  expect(Object.keys(created.changes!)).toEqual(odd)
  expect(created.target!.label).toBe(`it's "me"`)
  expect((await audit.migrate()).done.join()).toContain('brought up to date')
  expect((await audit.migrate()).done).toEqual([])
})

test('event triggers of the application do not mind migrate, nor migrate them', async () => {
  const world = await capture.tables(item)
  await world.sql(`create table ddl (id int generated always as identity primary key, tag text);
    create function on_ddl() returns event_trigger language plpgsql as $$ begin
      if current_setting('search_path') like '%${world.schema}%' then insert into ${world.schema}.ddl (tag) values (tg_tag); end if; end $$;
    create event trigger on_ddl_${world.schema} on ddl_command_end execute function on_ddl()`)
  onTestFinished(async () => {
    await capture.database.pool.query(`drop event trigger on_ddl_${world.schema}`)
  })
  await world.audit.migrate()
  await world.sql('update item set n = 2; alter table item add later int; update item set later = 1')
  expect(short(await world.entries()).filter((entry) => entry.includes(' item '))).toEqual([
    'UPDATE item 1 n',
    'UPDATE item 1 later',
  ])
})

test('the tag, the counts and the rows of every statement are those without capture [D3]', async () => {
  const world = await capture.audited('create table item (id serial primary key, n int)')
  const bare = await capture.tables('create table item (id serial primary key, n int)')
  const statements = [
    'insert into item (n) values (1), (2), (3) returning id, n',
    'update item set n = n + 1 where id < 3 returning *',
    'update item set n = n',
    'insert into item values (1, 9) on conflict (id) do update set n = excluded.n returning n',
    'insert into item values (1, 9) on conflict do nothing',
    'with gone as (delete from item where id = 3 returning *) select * from gone',
    `select currval('item_id_seq')`,
    'delete from item where id = 77',
    ...(capture.database.version >= 15
      ? ['merge into item using (values (1), (8)) v(id) on item.id = v.id when matched then update set n = 5 when not matched then insert values (8, 8)']
      : []),
    'delete from item returning id',
    'truncate item',
  ] // prettier-ignore
  for (const sql of statements) {
    const [one, other] = [await world.sql(sql), await bare.sql(sql)]
    expect([one.command, one.rowCount, one.rows], sql).toEqual([other.command, other.rowCount, other.rows])
  }
})
