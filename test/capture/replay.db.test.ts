import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type AuditEntry, createAudit } from '../../src/index.ts'
import { fromPg } from '../../src/database/postgres.ts'
import { chinook, type TestDatabase } from '../harness/postgres.ts'
import { type Change, readTables, rebuild, type Row, type Table } from './replay/rebuild.ts'
import { nextStatement, random, type Random, type Statement } from './replay/statements.ts'
import { schema } from './replay/world.ts'

const workers = 8
const seed = Number(process.env['REPLAY_SEED'] ?? 20_260_101)

let database: TestDatabase
const openAudit = () =>
  createAudit({ database: fromPg(new pg.Pool({ connectionString: database.url, max: 3 })) })
let audit: ReturnType<typeof openAudit>
let base: Map<string, Table>
let tables: Map<string, Table>
let changes: Change[]
const entries: AuditEntry[] = []
/** Every statement that was committed, by the name it wrote; those without a context have none. */
const committed = new Map<string, Statement & { readonly rows: number }>()
const anonymous: (Statement & { readonly rows: number })[] = []
let refused = 0

beforeAll(async () => {
  database = await chinook()
  await database.pool.query(schema(database.version))
  await database.pool.query(
    `do $$ begin execute format('alter database %I set deadlock_timeout = %L', current_database(), '50ms'); end $$`,
  )
  audit = openAudit()
  const reader = await database.pool.connect()
  base = await readTables(reader)
  await audit.migrate()
  await Promise.all(Array.from({ length: workers }, async (_, worker) => work(worker)))
  tables = await readTables(reader)
  const stored = await reader.query<Change>(
    `select id, action, model, target_id, changes::text as changes from whodunit.entries where kind = 'change' order by id`,
  )
  reader.release()
  changes = stored.rows
  for await (const entry of audit.entries.stream({ kind: 'change' })) entries.push(entry)
})
afterAll(async () => {
  await audit?.close()
  await audit?.client.end()
  await database?.drop()
})

async function work(worker: number): Promise<void> {
  const next = random(seed + worker)
  for (let n = 0; n < 240; n++) {
    const done = next(3) === 0 ? await alone(worker, next, n) : await transaction(worker, next)
    for (const statement of done) {
      if (statement.who === null) anonymous.push(statement)
      else committed.set(statement.who, statement)
    }
  }
}

interface Done extends Statement {
  readonly who: string | null
  readonly rows: number
}
let statements = 0

/** Sends one statement in a context of its own, or without any. */
async function send(
  on: Pick<pg.ClientBase, 'query'>,
  worker: number,
  next: Random,
  inTransaction: boolean,
): Promise<Done> {
  let who: string | null = `w${worker}-${++statements}`
  let statement = nextStatement(next, worker, workers, who)
  const unfit = ({ alone: never, sql }: Statement) =>
    (inTransaction && never) || (database.version < 15 && sql.startsWith('merge'))
  while (unfit(statement)) statement = nextStatement(next, worker, workers, who)
  if (statement.exact && next(4) === 0) {
    const again = JSON.stringify([statement.sql, statement.values, statement.copy])
      .replaceAll(`'${who}'`, 'null')
      .replaceAll(`"${who}"`, 'null')
      .replaceAll(who, '\\\\N')
    const [sql, values, copy] = JSON.parse(again)
    statement = { ...statement, sql, values, copy }
    who = null
  }
  const run = async () =>
    statement.copy ? copyIn(on, statement) : on.query(statement.sql, statement.values as unknown[])
  const result =
    who === null
      ? await run()
      : await audit.withContext({ actor: { id: `worker ${worker}` }, request: { id: who } }, run)
  const rows = [result].flat().reduce((sum, { rowCount }) => sum + (rowCount ?? 0), 0)
  return { ...statement, who, rows }
}

async function alone(worker: number, next: Random, n: number): Promise<Done[]> {
  try {
    return [await send(audit.client, worker, next, n % 2 === 0)]
  } catch (error) {
    return fail(error)
  }
}

/** Some statements, some of them behind savepoints, some of those rolled back; sometimes all of it is. */
async function transaction(worker: number, next: Random): Promise<Done[]> {
  const client = await audit.client.connect()
  const levels: Done[][] = [[]]
  try {
    await client.query('begin')
    for (let i = 0; i < 2 + next(6); i++) {
      const what = next(6)
      if (what === 0) {
        await client.query(`savepoint s${levels.length}`)
        levels.push([])
      } else if (what === 1 && levels.length > 1) {
        levels.pop()
        await client.query(`rollback to s${levels.length}`)
        levels.push([])
      } else if (what === 2 && levels.length > 1) {
        const inner = levels.pop()!
        await client.query(`release s${levels.length}`)
        levels.at(-1)!.push(...inner)
      } else levels.at(-1)!.push(await send(client, worker, next, true))
    }
    const end = next(8) === 0 ? 'rollback' : 'commit'
    await client.query(end)
    return end === 'commit' ? levels.flat() : []
  } catch (error) {
    await client.query('rollback')
    return fail(error)
  } finally {
    client.release()
  }
}

function fail(error: unknown): [] {
  // what rows allow, and what waits for one another; anything else is a fault of ours
  const expected = ['23503', '23505', '40P01', '40001', '22003', '23514']
  if (!expected.includes((error as pg.DatabaseError).code ?? '')) throw error
  refused++
  return []
}

/** COPY FROM STDIN, as pg-copy-streams speaks it. */
async function copyIn(
  on: Pick<pg.ClientBase, 'query'>,
  { sql, copy }: Statement,
): Promise<{ rowCount: number }> {
  const done = Promise.withResolvers<{ rowCount: number }>()
  let rowCount = 0
  const query = {
    text: sql,
    submit: (connection: any) => connection.query(sql),
    handleCopyInResponse(connection: any) {
      connection.sendCopyFromChunk(Buffer.from(copy!))
      connection.endCopyFrom()
    },
    handleCommandComplete: ({ text }: { text: string }) => (rowCount = Number(text.split(' ')[1])),
    handleReadyForQuery: () => done.resolve({ rowCount }),
    handleError: (error: Error) => done.reject(error),
  }
  if ('totalCount' in on) {
    const client = await (on as pg.Pool).connect()
    client.query(query)
    return done.promise.finally(() => client.release())
  }
  on.query(query)
  return done.promise
}

const sorted = (rows: readonly Row[]) =>
  rows.map((row) => JSON.stringify(Object.entries(row).toSorted(([a], [b]) => (a < b ? -1 : 1)))).toSorted()

test('thousands of statements from eight contexts at once were recorded', () => {
  expect(statements).toBeGreaterThan(3_000)
  expect(committed.size + anonymous.length).toBeGreaterThan(1_000)
  expect(anonymous.length).toBeGreaterThan(100)
  expect(changes.length).toBeGreaterThan(10_000)
  expect(refused).toBeLessThan(statements / 5)
  const actions = new Set(changes.map(({ action }) => action))
  expect([...actions].toSorted()).toEqual(['CREATE', 'DELETE', 'TRUNCATE', 'UPDATE'])
  // one of the tables is written by MERGE alone
  const written = database.version < 15 ? 14 : 15
  expect(new Set(changes.map(({ model }) => model)).size).toBeGreaterThanOrEqual(written)
})

test('the tables can be rebuilt from where they stood and the entries, value for value [D1, D2, B1, B5, C7]', () => {
  const { tables: rebuilt, faults } = rebuild(base, changes)
  expect(faults.slice(0, 5)).toEqual([])
  for (const [name, table] of tables) {
    const [is, should] = [sorted(rebuilt.get(name)!), sorted(table.rows)]
    const [missing, extra] = [
      should.filter((row) => !is.includes(row)),
      is.filter((row) => !should.includes(row)),
    ]
    expect({ name, missing: missing.slice(0, 3), extra: extra.slice(0, 3), count: is.length }).toEqual({
      name,
      missing: [],
      extra: [],
      count: should.length,
    })
  }
})

test('each entry has the context of the statement that caused it, and no other [C11, D11]', () => {
  const faults: string[] = []
  for (const { id, action, target, changes: pairs, request, actor } of entries) {
    const who = request?.id ?? null
    const statement = who === null ? undefined : committed.get(who)
    const writer = pairs?.['touched_by']?.[1]?.toString().replace(/\+$/, '') ?? null
    const wrote = action === 'CREATE' || action === 'UPDATE'
    const model = target!.model
    const fault = !who
      ? (actor || (wrote && writer)) && `somebody is known: ${actor?.id ?? writer}`
      : !statement
        ? 'this statement was never committed'
        : actor?.id !== `worker ${who.slice(1, who.indexOf('-'))}`
          ? `another worker: ${actor?.id}`
          : !statement.also?.includes(model) &&
            (!statement.tables.includes(model) || (wrote && writer !== who)) &&
            `written by ${writer}, not by ${statement.sql}`
    if (fault) faults.push(`entry ${id}, ${action} of ${model} by ${who}: ${fault}`)
  }
  expect(faults.slice(0, 10)).toEqual([])
})

test('each row that a statement counted has one entry, no more and no less [C7, C10]', () => {
  const counts = new Map<string | null, number>()
  for (const { request } of entries)
    counts.set(request?.id ?? null, (counts.get(request?.id ?? null) ?? 0) + 1)
  const wrong = [...committed].filter(([who, { exact, rows }]) => exact && (counts.get(who) ?? 0) !== rows)
  expect(
    wrong.slice(0, 5).map(([who, { sql, rows }]) => ({ who, sql, rows, entries: counts.get(who) ?? 0 })),
  ).toEqual([])
  expect(counts.get(null)).toBe(anonymous.reduce((sum, { rows }) => sum + rows, 0))
})
