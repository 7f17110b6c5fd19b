import { spawnSync } from 'node:child_process'
import type { Database } from 'better-sqlite3'
import { expect, test } from 'vitest'
import { sqliteWorld } from '../harness/sqlite.ts'

const cli = '/usr/bin/sqlite3'
const noCli = spawnSync(cli, ['--version']).status !== 0
const item = 'create table item (id integer primary key, code text unique, n integer)'
const rows = `insert into item values (1, 'a', 1), (2, 'b', 2), (3, 'c', 3)`

test.each([
  ['insert or replace by key', `insert or replace into item values (1, 'z', 9)`, ['DELETE item 1', 'CREATE item 1']],
  ['replace into', `replace into item values (1, 'a', 9)`, ['DELETE item 1', 'CREATE item 1']],
  ['a replace by another key', `replace into item values (9, 'a', 9)`, ['DELETE item 1', 'CREATE item 9']],
  ['a replace of two rows by one', `replace into item values (1, 'b', 9)`, ['DELETE item 1', 'DELETE item 2', 'CREATE item 1']],
  ['a replace of many rows', `replace into item select id, code, n * 2 from item where id < 3`, ['DELETE item 1', 'CREATE item 1', 'DELETE item 2', 'CREATE item 2']],
  ['a replace of nothing', `replace into item values (4, 'd', 4)`, ['CREATE item 4']],
  ['update or replace', `update or replace item set code = 'b' where id = 1`, ['DELETE item 2', 'UPDATE item 1']],
  ['update or replace of the key', `update or replace item set id = 3 where id = 1`, ['DELETE item 3', 'UPDATE item 1']],
  ['update or replace with itself', `update or replace item set id = id, code = code, n = 5 where id = 1`, ['UPDATE item 1']],
  ['insert or ignore', `insert or ignore into item values (1, 'z', 9), (4, 'd', 4), (5, 'a', 5)`, ['CREATE item 4']],
  ['update or ignore', `update or ignore item set code = 'b' where id in (1, 2)`, []],
  ['an upsert', `insert into item values (1, 'z', 9) on conflict (id) do update set n = excluded.n`, ['UPDATE item 1']],
  ['an upsert that does nothing', `insert into item values (1, 'z', 9), (6, 'b', 9) on conflict do nothing`, []],
  ['delete without where', 'delete from item', ['DELETE item 1', 'DELETE item 2', 'DELETE item 3']],
  ['returning', `update item set n = 0 where id = 1 returning *`, ['UPDATE item 1']],
  ['update from', `update item set n = o.n from item o where o.id = 3 and item.id = 1`, ['UPDATE item 1']],
])('%s is recorded row by row, whoever writes, and whatever recursive_triggers says [C10]', async (_, sql, expected) => {
  for (const recursive of [0, 1]) {
    for (const writer of ['client', 'other'] as const) {
      const world = await sqliteWorld(`${item}; ${rows}`)
      world[writer].exec(`pragma recursive_triggers = ${recursive}`)
      world[writer].exec(sql)
      const short = (await world.short()).map((entry) => entry.split(' ').slice(0, 3).join(' '))
      expect(short, `${writer}, recursive_triggers ${recursive}`).toEqual(expected)
      expect(world.client.prepare('select id, here from whodunit_replacing').all()).toEqual([{ id: 1, here: null }])
    }
  }
}) // prettier-ignore

test('what a failed statement would have replaced leaves nothing', async () => {
  const world = await sqliteWorld(
    `${item}; ${rows}; create table strict_item (id integer primary key, n integer not null check (n < 5)); insert into strict_item values (1, 1)`,
  )
  for (const or of ['', 'or abort', 'or fail', 'or rollback']) {
    expect(() => world.client.exec(`insert ${or} into item values (7, 'x', 1), (1, 'z', 1)`)).toThrow(
      'UNIQUE',
    )
  }
  expect(() => world.client.exec('replace into strict_item values (1, 9)')).toThrow('CHECK')
  // OR FAIL keeps the rows before the one that failed
  expect(await world.short()).toEqual(['CREATE item 7 id,code,n'])
})

test('a table whose own constraint says REPLACE is recorded likewise', async () => {
  const world = await sqliteWorld(
    `create table item (id integer primary key on conflict replace, n integer); insert into item values (1, 1)`,
  )
  world.client.exec('insert into item values (1, 2)')
  world.client.exec('insert or ignore into item values (1, 3)')
  expect(await world.short()).toEqual(['DELETE item 1 id,n', 'CREATE item 1 id,n'])
})

test('replaced rows of tables without rowid, with composite, case-blind and nullable keys', async () => {
  const world =
    await sqliteWorld(`create table pair (a text, b integer, n integer, primary key (a, b)) without rowid;
    create table nocase (id integer primary key, email text collate nocase unique, other text);
    create table loose (email text unique, n integer);
    insert into pair values ('x', 1, 1); insert into nocase values (1, 'Ann', 'o'); insert into loose values ('a', 1), (null, 2), (null, 3)`)
  world.client.exec(`replace into pair values ('x', 1, 2); replace into nocase values (2, 'ANN', 'p');
    replace into loose values ('a', 9), (null, 4); update or replace loose set email = 'a' where n = 2`)
  expect(await world.short()).toEqual([
    'DELETE pair ["x","1"] a,b,n', 'CREATE pair ["x","1"] a,b,n', 'DELETE nocase 1 id,email,other', 'CREATE nocase 2 id,email,other',
    'DELETE loose email,n', 'CREATE loose email,n', 'CREATE loose email,n', 'DELETE loose email,n', 'UPDATE loose email',
  ]) // prettier-ignore
})

test('cascades of all kinds are recorded with the context of the statement [C12]', async () => {
  const world = await sqliteWorld(`create table parent (id integer primary key);
    create table owned (id integer primary key, p integer references parent on delete cascade on update cascade);
    create table linked (id integer primary key, p integer references parent on delete set null);
    create table kept (id integer primary key, p integer default 9 references parent on delete set default);
    insert into parent values (1), (2), (9); insert into owned values (1, 1), (2, 2); insert into linked values (1, 1); insert into kept values (1, 1)`)
  world.audit.withContext({ actor: { id: 'ann' } }, () => {
    world.client.exec('update parent set id = 3 where id = 2; delete from parent where id = 1')
  })
  const short = await world.short()
  expect(short.toSorted()).toEqual(
    ['UPDATE parent 2 id', 'UPDATE owned 2 p', 'DELETE parent 1 id', 'DELETE owned 1 id,p', 'UPDATE linked 1 p', 'UPDATE kept 1 p'].toSorted(),
  ) // prettier-ignore
  expect(new Set((await world.changes()).map(({ actor }) => actor?.id))).toEqual(new Set(['ann']))
})

test('generated columns, virtual and stored, are recorded with their values [A16]', async () => {
  const world = await sqliteWorld(
    'create table item (id integer primary key, n integer default 5, v integer generated always as (n * 2) virtual, s text generated always as (n || char(33)) stored)',
  )
  world.client.exec('insert into item (id) values (1); update item set n = 6; delete from item')
  expect((await world.changes()).map(({ changes }) => changes)).toEqual([
    { id: [null, 1], n: [null, 5], v: [null, 10], s: [null, '5!'] },
    { n: [5, 6], v: [10, 12], s: ['5!', '6!'] },
    { id: [1, null], n: [6, null], v: [12, null], s: ['6!', null] },
  ])
})

test('what other triggers change in turn comes after what caused it, whenever they were made', async () => {
  const world = await sqliteWorld(`${item};
    create trigger early after insert on item begin update item set n = n + 1 where id = new.id; end`)
  world.client.exec(`insert into item values (1, 'a', 1)`)
  world.client.exec(
    `create trigger late after update on item when new.n < 5 begin update item set n = 9 where id = new.id; end`,
  )
  const [{ state } = {}] = (await world.audit.status()).tables
  expect(state).toBe('drifted')
  await world.audit.migrate()
  expect((await world.audit.status()).tables[0]!.state).toBe('audited')
  world.client.exec(`update item set code = 'b'`)
  expect((await world.changes()).map(({ action, changes }) => [action, changes!['n']])).toEqual([
    ['CREATE', [null, 1]],
    ['UPDATE', [1, 2]],
    ['UPDATE', undefined],
    ['UPDATE', [2, 9]],
  ])
})

test('a text that differs in case alone, and 1 beside 1.0 where types are free, are changes', async () => {
  const world =
    await sqliteWorld(`create table item (id integer primary key, t text collate nocase, a any, b);
    insert into item values (1, 'Abc', 1, 1)`)
  world.client.exec(
    `update item set t = 'abc'; update item set b = 1.0; update item set b = '1'; update item set b = x'31'`,
  )
  world.client.exec(`update item set t = 'abc', b = x'31'`)
  expect((await world.changes()).map(({ changes }) => changes)).toEqual([
    { t: ['Abc', 'abc'] },
    { b: [1, 1] },
    { b: [1, '1'] },
    { b: ['1', { $: 'blob', hex: '31' }] },
  ])
})

test('texts that look like equal numbers are different texts, whatever columns stand beside them', async () => {
  const world = await sqliteWorld(
    `create table item (id integer primary key, n numeric, t text, b blob); insert into item values (1, 1, '1', 1)`,
  )
  const update = `update item set t = '01'; update item set t = '1.0', n = '1.0'; update item set b = '1'; update item set b = 1.0`
  world.client.exec(update)
  if (!noCli) spawnSync(cli, [world.file, update])
  const expected = [{ t: ['1', '01'] }, { t: ['01', '1.0'] }, { b: [1, '1'] }, { b: ['1', 1] }]
  const again = [{ t: ['1.0', '01'] }, { t: ['01', '1.0'] }, { b: [1, '1'] }, { b: ['1', 1] }]
  expect((await world.changes()).map(({ changes }) => changes)).toEqual([
    ...expected,
    ...(noCli ? [] : again),
  ])
})

test.each([
  ['{"userName": "ann", "apiToken": "s3cret"}', true],
  ['[{"headers": {"X-Api-Key": "s3cret"}}]', true],
  ['\n\t {"deep": [{"PIN": "s3cret"}]}', true],
  ['{"user_pin": "s3cret"}', true],
  ['{"userPin": "s3cret"}', true],
  ['{"pass\\u0077ord": "s3cret"}', true],
  ['{"pin_code": "s3cret"}', true],
  ['{"shipping": "seen", "spinner": 1, "opinion": 2}', false],
  ['{"password": null}', false],
  ['{"a": "password"}', false],
  ['{no json, password: "seen"}', false],
  ['[1, 2', false],
  ['the password is seen', false],
])('JSON in a text column is masked if it names a secret: %s', async (text, masks) => {
  const world = await sqliteWorld('create table item (id integer primary key, t text, v varchar(100), x)')
  world.client.prepare('insert into item values (1, ?, ?, ?)').run(text, text, text)
  const [{ changes } = {}] = await world.changes()
  const value = masks ? { $: 'masked' } : text
  expect(changes).toMatchObject({ t: [null, value], v: [null, value], x: [null, value] })
})

test('blobs are recorded in hexadecimal up to the limit, and JSON in binary is masked', async () => {
  const world = await sqliteWorld('create table item (id blob primary key, b blob, j jsonb)', {
    maxValueBytes: 100,
  })
  world.client.exec(
    `insert into item values (x'0a', zeroblob(50), jsonb('{"a":1}')), (x'0b', zeroblob(51), null)`,
  )
  const changes = await world.changes()
  expect(changes.map(({ target }) => target!.id)).toEqual(['0A', '0B'])
  expect(changes[0]!.changes).toMatchObject({
    b: [null, { $: 'blob', hex: '00'.repeat(50) }],
    j: [null, { $: 'masked' }],
  })
  expect(changes[1]!.changes).toMatchObject({ b: [null, { $: 'cut', length: 51 }] })
})

test.skipIf(noCli)(
  'a table of 1,000 columns is recorded in full, and old tools can still open and write it',
  async () => {
    const names = Array.from({ length: 999 }, (_, n) => `c${n}`)
    const world = await sqliteWorld(
      `create table wide (id integer primary key, ${names.map((name) => `${name} text`).join(', ')})`,
      {
        models: { wide: { label: '{c998}' } },
      },
    )
    world.client.exec(`insert into wide values (1, ${names.map((_, n) => `'${n}'`).join(', ')})`)
    const run = spawnSync(cli, [world.file, `update wide set c0 = 'x', c998 = 'y'; delete from wide`], {
      encoding: 'utf8',
    })
    expect(run.stderr).toBe('')
    const [created, updated, deleted] = await world.changes()
    expect(Object.keys(created!.changes!)).toHaveLength(1_000)
    expect(updated!.changes).toEqual({ c0: ['0', 'x'], c998: ['998', 'y'] })
    expect(Object.keys(deleted!.changes!)).toHaveLength(1_000)
    expect(deleted!.target!.label).toBe('y')
  },
)

const foreign = `replace into item values (1, 'z', 9); update item set code = '{"token": "s3cret"}' where id = 2; delete from item where id = 3`

test.skipIf(noCli).each([
  ['of another version', (file: string) => spawnSync(cli, [file, foreign], { encoding: 'utf8' }).stderr],
  [
    'that trusts no schema',
    (_: string, other: Database) => {
      other.exec(`pragma trusted_schema = off; ${foreign}`)
      return ''
    },
  ],
])('a program %s is recorded, without a context [D11]', async (_, write) => {
  const world = await sqliteWorld(`${item}; ${rows}`)
  expect(write(world.file, world.other)).toBe('')
  expect(await world.short()).toEqual([
    'DELETE item 1 id,code,n',
    'CREATE item 1 id,code,n',
    'UPDATE item 2 code',
    'DELETE item 3 id,code,n',
  ])
  const changes = await world.changes()
  expect(JSON.stringify(changes)).not.toContain('s3cret')
  expect(changes.filter(({ actor, tx, origin }) => actor || tx || origin !== 'sql')).toEqual([])
})

test('where the context comes from a function, other programs cannot write', async () => {
  const world = await sqliteWorld(item, {}, { context: 'function' })
  expect(() => world.other.exec(`insert into item values (1, 'a', 1)`)).toThrow(
    'no such function: whodunit_context',
  )
  world.audit.withContext({ actor: { id: 'ann' } }, () =>
    world.client.exec(`insert into item values (1, 'a', 1)`),
  )
  expect((await world.changes()).map(({ actor }) => actor?.id)).toEqual(['ann'])
  expect(await world.audit.check()).toEqual([])
})
