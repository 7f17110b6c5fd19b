import { Pool } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { fromPg } from '../../src/database/postgres.ts'
import { type Audit, createAudit, type EntryFilter, isAuditError } from '../../src/index.ts'
import { freshDatabase, type TestDatabase } from '../harness/postgres.ts'

let database: TestDatabase
let audit: Audit<Pool>

beforeAll(async () => {
  database = await freshDatabase()
  await database.pool.query('create table item (id int primary key, n int)')
  audit = createAudit({ database: fromPg(new Pool({ connectionString: database.url, max: 3 })) })
  await audit.migrate()
  await database.pool.query('insert into item select n, n from generate_series(1, 2500) n')
})
afterAll(async () => {
  await audit.close()
  await audit.client.end()
  await database.drop()
})

async function pages(filter: EntryFilter, limit: number): Promise<string[]> {
  const seen: string[] = []
  for (let after: string | undefined, first = true; first || after; first = false) {
    const page = await audit.entries.find(filter, { limit, ...(after ? { after } : {}) })
    seen.push(...page.entries.map(({ id }) => id))
    after = page.next ?? undefined
    await new Promise((resolve) => setTimeout(resolve, 2)) // the clock moves on between pages
  }
  return seen
}

test('a filter by age can be paged through, though its bounds move with the clock', async () => {
  const seen = await pages({ model: 'item', since: '1h' }, 400)
  expect(seen.length).toBe(2_500)
  expect(new Set(seen).size).toBe(2_500)
})

test('a cursor goes with its filter, also where only the dates differ', async () => {
  const { next } = await audit.entries.find({ model: 'item', since: '1h' }, { limit: 1 })
  for (const other of [
    { model: 'item' },
    { model: 'item', since: '2h' },
    { model: 'item', until: '1h' },
    { since: '1h' },
  ]) {
    const failed = await audit.entries.find(other, { after: next! }).catch((error: unknown) => error)
    expect(isAuditError(failed, 'AUDIT_QUERY_CURSOR'), JSON.stringify(other)).toBe(true)
  }
  // the same conditions in another order are the same filter
  expect(
    (await audit.entries.find({ since: '1h', model: 'item' }, { limit: 1, after: next! })).entries,
  ).toHaveLength(1)
})

test('a cursor made up by hand never reaches the database as an error', async () => {
  const { next } = await audit.entries.find({ model: 'item' }, { limit: 1 })
  const mark = Buffer.from(next!, 'base64url').toString().split('.')[2]
  for (const made of [
    `9223372036854775808.1.${mark}`,
    `1.9999999999999999999.${mark}`,
    `-9999999999999999999.1.${mark}`,
    `1.1.${mark}.1`,
    `1..${mark}`,
    `999999999999999999.1.${mark}`,
  ]) {
    const after = Buffer.from(made).toString('base64url')
    const done = await audit.entries.find({ model: 'item' }, { after }).catch((error: unknown) => error)
    expect(isAuditError(done, 'AUDIT_QUERY_CURSOR'), made).toBe(true)
  }
  for (const odd of [7, {}, null, '😀'] as never[]) {
    const done = await audit.entries.find({ model: 'item' }, { after: odd }).catch((error: unknown) => error)
    expect(isAuditError(done, 'AUDIT_QUERY_CURSOR'), JSON.stringify(odd)).toBe(true)
  }
})

test.each([0, -1, 1.5, 1_001, NaN, Infinity, '10', null])('a limit of %s is refused', async (limit) => {
  const failed = await audit.entries.find({}, { limit: limit as never }).catch((error: unknown) => error)
  expect(isAuditError(failed, 'AUDIT_QUERY_INVALID'), String(failed)).toBe(true)
})

test('every limit gives the same entries in the same order', async () => {
  const whole = await pages({ model: 'item' }, 1_000)
  for (const limit of [999, 250, 7 * 83]) expect(await pages({ model: 'item' }, limit)).toEqual(whole)
  const streamed: string[] = []
  for await (const { id } of audit.entries.stream({ model: 'item' })) streamed.push(id)
  expect(streamed).toEqual(whole)
  const history = await audit.history('item', 7)
  expect(history.map(({ id }) => id)).toEqual(whole.filter((id) => history.some((entry) => entry.id === id)))
})

test('a history longer than a page is read to its end', async () => {
  await database.pool.query('update item set n = -1 where id = 1')
  await database.pool.query(
    `do $$ begin for i in 1..2100 loop update item set n = i where id = 1; end loop; end $$`,
  )
  const history = await audit.history('item', 1)
  expect(history).toHaveLength(2_102)
  expect(history[0]!.changes!['n']).toEqual([2_099, 2_100])
})

test('reading goes on over the end of a month and from the default partition [I6]', async () => {
  const days = ['1999-12-31T23:59:59.999Z', '2000-01-01T00:00:00.000Z', '2500-06-15T12:00:00.000Z']
  const next = new Date(Date.UTC(new Date().getUTCFullYear(), new Date().getUTCMonth() + 1, 1))
  const times = [...days.map((day) => new Date(day)), new Date(next.getTime() - 1), next]
  for (const at of times) await audit.logAuditEvent({ action: 'at', at, durable: true })
  const seen: Date[] = []
  for (let after: string | undefined, first = true; first || after; first = false) {
    const page = await audit.entries.find({ action: 'at' }, { limit: 1, ...(after ? { after } : {}) })
    seen.push(...page.entries.map(({ at }) => at))
    after = page.next ?? undefined
  }
  expect(seen).toEqual(times.toSorted((a, b) => b.getTime() - a.getTime()))
  expect(
    (await audit.entries.find({ action: 'at', since: next, until: '2500-06-15T12:00:00.000Z' })).entries.map(
      ({ at }) => at,
    ),
  ).toEqual([next])
})
