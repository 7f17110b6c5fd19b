import { expect, test } from 'vitest'
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
  await world.sql(`delete from person where id = 1; set session_replication_role = replica;
    insert into person values (1, 'Again'); set session_replication_role = origin; update person set id = 20 where id = 2`)
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

const types = {
  mood: 'mood', ints: 'int[]', texts: 'text[]', j: 'json', jb: 'jsonb', n: 'numeric', f4: 'real', f8: 'double precision',
  b: 'bytea', ts: 'timestamptz', t: 'timestamp', d: 'date', tm: 'time', iv: 'interval', ip: 'inet', bits: 'varbit',
  span: 'int4range', c: 'char(5)', big: 'bigint', sm: 'smallint', ok: 'boolean', x: 'xml', pt: 'point', cash: 'money',
  dom: 'small_number', kind: 'regclass',
} // prettier-ignore
