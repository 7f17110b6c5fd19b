import { Pool } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { fromPg } from '../../src/database/postgres.ts'
import { type Audit, createAudit } from '../../src/index.ts'
import { freshDatabase, type TestDatabase } from '../harness/postgres.ts'

let database: TestDatabase
let audit: Audit<Pool>

beforeAll(async () => {
  database = await freshDatabase()
  await database.pool.query('create table item (id int primary key)')
  audit = createAudit({ database: fromPg(new Pool({ connectionString: database.url, max: 3 })) })
  await audit.migrate()
  await database.pool.query('insert into item select generate_series(1, 2300)')
})
afterAll(async () => {
  await audit.close()
  await audit.client.end()
  await database.drop()
})

const sorted = (ids: (string | null)[]) => ids.map(Number).toSorted((a, b) => a - b)
const stored = async () =>
  (await database.pool.query('select e.id::text as id from whodunit.entry e order by e.id')).rows.map(
    ({ id }) => id,
  )

/** Takes `count` entries from a position and answers where to go on. */
async function take(position: string, count: number) {
  const stop = new AbortController()
  const feed = audit.entries.follow(position, { interval: 1, signal: stop.signal })
  const ids: string[] = []
  for await (const { id } of feed) {
    ids.push(id)
    if (ids.length === count) break
  }
  return { ids, position: feed.position! }
}

test('a consumer that stops anywhere goes on from there, without missing or repeating', async () => {
  const all = await stored()
  const seen: string[] = []
  for (let position = 'start', sizes = [1, 2, 997, 1, 500, 3]; seen.length < all.length;) {
    const taken = await take(position, Math.min(sizes.shift() ?? 400, all.length - seen.length))
    seen.push(...taken.ids)
    position = taken.position
  }
  expect(seen).toEqual(all)
})

test('the position inside the loop is behind the entry at hand', async () => {
  const all = await stored()
  const feed = audit.entries.follow('start', { interval: 1 })
  let position = 'start'
  let seen = 0
  for await (const _ of feed) {
    position = feed.position!
    if (++seen === 1_500) break
  }
  expect((await take(position, 1)).ids).toEqual([all[1_500]])
})

test('a transaction that commits after later ones is handed out when it commits, not lost', async () => {
  const { position } = await take('start', (await stored()).length)
  const slow = await database.pool.connect()
  await slow.query('begin')
  await slow.query('insert into item values (9001)')
  await database.pool.query('insert into item values (9002)')
  const first = await take(position, 1)
  await slow.query('insert into item values (9003)')
  await database.pool.query('insert into item values (9004)')
  await slow.query('commit')
  slow.release()
  const rest = await take(first.position, 3)
  const targets = async (ids: string[]) =>
    Promise.all(ids.map(async (id) => (await audit.entries.get(id))!.target!.id))
  expect(await targets(first.ids)).toEqual(['9002'])
  expect(sorted(await targets(rest.ids))).toEqual([9_001, 9_003, 9_004])
})

test('several consumers at once each get everything', async () => {
  const all = await stored()
  const takers = await Promise.all([1, 2, 3].map(async () => take('start', all.length)))
  for (const { ids } of takers) expect(sorted(ids)).toEqual(sorted(all))
})

test('following ends at once when it is aborted while it waits', async () => {
  const stop = new AbortController()
  const feed = audit.entries.follow('now', { interval: 60_000, signal: stop.signal })
  setTimeout(() => stop.abort(), 30)
  const started = Date.now()
  for await (const _ of feed) expect.unreachable()
  expect(Date.now() - started).toBeLessThan(5_000)
})
