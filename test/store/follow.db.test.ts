import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fromPg } from '../../src/database/postgres.ts'
import { type Audit, createAudit } from '../../src/index.ts'
import { freshDatabase, type TestDatabase } from '../harness/postgres.ts'

const writers = 12
const transactions = 25

let database: TestDatabase
let pool: Pool
let audit: Audit<Pool>

beforeAll(async () => {
  database = await freshDatabase()
  await database.pool.query('create table item (id serial primary key, note text)')
  pool = new Pool({ connectionString: database.url, max: writers })
  pool.on('error', () => {})
  audit = createAudit({ database: fromPg(pool) })
  await audit.migrate()
})
afterAll(async () => {
  await audit.close()
  await pool.end()
  await database.drop()
})

/** Writers whose transactions begin, write and end in another order each; a fifth of them are rolled back. */
async function write(): Promise<void> {
  await Promise.all(
    Array.from({ length: writers }, async (_, writer) => {
      for (let turn = 0; turn < transactions; turn++) {
        const client = await pool.connect()
        await client.query('begin')
        for (let row = 0; row < 3; row++) {
          await client.query('insert into item (note) values ($1)', [`${writer}-${turn}-${row}`])
          await sleep(Math.random() * 8)
        }
        await client.query((writer + turn) % 5 === 0 ? 'rollback' : 'commit')
        client.release()
      }
    }),
  )
}

const committed = async (): Promise<string[]> =>
  (
    await database.pool.query<{ id: string }>('select e.id::text from whodunit.entry e order by e.id')
  ).rows.map(({ id }) => id)

describe('following the trail', () => {
  it('hands out what 12 concurrent writers commit, each entry once and none missed', async () => {
    const before = new Set(await committed())
    const stop = new AbortController()
    const feed = audit.entries.follow('now', { interval: 5, signal: stop.signal })
    const seen: string[] = []
    const following = (async () => {
      for await (const entry of feed) seen.push(entry.id)
    })()
    await write()
    const expected = (await committed()).filter((id) => !before.has(id))
    await expect.poll(() => seen.length, { timeout: 10_000 }).toBeGreaterThanOrEqual(expected.length)
    stop.abort()
    await following
    expect(seen.length).toBe(new Set(seen).size)
    expect(seen.toSorted()).toEqual(expected.toSorted())
    // the ids did not come in order: a cursor on the id would have lost some
    expect(seen.some((id, index) => index > 0 && BigInt(id) < BigInt(seen[index - 1]!))).toBe(true)
  })

  it('goes on from a position, also in another process, without missing or repeating', async () => {
    const seen: string[] = []
    let position: string | undefined = 'start'
    const writing = write()
    let done = false
    void writing.then(() => (done = true))
    for (let last = false; !last;) {
      last = done
      const stop = new AbortController()
      const feed = audit.entries.follow(position, { interval: 5, signal: stop.signal })
      const timer = setTimeout(() => stop.abort(), 30)
      for await (const entry of feed) seen.push(entry.id)
      clearTimeout(timer)
      position = feed.position
    }
    expect(seen.toSorted()).toEqual((await committed()).toSorted())
  })

  it('from the start hands out everything, in order, however much it is', async () => {
    await database.pool.query(`insert into item (note) select 'bulk' from generate_series(1, 2500)`)
    const all = await committed()
    const stop = new AbortController()
    const seen: string[] = []
    for await (const entry of audit.entries.follow('start', { signal: stop.signal })) {
      seen.push(entry.id)
      if (seen.length === all.length) break
    }
    expect(seen).toEqual(all)
  })

  it('sees what is committed after the call, not after the first turn of the loop', async () => {
    const stop = new AbortController()
    const feed = audit.entries.follow('now', { interval: 5, signal: stop.signal })
    await sleep(50)
    await pool.query(`insert into item (note) values ('between')`)
    for await (const entry of feed) {
      expect(entry.changes?.['note']).toEqual([null, 'between'])
      break
    }
  })

  it('refuses a position that is none', async () => {
    const feed = audit.entries.follow('bm9uc2Vuc2U')
    await expect(feed[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'AUDIT_QUERY_CURSOR' })
  })
})
