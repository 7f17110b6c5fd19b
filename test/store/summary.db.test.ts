import { Pool } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { fromPg } from '../../src/database/postgres.ts'
import { type Audit, createAudit } from '../../src/index.ts'
import { freshDatabase, type TestDatabase } from '../harness/postgres.ts'

let database: TestDatabase
let audit: Audit<Pool>
const now = new Date('2026-03-15T12:00:00.000Z')
const ago = (days: number) => new Date(now.getTime() - days * 86_400_000)

beforeAll(async () => {
  database = await freshDatabase()
  audit = createAudit({
    database: fromPg(new Pool({ connectionString: database.url, max: 3 })),
    clock: () => now,
  })
  await audit.migrate()
  const actors = ['a', 'b', 'c'].map((id) => ({ id }))
  for (let n = 0; n < 90; n++) {
    const at = ago(n % 45)
    const context = {
      ...(n % 4 < 3 ? { actor: actors[n % 3]! } : {}),
      tenant: n % 2 ? 't1' : 't2',
      request: { id: `r${n}` },
    }
    await audit.withContext(context, async () => {
      await audit.logAuditEvent({
        action: `action ${n % 25}`,
        target: { model: `model ${n % 23}`, id: n },
        at,
      })
      if (n % 3 === 0)
        await audit.logLoginAttempt({
          username: 'x',
          status: (['SUCCESS', 'FAILED', 'BLOCKED'] as const)[(n % 9) / 3]!,
          at,
        })
      if (n % 5 === 0) await audit.logDataExport({ exportType: 'x', fileFormat: 'csv', at })
      if (n % 6 === 0) {
        const { ref } = await audit.logSystemEvent({
          eventType: n % 12 ? 'ERROR' : 'WARNING',
          title: 'x',
          at,
        })
        if (n % 18 === 0) await audit.resolveSystemEvent(ref, { at })
      }
    })
  }
  await audit.flush()
  // the set-up itself happened at the clock of the database
  await database.pool.query(
    `set session_replication_role = replica; delete from whodunit.entry where action = 'MIGRATE'; reset session_replication_role`,
  )
})
afterAll(async () => {
  await audit.close()
  await audit.client.end()
  await database.drop()
})

const counts = async (what: string, where: string) =>
  (
    await database.pool.query<{ name: string; count: number }>(
      `select ${what} as name, count(*)::int as count from whodunit.entries where ${where} and ${what} is not null group by 1 order by 2 desc, 1 limit 20`,
    )
  ).rows
const one = async (where: string) =>
  (await database.pool.query<{ n: number }>(`select count(*)::int as n from whodunit.entries where ${where}`))
    .rows[0]!.n

test.each([
  ['the last 30 days', {}, `at >= '2026-02-13T12:00:00Z'`],
  ['the last 7 days', { days: 7 }, `at >= '2026-03-08T12:00:00Z'`],
  ['since a date', { since: ago(20) }, `at >= '2026-02-23T12:00:00Z'`],
  ['since an age', { since: '2w' }, `at >= '2026-03-01T12:00:00Z'`],
  ['one actor', { days: 100, actor: 'a' }, `actor_id = 'a'`],
  ['one actor by type', { days: 100, actor: 'user:b' }, `actor_id = 'b'`],
  ['one tenant', { days: 100, tenant: 't1' }, `tenant = 't1'`],
  ['one model', { days: 100, model: 'model 3' }, `model = 'model 3'`],
  ['nobody', { days: 100, actor: 'nobody' }, 'false'],
])('a summary of %s counts what SQL counts', async (_, query, where) => {
  const within = `at < '2026-03-15T12:00:00Z' and ${where}`
  const summary = await audit.getAuditSummary(query)
  expect(summary.total).toBe(await one(within))
  const kinds = Object.fromEntries((await counts('kind', within)).map(({ name, count }) => [name, count]))
  expect(summary.byKind).toEqual({
    change: 0,
    event: 0,
    login: 0,
    export: 0,
    system: 0,
    request: 0,
    ...kinds,
  })
  const sql = async (what: string) =>
    (await counts(what, within)).map(({ name, count }) => `${count} ${name}`).toSorted()
  const ours = (groups: readonly { name: string; count: number }[]) =>
    groups.map(({ name, count }) => `${count} ${name}`).toSorted()
  const total = (list: string[]) => list.reduce((sum, line) => sum + Number(line.split(' ')[0]), 0)
  // with more than 20 groups, which of those with equal counts are shown is left open
  for (const [shown, counted] of [
    [ours(summary.byAction), await sql('action')],
    [ours(summary.byModel), await sql('model')],
  ] as const) {
    expect(shown.length).toBe(counted.length)
    expect(total(shown)).toBe(total(counted))
  }
  expect(ours(summary.byActor)).toEqual(await sql(`actor_type || ':' || actor_id`))
  const days = await database.pool.query(
    `select to_char(at at time zone 'UTC', 'YYYY-MM-DD') as name, count(*)::int as count from whodunit.entries where ${within} group by 1 order by 1`,
  )
  expect(summary.byDay).toEqual(days.rows)
  const status = async (name: string) =>
    one(`${within} and kind = 'login' and details ->> 'status' = '${name}'`)
  expect(summary.logins).toEqual({
    success: await status('SUCCESS'),
    failed: await status('FAILED'),
    blocked: await status('BLOCKED'),
  })
  expect(summary.exports).toBe(await one(`${within} and action = 'EXPORT'`))
  expect(summary.errors).toBe(await one(`${within} and kind = 'system' and action = 'ERROR'`))
  const { rows } = await database.pool.query(
    `select count(*)::int as n from whodunit.system_events e where not resolved and id in (select id from whodunit.entries where ${within})`,
  )
  expect(summary.unresolved).toBe(rows[0].n)
})

test('days are those of UTC, whatever the session says', async () => {
  const tokyo = createAudit({
    database: fromPg(new Pool({ connectionString: `${database.url}?options=-c%20timezone%3DAsia%2FTokyo` })),
    clock: () => now,
  })
  expect((await tokyo.getAuditSummary()).byDay).toEqual((await audit.getAuditSummary()).byDay)
  await tokyo.close()
  await tokyo.client.end()
})
