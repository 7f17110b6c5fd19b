import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Pool, type PoolClient } from 'pg'
import { type Audit, type AuditEntry, createAudit } from '../../src/index.ts'
import { fromPg } from '../../src/database/postgres.ts'
import { chinook, type TestDatabase } from '../harness/postgres.ts'
import { oddTables, readShapes, readState, replay, type State } from './replay-tables.ts'
import { createRandom, randomWrite, run, type Write } from './replay-work.ts'

const contexts = 8
const turns = 320
const seed = Number(process.env['REPLAY_SEED'] ?? 20_261_124)

let database: TestDatabase
let pool: Pool
let audit: Audit<Pool>
let base: State
let real: State
let entries: AuditEntry[]
let shapes: Awaited<ReturnType<typeof readShapes>>
/** Rows that committed writes changed, by model and by who wrote; the truth that the trail is measured by. */
const written = new Map<string, number>()
const statements = { sent: 0, failed: 0 }

beforeAll(async () => {
  database = await chinook()
  await database.pool.query(oddTables)
  await database.pool.query(
    `insert into parent select i, 'p' || i from generate_series(1, 60) i; insert into child select i, i, 'c' from generate_series(1, 60) i`,
  )
  pool = new Pool({ connectionString: database.url, max: 3 })
  pool.on('error', () => {})
  audit = createAudit({ database: fromPg(pool) })
  await audit.migrate()
  shapes = await readShapes(database.pool)
  base = await readState(database.pool, shapes)
  await Promise.all(Array.from({ length: contexts }, (_, worker) => work(worker)))
  entries = []
  for await (const entry of audit.entries.stream({ kind: 'change' })) entries.push(entry)
  entries.sort((a, b) => Number(BigInt(a.id) - BigInt(b.id)))
  real = await readState(database.pool, shapes)
})

afterAll(async () => {
  await audit.close()
  await pool.end()
  await database.drop()
})

const count = (who: string, model: string, rows: number): void => {
  const key = `${who} ${model}`
  if (rows > 0) written.set(key, (written.get(key) ?? 0) + rows)
}

async function work(worker: number): Promise<void> {
  const random = createRandom(seed + worker)
  for (let turn = 0; turn < turns; turn++) {
    const n = worker * 10_000 + turn
    const who = random.next() < 0.15 ? 'nobody' : `${worker}-${turn}`
    const act = async (): Promise<void> => {
      try {
        if (random.next() < 0.6) await alone(random, n, who)
        else await transaction(random, n, who)
      } catch (error) {
        statements.failed++ // a deadlock between two contexts, or a value that a key does not take twice
        if (!['40P01', '23505', '23503', '23514'].includes((error as { code: string }).code)) throw error
      }
    }
    if (who === 'nobody') await act()
    else await audit.withContext({ actor: { id: who }, request: { id: `r-${who}` } }, act)
  }
}

async function alone(random: ReturnType<typeof createRandom>, n: number, who: string): Promise<void> {
  const write = randomWrite(random, n)
  statements.sent++
  count(who, write.model, await changed(pool as never, write))
}

/** A transaction with savepoints, some of which, and some of itself, are rolled back; a context that changes within. */
async function transaction(random: ReturnType<typeof createRandom>, n: number, who: string): Promise<void> {
  const client = await pool.connect()
  const done: [string, string, number][] = []
  const write = async (as: string): Promise<void> => {
    const next = randomWrite(random, n)
    statements.sent++
    const rows = await changed(client, next)
    done.push([as, next.model, rows])
  }
  try {
    await client.query('begin')
    await write(who)
    await client.query('savepoint one')
    const kept = done.length
    const inner = (): Promise<void> =>
      audit.withContext({ actor: { id: `${who}-inner` } }, () => write(`${who}-inner`))
    await (who !== 'nobody' && random.next() < 0.5 ? inner() : write(who))
    if (random.next() < 0.5) {
      await client.query('rollback to savepoint one')
      done.length = kept
    }
    if (who !== 'nobody' && random.next() < 0.5) await inner()
    await write(who)
    if (random.next() < 0.2) {
      const { rowCount } = await client.query(`delete from child where parent_id = $1`, [random.int(1, 60)])
      done.push([who, 'child', rowCount ?? 0])
      const gone = await client.query(
        `delete from parent where id = (select min(id) from parent where not exists (select from child where parent_id = parent.id))`,
      )
      done.push([who, 'parent', gone.rowCount ?? 0])
      statements.sent += 2
    }
    if (random.next() < 0.02) {
      await client.query('truncate keyless')
      statements.sent++
      done.push([who, 'keyless', 1])
    }
    if (random.next() < 0.25) await client.query('rollback')
    else {
      await client.query('commit')
      for (const [as, model, rows] of done) count(as, model, rows)
    }
  } catch (error) {
    await client.query('rollback')
    throw error
  } finally {
    client.release()
  }
}

/** How many rows really got another value: an update to the same value changes none. */
async function changed(client: Pick<PoolClient, 'query'>, write: Write): Promise<number> {
  const rows = await run(client, write)
  return /set phone = phone/.test(write.sql) ? 0 : rows
}

describe('the trail of a few thousand mixed statements by 8 contexts on a pool of 3', () => {
  it('rebuilds every table, value for value, from CREATE, UPDATE and DELETE entries [A1, A2, A3, B1]', () => {
    replay(base, shapes, entries)
    for (const { name } of shapes) {
      const rows = (state: State): string[] =>
        [...state.get(name)!.values()].map((row) => JSON.stringify(row)).toSorted((a, b) => (a < b ? -1 : 1))
      expect(rows(base), name).toEqual(rows(real))
    }
  })

  it('was made of thousands of statements, most of which succeeded', () => {
    expect(statements.sent).toBeGreaterThan(3_000)
    expect(statements.failed).toBeLessThan(statements.sent / 10)
    expect(entries.length).toBeGreaterThan(10_000)
  })

  it('attributes each entry to exactly the context that wrote it, and work without one to nobody [E1, D11]', () => {
    const recorded = new Map<string, number>()
    for (const { actor, request, target } of entries) {
      const who = actor?.id ?? 'nobody'
      expect(request?.id ?? 'none').toBe(actor ? `r-${who.replace('-inner', '')}` : 'none')
      // an update that changes nothing leaves no entry, so counts may only differ where the tables below are written
      const key = `${who} ${target!.model}`
      recorded.set(key, (recorded.get(key) ?? 0) + 1)
    }
    for (const [key, rows] of recorded) {
      expect(written.has(key), `${key} wrote nothing that was committed`).toBe(true)
      expect(rows, key).toBeLessThanOrEqual(written.get(key)!)
    }
    // these statements change every row that they touch
    for (const [key, rows] of written) {
      if (/ (invoice_line|track|artist|playlist_track|keyless|child|parent)$/.test(key))
        expect(recorded.get(key), key).toBe(rows)
    }
  })

  it('gives all entries of one transaction the same tx, and of one request the same request id [D4]', () => {
    for (const group of Map.groupBy(entries, (entry) => entry.tx).values()) {
      expect(new Set(group.map((entry) => entry.actor?.id?.replace('-inner', '') ?? 'nobody')).size).toBe(1)
    }
  })
})
