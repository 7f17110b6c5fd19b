import { Pool } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { fromPg } from '../../src/database/postgres.ts'
import { type Audit, createAudit, type EntryFilter, isAuditError } from '../../src/index.ts'
import { freshDatabase, type TestDatabase } from '../harness/postgres.ts'

let database: TestDatabase
let audit: Audit<Pool>

beforeAll(async () => {
  database = await freshDatabase()
  await database.pool.query(
    `create table item (id text primary key, name text, "Name" text, "odd ""col\\" text)`,
  )
  audit = createAudit({
    database: fromPg(new Pool({ connectionString: database.url, max: 3 })),
    models: { item: { tags: ['pii'] } },
  })
  await audit.migrate()
})
afterAll(async () => {
  await audit.close()
  await audit.client.end()
  await database.drop()
})

const ids = async (filter: EntryFilter) =>
  (await audit.entries.find(filter)).entries.map(({ target, action }) => target?.id ?? action).toReversed()

test('a changed column is found by its whole name in any case, and no value is taken for one', async () => {
  await database.pool.query(
    `insert into item values ('c1', null, null, null), ('c2', null, null, null), ('c3', null, null, null), ('c4', null, null, null)`,
  )
  await database.pool
    .query(`update item set name = 'x' where id = 'c1'; update item set "Name" = 'x' where id = 'c2';
    update item set "odd ""col\\" = '"name":["' where id = 'c3'; update item set "odd ""col\\" = '{"Name":[1]}' where id = 'c4'`)
  const updated = async (changed: string) => ids({ changed, action: 'UPDATE' })
  expect(await updated('name')).toEqual(['c1', 'c2'])
  expect(await updated('NAME')).toEqual(['c1', 'c2'])
  expect(await updated('nam')).toEqual([])
  expect(await updated('odd "col\\')).toEqual(['c3', 'c4'])
  expect(await updated('nam_')).toEqual([])
})

test('a tag is a tag of the model, not a word in the details', async () => {
  await audit.logSystemEvent({ eventType: 'INFO', title: 'pii', durable: true })
  await audit.logDataExport({
    exportType: 'pii',
    fileFormat: 'csv',
    filters: { tags: ['pii'] },
    durable: true,
  })
  expect((await audit.entries.find({ tag: 'pii', kind: ['system', 'export'] })).entries).toEqual([])
  expect((await audit.entries.find({ tag: 'pii' })).entries.length).toBeGreaterThan(0)
  expect((await audit.entries.find({ tag: 'PII' })).entries).toEqual([])
})

test('an entry is found by a ref that looks like an id', async () => {
  const refs = ['123456789012', '7']
  const numbered = createAudit({ database: fromPg(audit.client), createId: () => refs.pop()! })
  const { ref } = await numbered.logAuditEvent({ action: 'numbered', durable: true })
  const second = await numbered.logAuditEvent({ action: 'numbered twice', durable: true })
  await numbered.close()
  expect(await audit.entries.get(second.ref)).toMatchObject({ action: 'numbered twice' })
  // an id goes before a ref, since ids are what readers pass most
  expect(await audit.entries.get(ref)).toMatchObject({ id: '7' })
})

test.each<[string, EntryFilter]>([
  ['text', { text: 'a\u0000b' }],
  ['actor', { actor: '\u0000' }],
  ['model', { model: 'it\u0000em' }],
  ['target', { target: { model: 'item', id: '\u0000' } }],
  ['several actions', { action: ['x', '\u0000'] }],
  ['changed', { changed: '\u0000' }],
])('a filter with a NUL, %s, is refused as a filter, not as an error of the database', async (_, filter) => {
  const failed = await audit.entries.find(filter).catch((error: unknown) => error)
  expect(isAuditError(failed, 'AUDIT_QUERY_INVALID'), String(failed)).toBe(true)
})

test('ids, refs and keys that nothing can have find nothing', async () => {
  for (const odd of ['\u0000', '9'.repeat(18), '9'.repeat(40), '-1', '1e3', ' 1', `'; drop table item; --`]) {
    expect(await audit.entries.get(odd), odd).toBeUndefined()
    expect(await audit.history('item', odd), odd).toEqual([])
  }
  expect(await audit.history('no\u0000model', 1)).toEqual([])
})

test.each<[string, EntryFilter, 'all' | 'none']>([
  ['an age of a million years', { since: '999999y' }, 'all'],
  ['the last moment of JavaScript', { until: new Date(8.64e15) }, 'all'],
  ['the first moment of JavaScript', { until: new Date(-8.64e15) }, 'none'],
  ['the year 20,000', { since: new Date(Date.UTC(20_000, 0)) }, 'none'],
  ['the year 0', { since: new Date(-62_200_000_000_000) }, 'all'],
  ['an empty list of severities', { severity: [] }, 'none'],
  ['an empty list of models', { model: [] }, 'none'],
  ['a number that is no transaction', { tx: '999999999999999999' }, 'none'],
])('%s is a filter like any other', async (_, filter, expected) => {
  const { entries } = await audit.entries.find(filter)
  expect(entries.length > 0).toBe(expected === 'all')
})

test('the history of a key that was given to another row shows both, in order', async () => {
  await database.pool.query(
    `insert into item values ('old', '1'); update item set id = 'moved' where id = 'old'; insert into item values ('old', '2')`,
  )
  const actions = async (id: string) =>
    (await audit.history('item', id)).map(({ action, target }) => `${action} ${target!.id}`)
  expect(await actions('old')).toEqual(['CREATE old', 'UPDATE old', 'CREATE old'])
  expect(await actions('moved')).toEqual(['CREATE old', 'UPDATE old', 'CREATE old'])
})
