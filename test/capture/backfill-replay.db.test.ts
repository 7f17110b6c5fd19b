import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createAudit } from '../../src/index.ts'
import { fromPg } from '../../src/database/postgres.ts'
import { chinook, type TestDatabase } from '../harness/postgres.ts'
import { type Change, readTables, rebuild, type Row, type Table } from './replay/rebuild.ts'
import { nextStatement, random } from './replay/statements.ts'
import { schema } from './replay/world.ts'

const workers = 4
const seed = Number(process.env['REPLAY_SEED'] ?? 20_260_102)

let database: TestDatabase
let tables: Map<string, Table>
let changes: Change[]
let warnings: readonly string[]
let during = 0

beforeAll(async () => {
  database = await chinook()
  await database.pool.query(schema(database.version))
  await database.pool.query(
    `do $$ begin execute format('alter database %I set deadlock_timeout = %L', current_database(), '50ms'); end $$`,
  )
  await database.pool
    .query(`insert into part select n, case n % 3 when 0 then 'eu' when 1 then 'us' else 'asia' end, 'v' from generate_series(1, 3000) n;
    insert into "Odd ""Types""" (id, n) select ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, n from generate_series(1, 80) n`)
  const audit = createAudit({ database: fromPg(new pg.Pool({ connectionString: database.url, max: 3 })) })
  const writers = new pg.Pool({ connectionString: database.url, max: workers })
  await audit.migrate()
  const stop = new AbortController()
  const writing = Array.from({ length: workers }, async (_, worker) => write(writers, worker, stop.signal))
  const restarted = new Error('stopped half way')
  let batches = 0
  const onProgress = () => {
    if (++batches === 8) throw restarted
  }
  await expect(audit.migrate({ backfill: true, onProgress })).rejects.toBe(restarted)
  during = batches
  ;({ warnings } = await audit.migrate({ backfill: true }))
  stop.abort()
  await Promise.all(writing)
  // rows whose keys were moved meanwhile begin again under their new keys; then there is nothing left to do
  await audit.migrate({ backfill: true })
  const { done } = await audit.migrate({ backfill: true })
  expect(done).toEqual([])
  const reader = await database.pool.connect()
  tables = await readTables(reader)
  const stored = await reader.query<Change>(
    `select id, action, model, target_id, changes::text as changes from whodunit.entries where kind = 'change' order by id`,
  )
  reader.release()
  changes = stored.rows
  const again = await audit.migrate({ backfill: true })
  expect(again.done).toEqual([])
  await audit.close()
  await audit.client.end()
  await writers.end()
})
afterAll(async () => database?.drop())

async function write(pool: pg.Pool, worker: number, stopped: AbortSignal): Promise<void> {
  const next = random(seed + worker)
  while (!stopped.aborted) {
    const client = await pool.connect()
    try {
      const alone = next(3) === 0
      if (!alone) await client.query('begin')
      for (let n = 0; n < (alone ? 1 : 1 + next(6)); n++) {
        const statement = nextStatement(next, worker, workers, null)
        // without a word in the trail a table could not be rebuilt; and who copies is not our matter
        if (statement.copy || statement.alone || /truncate/i.test(statement.sql)) continue
        await client.query(statement.sql, statement.values as unknown[])
      }
      if (!alone) await client.query(next(8) === 0 ? 'rollback' : 'commit')
    } catch (error) {
      await client.query('rollback')
      const expected = ['23503', '23505', '40P01', '40001', '22003', '23514']
      if (!expected.includes((error as pg.DatabaseError).code ?? '')) throw error
    } finally {
      client.release()
    }
  }
}

/**
 * What is known of each row begins with its CREATE or SNAPSHOT: entries before that are of a row nobody knows. A SNAPSHOT
 * of a row that is known already has to show it as it is known.
 */
function fromTheBeginning(all: readonly Change[]): Change[] {
  const known = new Set<string>()
  return all.flatMap((change): Change[] => {
    const { action, model, target_id } = change
    const key = JSON.stringify([model, target_id])
    if (action === 'CREATE' || (action === 'SNAPSHOT' && !known.has(key))) {
      known.add(key)
      return [{ ...change, action: 'CREATE' }]
    }
    if (!known.has(key)) return []
    if (action === 'SNAPSHOT') {
      const same = change.changes!.replace(/"((?:[^"\\]|\\.)*)":\[null,(.*?)\](?=,"|\}$)/gs, '"$1":[$2,$2]')
      return [{ ...change, action: 'UPDATE', changes: same }]
    }
    if (action === 'DELETE') known.delete(key)
    else {
      const moved = keyAfter(change)
      if (moved !== null && moved !== target_id) {
        known.delete(key)
        known.add(JSON.stringify([model, moved]))
      }
    }
    return [change]
  })
}

function keyAfter({ model, target_id, changes: text }: Change): string | null {
  const { key } = tables.get(model)!
  const pairs = JSON.parse(text!) as Record<string, [unknown, unknown]>
  const before = key.length === 1 ? [target_id] : (JSON.parse(target_id!) as (string | null)[])
  const after = key.map((column, index) => (pairs[column] ? String(pairs[column][1]) : before[index]))
  return key.length === 1 ? after[0]! : JSON.stringify(after)
}

const sorted = (rows: readonly Row[]) =>
  rows.map((row) => JSON.stringify(Object.entries(row).toSorted(([a], [b]) => (a < b ? -1 : 1)))).toSorted()

test('from the trail alone, tables that were there before it can be rebuilt, whoever wrote meanwhile', () => {
  expect(during).toBe(8)
  expect(warnings.filter((text) => text.includes('held by other work'))).toEqual([])
  expect(changes.filter(({ action }) => action === 'SNAPSHOT').length).toBeGreaterThan(10_000)
  expect(changes.filter(({ action }) => action === 'UPDATE').length).toBeGreaterThan(300)
  const keyed = new Map([...tables].filter(([, { key }]) => key.length > 0))
  const empty = new Map([...keyed].map(([name, { key }]) => [name, { key, rows: [] }]))
  const { tables: rebuilt, faults } = rebuild(
    empty,
    fromTheBeginning(changes.filter(({ model }) => keyed.has(model))),
  )
  expect(faults.slice(0, 5)).toEqual([])
  for (const [name, { rows }] of keyed) {
    const [is, should] = [sorted(rebuilt.get(name)!), sorted(rows)]
    const extra = is.filter((row) => !should.includes(row))
    const missing = should.filter((row) => !is.includes(row))
    expect({ name, missing: missing.slice(0, 3), extra: extra.slice(0, 3), count: is.length }).toEqual({
      name,
      missing: [],
      extra: [],
      count: should.length,
    })
  }
})
