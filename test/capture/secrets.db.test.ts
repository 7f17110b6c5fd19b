import { expect, test } from 'vitest'
import { captureDatabase } from './fixture.ts'

const capture = captureDatabase()
const masked = { $: 'masked' }

test.each([
  ['password', '{"user": "ann", "password": "s3cret"}'],
  ['apiKey', '{"apiKey": "s3cret"}'],
  ['api_key', '{"api_key": "s3cret"}'],
  ['x-api-key', '{"headers": [{"x-api-key": "s3cret"}]}'],
  ['API KEY', '{"API KEY": "s3cret"}'],
  ['credit_card', '{"credit_card": "s3cret"}'],
  ['creditCard', '{"creditCard": {"number": "s3cret"}}'],
  ['sessionId', '{"sessionId": "s3cret"}'],
  ['session-id', '{"a": {"b": {"session-id": "s3cret"}}}'],
  ['pass_word', '{"pass_word": "s3cret"}'],
  ['a name with other separators', '{"pass/word": "s3cret"}'],
  ['a name with an escaped line break', '{"a": "b", "pass \\n word": "s3cret"}'],
  ['a name with an escaped quote', '{"pass\\"word": "s3cret"}'],
  ['accessKey', '{"aws": {"accessKey": ["s3cret"]}}'],
  ['a name with an escape', '{"pass\\u0077ord": "s3cret"}'],
  ['a name after a letter beyond ASCII', '{"é": 1, "pass–word": "s3cret"}'],
  ['a secret beside a NUL', '{"x": "\\u0000", "token": "s3cret"}'],
  ['a secret beside half a character', '{"x": "\\ud800", "token": "s3cret"}'],
  ['a name of the policy', '{"deep": [{"Nickname": "s3cret"}]}'],
])('a secret inside JSON is masked: %s', async (_, json) => {
  const world = await capture.audited(
    'create table item (id int primary key, j json, b jsonb, d setting, list json[])'.replace(
      'create',
      'create domain setting as json; create',
    ),
    { redact: ['**.nickname'] },
  )
  const jsonb = json.includes('\\u0000') || json.includes('\\ud800') ? null : json
  await world.sql('insert into item values (1, $1::text::json, $2, $1::text::json, array[$1::text::json])', [
    json,
    jsonb,
  ])
  await world.sql('update item set j = null, b = null, d = null, list = null')
  await world.sql('alter table item add later int')
  await world.sql(
    'insert into item values (2, $1::text::json, $2, $1::text::json, array[$1::text::json], 1)',
    [json, jsonb],
  )
  const recorded = await world.recorded()
  expect(recorded).toHaveLength(3)
  expect(JSON.stringify(recorded)).not.toContain('s3cret')
  expect(JSON.stringify(recorded)).toContain('masked')
})

test.each([
  '{"key": "value", "number": 5, "code": "x"}',
  '{"passenger": "ann", "tokenize": true, "pinned": 1, "assault": 2}',
  '{"a": "password"}',
  '{"x": "\\u0000\\ud800 é", "a": 1, "a": 2.50}',
  '{"x": "back\\\\\\\\u0000"}',
  '{"password": null}',
  ' [1,  2] ',
])('JSON without a secret keeps its exact text: %s', async (json) => {
  const world = await capture.audited('create table item (id int primary key, j json)')
  await world.sql('insert into item values (1, $1)', [json])
  expect((await world.recorded())[0]![2]!['j']![1]).toBe(json)
})

test('JSON that is too deep to look into is masked, and the write goes on', async () => {
  const world = await capture.audited('create table item (id int primary key, j json)')
  const deep = `${'['.repeat(5_000)}{"token": "s3cret"}${']'.repeat(5_000)}`
  await world.sql('insert into item values (1, $1)', [deep])
  const recorded = await world.recorded()
  expect(recorded).toHaveLength(1)
  expect(JSON.stringify(recorded)).not.toContain('s3cret')
})

test('a secret part of a record, or of a list of records, is masked', async () => {
  const world = await capture.audited(`create type login as (username text, password text);
    create table item (id int primary key, one login, many login[], open login)`)
  await world.sql(
    `insert into item values (1, row('ann', 's3cret'), array[row('bob', 's3cret')::login], row('cat', null))`,
  )
  const [[, , changes]] = (await world.recorded()) as unknown as [[string, string, Record<string, unknown[]>]]
  expect(changes['one']![1]).toBe('{"password": {"$": "masked"}, "username": "ann"}')
  expect(JSON.stringify(changes)).not.toContain('s3cret')
  expect(changes['open']![1]).toBe('(cat,)')
})

test('a secret column is masked before and after, and listed only when it changed [F5, F6, F8]', async () => {
  const world = await capture.audited(
    'create table item (id int primary key, password text, email text, note text, phone text, "apiToken" text, plain_token text)',
    {
      models: { item: { redact: { email: 'hash', phone: 'omit', plain_token: 'keep' } } },
    },
  )
  await world.sql(`insert into item values (1, 's3cret', 'a@b.c', 'n', 'phone one', 's3cret', 'open')`)
  await world.sql(`update item set note = 'm', password = password`)
  await world.sql(
    `update item set password = 's3cret 2', email = 'd@e.f', phone = 'phone two', "apiToken" = null, plain_token = 'open 2'`,
  )
  await world.sql(`insert into item values (2, null, 'd@e.f', null, null, null, null)`)
  const [created, noted, changed, second] = (await world.recorded()).map(([, , changes]) => changes!)
  expect(created).toMatchObject({
    password: [null, masked],
    apiToken: [null, masked],
    plain_token: [null, 'open'],
  })
  expect(noted).toEqual({ note: ['n', 'm'] })
  expect(Object.keys(changed!)).toEqual(['password', 'email', 'apiToken', 'plain_token'])
  expect(changed).toMatchObject({
    password: [masked, masked],
    apiToken: [masked, null],
    email: [{ $: 'hash' }, { $: 'hash' }],
  })
  // a hash tells equal from unequal within the trail, and a mark is not put in place of NULL
  expect(second!['email']![1]).toEqual(changed!['email']![1])
  expect(changed!['email']![0]).not.toEqual(changed!['email']![1])
  expect(second!['password']).toEqual([null, null])
  const all = JSON.stringify(await world.entries())
  for (const secret of ['s3cret', 'a@b.c', 'phone']) expect(all).not.toContain(secret)
})

test('a masked key, label or subject does not give the value away', async () => {
  const world = await capture.audited(
    `create table item (ssn text primary key, name text); create table pair (ssn text, n int, primary key (ssn, n));
     create table hashed (email text primary key, n int)`,
    {
      models: {
        item: { label: '{name} {ssn}', subject: 'ssn' },
        hashed: { redact: { email: 'hash' }, label: '{email}', subject: 'email' },
      },
    },
  )
  await world.sql(
    `insert into item values ('s3cret', 'ann'); insert into pair values ('s3cret', 1); insert into hashed values ('s3cret', 1)`,
  )
  await world.sql(
    `update item set ssn = 's3cret 2'; update hashed set n = 2; alter table item add x int; update item set x = 1`,
  )
  const entries = (await world.entries()).filter(({ kind }) => kind === 'change')
  expect(JSON.stringify(entries)).not.toContain('s3cret')
  expect(entries[0]).toMatchObject({ target: { id: '***', label: 'ann ***' }, subject: '***' })
  expect(entries[1]!.target!.id).toBe('["***","1"]')
  expect(entries[2]!.target!.id).toMatch(/^[0-9a-f]{32}$/)
  expect(entries[2]!.target!.id).toBe(
    entries.find(({ target, action }) => target!.model === 'hashed' && action === 'UPDATE')!.target!.id,
  )
})

test('a domain is recorded, compared and masked as the type below it, also one that refuses NULL', async () => {
  const world = await capture.audited(
    `create domain filled as text not null check (value <> ''); create domain again as filled; create domain config as jsonb;
     create domain amount as numeric; create table item (id int primary key, name again, data config, price amount, n int)`,
    { models: { item: { label: '{name}', subject: 'n', redact: { price: 'hash' } } } },
  )
  await world.sql(`insert into item values (1, 'ann', '{"token": "s3cret"}', 1.0, 7)`)
  await world.sql(`update item set price = 1.00, name = 'bob'`)
  await world.sql('delete from item')
  const entries = (await world.entries()).filter(({ kind }) => kind === 'change')
  expect(JSON.stringify(entries)).not.toContain('s3cret')
  expect(
    entries.map(({ action, target, subject, changes }) => [
      action,
      target!.label,
      subject,
      changes!['price'],
    ]),
  ).toMatchObject([
    ['CREATE', 'ann', '7', [null, { $: 'hash' }]],
    ['UPDATE', 'bob', '7', [{ $: 'hash' }, { $: 'hash' }]],
    ['DELETE', 'bob', '7', [{ $: 'hash' }, null]],
  ])
  await world.sql(
    `alter table item add later text default 'e'; insert into item values (2, 'cat', null, 1, 1, 'seen')`,
  )
  expect((await world.recorded()).at(-1)![2]).toMatchObject({ later: [null, 'seen'], name: [null, 'cat'] })
})
