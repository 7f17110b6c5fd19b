import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { fromPg } from '../../src/database/postgres.ts'
import { createAudit } from '../../src/index.ts'
import { freshDatabase } from '../harness/postgres.ts'
import { captureDatabase } from './fixture.ts'
import { oddValues } from './replay/world.ts'

const capture = captureDatabase()

test('existing rows get one entry each, masked and labelled as the trigger would; a second time adds nothing', async () => {
  const world = await capture.tables(
    `create table person (id int primary key, name text, password text, email text, notes json, updated_at int);
    create table pair (a int, b text, n int, primary key (a, b)); create table nokey (n int);
    create table hidden (api_token text primary key, n int);
    insert into person values (1, 'Ann', 'pw1', 'a@x', '{"pin":1,"x":2}', 5), (2, 'Bob', null, null, null, null);
    insert into pair values (1, 'x"y', 7), (1, 'z', 8); insert into nokey values (1); insert into hidden values ('a', 1)`,
    {
      models: {
        person: { label: '{name} {password}', subject: 'id', category: 'crm', severity: 'low', tags: ['vip'], redact: { email: 'hash' }, ignore: ['updated_at'] },
      },
    }, // prettier-ignore
  )
  await world.audit.migrate()
  await world.sql(`insert into person values (3, 'Cid', 'pw3', 'c@x', '{"pin":3}', 1)`)
  const progress: unknown[] = []
  const { done, warnings } = await world.audit.withContext(
    { actor: { id: 'ops' }, request: { id: 'deploy' }, reason: 'first day' },
    () => world.audit.migrate({ backfill: true, onProgress: (step) => progress.push(step) }),
  )
  expect(done).toEqual(['gave 2 rows of pair a first entry', 'gave 2 rows of person a first entry'])
  expect(progress).toEqual([
    { model: 'pair', entries: 2 },
    { model: 'person', entries: 2 },
  ])
  expect(warnings.filter((text) => text.includes('backfilled'))).toEqual([
    'hidden was not backfilled: its key api_token is masked, so its rows cannot be told apart',
    'nokey was not backfilled: it has no key, so its rows cannot be told apart',
  ])
  expect(await world.recorded()).toMatchObject([
    ['CREATE', '3', {}],
    ['SNAPSHOT', '["1","x\\"y"]', { a: [null, 1], b: [null, 'x"y'], n: [null, 7] }],
    ['SNAPSHOT', '["1","z"]', { a: [null, 1], b: [null, 'z'], n: [null, 8] }],
    ['SNAPSHOT', '1', { id: [null, 1], name: [null, 'Ann'], password: [null, { $: 'masked' }], updated_at: [null, 5] }],
    ['SNAPSHOT', '2', { id: [null, 2], name: [null, 'Bob'], password: [null, null], email: [null, null], notes: [null, null] }],
  ]) // prettier-ignore
  const [cid, , , ann] = (await world.entries()).filter(({ kind }) => kind === 'change')
  expect(ann).toMatchObject({
    target: { label: 'Ann ***' },
    subject: '1',
    category: 'crm',
    severity: 'low',
    tags: ['vip'],
    actor: { id: 'ops' },
    request: { id: 'deploy' },
    reason: 'first day',
    origin: 'backfill',
    changes: { notes: [null, '{"x": 2, "pin": {"$": "masked"}}'] },
  })
  expect(ann!.changes!['email']![1]).toEqual({ $: 'hash', v: expect.stringMatching(/^[0-9a-f]{32}$/) })
  expect(Object.keys(ann!.changes!)).toEqual(Object.keys(cid!.changes!))

  const again = await world.audit.migrate({ backfill: true })
  expect(again.done).toEqual([])
  expect((await world.recorded()).length).toBe(5)

  // a row that is back without an entry of its own begins anew; one whose key was moved begins where it is
  await world.sql(`delete from person where id = 1; alter table person disable trigger all;
    insert into person values (1, 'Again'); alter table person enable trigger all; update person set id = 20 where id = 2`)
  await world.audit.migrate({ backfill: true })
  expect((await world.recorded()).slice(5).map(([action, id]) => `${action} ${id}`)).toEqual([
    'DELETE 1',
    'UPDATE 2',
    'SNAPSHOT 1',
    'SNAPSHOT 20',
  ])
})

test('partitions, children and odd keys: each row under its own model, in one page or in many', async () => {
  await capture.database.pool.query('create extension if not exists citext')
  const world = await capture.tables(
    `create table part (id int, region text, n int, primary key (id, region)) partition by list (region);
    create table part_eu partition of part for values in ('eu'); create table part_rest partition of part default;
    create table base (id int primary key, n int); create table more (extra text, primary key (id)) inherits (base);
    create table word (w public.citext primary key, n int); create type mood as enum ('sad', 'glad');
    create table feeling (m mood, day date, at timestamptz, primary key (m, day, at));
    create table many (id bigint primary key, f double precision);
    insert into part select n, case n % 2 when 0 then 'eu' else 'us' end, n from generate_series(1, 10) n;
    insert into base values (1, 1); insert into more values (2, 2, 'x');
    insert into word select chr(65 + n % 26) || chr(97 + n / 26) || n, n from generate_series(1, 2600) n;
    insert into feeling select m, '2024-01-01'::date + n, '2024-02-29 12:00:00.123456+05:30'::timestamptz + n * interval '1 us'
      from unnest(enum_range(null::mood)) m, generate_series(1, 1100) n;
    insert into many select n * 7 % 5003, 'NaN' from generate_series(1, 5002) n`,
  )
  await world.sql(`set datestyle = 'German'`)
  const { done } = await world.audit.migrate({ backfill: true })
  expect(done.filter((sentence) => sentence.startsWith('gave'))).toEqual([
    'gave 1 row of base a first entry',
    'gave 2200 rows of feeling a first entry',
    'gave 5002 rows of many a first entry',
    'gave 1 row of more a first entry',
    'gave 10 rows of part a first entry',
    'gave 2600 rows of word a first entry',
  ])
  const { rows } = await world.sql(`select count(distinct (model, target_id))::int as n, count(*)::int as all
    from whodunit.entries where action = 'SNAPSHOT' and model in ('part', 'base', 'more', 'word', 'feeling', 'many')`)
  expect(rows).toEqual([{ n: 9_814, all: 9_814 }])
  expect((await world.audit.migrate({ backfill: true })).done).toEqual([])
})

test('values stand in it exactly as in the entry of the trigger, also in a table of 1,600 columns', async () => {
  const columns = Object.entries(types)
    .map(([column, type]) => `${column} ${type}`)
    .join()
  const names = Object.keys(types).join()
  const world = await capture.tables(`create type mood as enum ('happy', 'it''s "fine"', 'grün');
    create domain small_number as int; create domain filled as text not null;
    create table early (id int primary key, ${columns}, must filled default 'x', doubled numeric generated always as (n * 2) stored);
    create table late (like early including all);
    create table wide (id int primary key, ${Array.from({ length: 1_599 }, (_, n) => `c${n} int`).join()});
    insert into wide (id, c0, c1598) values (1, 7, 8)`)
  const values = Object.keys(types).map((column) => oddValues[column] ?? ['early'])
  for (let row = 0; row < Math.max(...values.map(({ length }) => length)); row++) {
    await world.sql(
      `insert into early (id, ${names}) values (${row}, ${Object.values(types).map((type, n) => `$${n + 1}::text::${type}`).join()})`,
      values.map((some) => some[row] ?? null),
    ) // prettier-ignore
  }
  await world.audit.migrate()
  await world.sql(`insert into late (id, ${names}, must) select id, ${names}, must from early`)
  await world.audit.migrate({ backfill: true })
  const texts = async (model: string) => {
    const { rows } = await world.sql(
      `select action, changes::text as text from whodunit.entries where model = $1 order by id`,
      [model],
    )
    return rows as { action: string; text: string }[]
  }
  const [early, late, wide] = [await texts('early'), await texts('late'), await texts('wide')]
  expect(new Set(early.map(({ action }) => action))).toEqual(new Set(['SNAPSHOT']))
  expect(new Set(late.map(({ action }) => action))).toEqual(new Set(['CREATE']))
  expect(early.length).toBeGreaterThan(9)
  expect(early.map(({ text }) => text)).toEqual(late.map(({ text }) => text))
  expect(wide.map(({ text }) => Object.keys(JSON.parse(text) as object).length)).toEqual([1_600])
})

test('rows that others hold are waited for, one by one, and nobody ends in a deadlock', async () => {
  const world = await capture.tables(
    `create table held_item (id int primary key, n int); insert into held_item select n, 0 from generate_series(1, 50) n`,
  )
  await world.audit.migrate()
  const writer = new Client({ connectionString: world.url })
  await writer.connect()
  onTestFinished(async () => writer.end())
  await writer.query(`set deadlock_timeout = '20ms'; begin; update held_item set n = 1 where id in (20, 40)`)
  const filling = world.audit.migrate({ backfill: true })
  await expect.poll(async () => (await world.recorded()).length, { timeout: 20_000 }).toBe(48)
  // on rows that a batch had in hand, while another of this transaction's rows is being waited for
  await writer.query('update held_item set n = 2 where id < 5')
  await sleep(100)
  await writer.query('commit')
  expect((await filling).warnings).toEqual([])
  const recorded = await world.recorded()
  expect(recorded.filter(([action]) => action === 'SNAPSHOT')).toHaveLength(50)
  expect(recorded.filter(([, id]) => id === '20' || id === '1')).toEqual([
    ['SNAPSHOT', '1', { id: [null, 1], n: [null, 0] }],
    ['UPDATE', '20', { n: [0, 1] }],
    ['UPDATE', '1', { n: [0, 2] }],
    ['SNAPSHOT', '20', { id: [null, 20], n: [null, 1] }],
  ].toSorted((a, b) => recorded.findIndex((r) => r[0] === a[0] && r[1] === a[1]) - recorded.findIndex((r) => r[0] === b[0] && r[1] === b[1])))

  // held for longer than is waited for: the others get theirs, and the next time does the rest
  await writer.query(`begin; alter table held_item disable trigger "!whodunit"; insert into held_item values (60, 0); alter table held_item enable always trigger "!whodunit"; commit; begin; update held_item set n = 9 where id = 60`)
  const { warnings } = await world.audit.migrate({ backfill: true })
  expect(warnings).toEqual(['some rows of held_item are held by other work: they have no first entry yet, run migrate --backfill again'])
  await writer.query('commit')
  expect((await world.audit.migrate({ backfill: true })).done).toEqual(['gave 1 row of held_item a first entry'])
}) // prettier-ignore

test('a key that moves to where the backfill has been gets its first entry all the same', async () => {
  const world = await capture.tables(
    `create table moving_item (id int primary key); insert into moving_item select n from generate_series(1, 2500) n`,
  )
  await world.audit.migrate()
  let moved = false
  await world.audit.migrate({
    backfill: true,
    onProgress: () => {
      if (!moved) moving = world.sql('update moving_item set id = -id where id > 2400')
      moved = true
    },
  })
  await moving
  const recorded = await world.recorded()
  const begun = new Set(recorded.filter(([action]) => action === 'SNAPSHOT').map(([, id]) => id))
  const { rows } = await world.sql('select id::text from moving_item')
  expect(rows.filter(({ id }) => !begun.has(id) && !begun.has(id.replace('-', '')))).toEqual([])
  expect((await world.audit.migrate({ backfill: true })).done.length).toBeLessThan(2)
}) // prettier-ignore
let moving: Promise<unknown> | undefined

test('an ordinary owner of tables can do it; rows that are hidden from it leave their table out', async () => {
  const database = await freshDatabase()
  const owner = await database.createRole()
  const superuser = createAudit({ database: fromPg(database.pool) })
  await superuser.migrate()
  await database.pool.query(`grant whodunit_owner to ${owner.name}; create schema authorization ${owner.name}`)
  await owner.pool.query(`create table item (id int primary key); insert into item values (1);
    create table hidden (id int primary key, who text); insert into hidden values (1, 'x'); alter table hidden enable row level security;
    alter table hidden force row level security; create policy own on hidden using (who = current_user)`)
  const audit = createAudit({ database: fromPg(owner.pool) })
  onTestFinished(async () => {
    await audit.close()
    await superuser.close()
    await owner.pool.query(`drop owned by ${owner.name} cascade`)
    await database.drop()
  })
  const { done, warnings } = await audit.migrate({ backfill: true })
  expect(done.at(-1)).toBe('gave 1 row of item a first entry')
  expect(warnings).toEqual([expect.stringMatching(/^hidden was not backfilled: .*row-level security/)])
}) // prettier-ignore

const types = {
  mood: 'mood', ints: 'int[]', texts: 'text[]', j: 'json', jb: 'jsonb', n: 'numeric', f4: 'real', f8: 'double precision',
  b: 'bytea', ts: 'timestamptz', t: 'timestamp', d: 'date', tm: 'time', iv: 'interval', ip: 'inet', bits: 'varbit',
  span: 'int4range', c: 'char(5)', big: 'bigint', sm: 'smallint', ok: 'boolean', x: 'xml', pt: 'point', cash: 'money',
  dom: 'small_number', kind: 'regclass',
} // prettier-ignore
