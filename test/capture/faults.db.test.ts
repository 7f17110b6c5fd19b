import { setTimeout as sleep } from 'node:timers/promises'
import { Client, Pool } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { fromPg } from '../../src/database/postgres.ts'
import { createAudit } from '../../src/index.ts'
import { type PostgresServer, startPostgres } from '../harness/server.ts'
import { type Change, readTables, rebuild, type Row, type Table } from './replay/rebuild.ts'

/** Few in a run by hand; `.ci/run` asks for more. */
const rounds = Number(process.env['CRASH_ROUNDS'] ?? 5)
const writers = 6
const canCrash = process.platform === 'linux'

let server: PostgresServer
beforeAll(async () => {
  if (!canCrash) return
  const settings = [
    'fsync=on',
    'full_page_writes=on',
    'synchronous_commit=on',
    'recovery_init_sync_method=syncfs',
  ]
  server = await startPostgres({ settings })
  await withClient((client) =>
    client.query(`create table account (id int primary key, balance int not null, note text);
      create table transfer (id text primary key, source int, target int, amount int);
      insert into account select n, 100, 'x' from generate_series(1, 20) n`),
  )
})
afterAll(async () => server?.stop())

const title = `a server killed at work, ${rounds} times, comes back with tables and a trail that agree: all that was acknowledged, and nothing that was not [D1, D2]`
test.skipIf(!canCrash)(title, { timeout: 60_000 + rounds * 10_000 }, async () => {
  const base = await withClient(readTables)
  await withAudit((audit) => audit.migrate())
  const outcomes = { acknowledged: new Set<string>(), undone: new Set<string>(), unknown: new Set<string>() }
  for (let round = 0; round < rounds; round++) {
    const before = outcomes.acknowledged.size
    await withAudit(async (audit) => {
      let working = true
      const work = Array.from({ length: writers }, async (_, writer) => {
        for (let n = 0; working; n++) {
          const id = `${round}-${writer}-${n}`
          const outcome = await audit.withContext({ request: { id } }, () =>
            transfer(audit.client, id, n % 4 !== 3),
          )
          outcomes[outcome].add(id)
        }
      })
      while (outcomes.acknowledged.size < before + writers) await sleep(10)
      await sleep(Math.random() * 300)
      const crashed = server.crash()
      await sleep(20)
      working = false
      await Promise.all([crashed, ...work])
    })
    expect(await compare(base, outcomes)).toEqual({
      faults: [], differing: [], lost: [], shownThoughUndone: [], recordedButNotThere: [], entries: [3],
    }) // prettier-ignore
  }
  expect(outcomes.undone.size).toBeGreaterThan(rounds)
})

type Outcomes = Readonly<Record<'acknowledged' | 'undone' | 'unknown', ReadonlySet<string>>>

/** Three changes in one transaction, beside one that is undone by a savepoint. A commit that was cut off may have been either. */
async function transfer(pool: Pool, id: string, keep: boolean): Promise<keyof Outcomes> {
  const [source, target] = [1 + Math.floor(Math.random() * 10), 11 + Math.floor(Math.random() * 10)]
  let client
  let outcome: keyof Outcomes = 'undone'
  try {
    client = await pool.connect()
    await client.query('begin')
    await client.query('update account set balance = balance - 1 where id = $1', [source])
    await client.query('savepoint a')
    await client.query(`update account set note = note || 'gone' where id = $1`, [target])
    await client.query('rollback to a')
    await client.query('update account set balance = balance + 1 where id = $1', [target])
    await client.query('insert into transfer values ($1, $2, $3, 1)', [id, source, target])
    if (keep) outcome = 'unknown'
    await client.query(keep ? 'commit' : 'rollback')
    if (keep) outcome = 'acknowledged'
    client.release()
  } catch {
    client?.release(true)
    await sleep(10)
  }
  return outcome
}

async function compare(base: ReadonlyMap<string, Table>, { acknowledged, undone }: Outcomes) {
  const [tables, changes] = await withClient(async (client) => {
    const found = await readTables(client)
    const { rows } = await client.query<Change & { request_id: string }>(
      `select id, action, model, target_id, changes::text as changes, request_id from whodunit.entries where kind = 'change' order by id`,
    )
    return [found, rows] as const
  })
  const { tables: rebuilt, faults } = rebuild(base, changes)
  const text = (rows: readonly Row[]) =>
    rows
      .map((row) => JSON.stringify([row['id'], row]))
      .toSorted()
      .join('\n')
  const stored = new Set(tables.get('transfer')!.rows.map((row) => row['id']!))
  const entries = new Map<string, number>()
  for (const { request_id: id } of changes) entries.set(id, (entries.get(id) ?? 0) + 1)
  return {
    faults,
    differing: [...tables]
      .filter(([name, { rows }]) => text(rows) !== text(rebuilt.get(name)!))
      .map(([name]) => name),
    lost: [...acknowledged].filter((id) => !stored.has(id) || !entries.has(id)),
    shownThoughUndone: [...undone].filter((id) => stored.has(id) || entries.has(id)),
    recordedButNotThere: [...entries.keys()].filter((id) => !stored.has(id)),
    entries: [...new Set(entries.values())],
  }
}

async function withClient<T>(use: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client(server.url)
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}

async function withAudit(use: (audit: ReturnType<typeof openAudit>) => Promise<unknown>): Promise<void> {
  const audit = openAudit()
  try {
    await use(audit)
  } finally {
    await audit.close()
    await audit.client.end()
  }
}

function openAudit() {
  const pool = new Pool({ connectionString: server.url, max: writers })
  pool.on('error', () => {})
  pool.on('connect', (client) => client.on('error', () => {})) // the server is gone
  return createAudit({ database: fromPg(pool) })
}
