import Database from 'better-sqlite3'
import pg from 'pg'
import postgres from 'postgres'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { createAudit, isAuditError } from '../../src/index.ts'
import { fromPg, fromPostgresJs } from '../../src/database/postgres.ts'
import { fromBetterSqlite3 } from '../../src/database/sqlite.ts'
import { freshDatabase, type TestDatabase } from '../harness/postgres.ts'

let database: TestDatabase
const openPool = (name = 'writer', max = 2) => {
  const url = `${database.url}?application_name=${name}`
  const pool = new pg.Pool({ connectionString: url, max })
  onTestFinished(async () => pool.end())
  return pool
}

beforeAll(async () => {
  database = await freshDatabase()
  await database.pool.query('create table item (note text, tenant text)')
  const audit = createAudit({ database: fromPg(database.pool) })
  await audit.migrate()
  await audit.close()
})
afterAll(async () => database.drop())

test('pools of tenants under one audit are attributed each by each, smaller than the load', async () => {
  const audit = createAudit({ database: fromPg(openPool()) })
  onTestFinished(async () => audit.close())
  const tenants = [audit.client, ...['red', 'blue'].map((name) => audit.attach(openPool(name)))]
  await Promise.all(
    Array.from({ length: 60 }, async (_, n) => {
      const write = async (note: string | null) =>
        tenants[n % 3]!.query('insert into item values ($1, $2)', [note, String(n % 3)])
      if (n % 6 === 5) return write(null)
      return audit.withContext({ actor: { id: `a${n}` } }, async () => write(`a${n}`))
    }),
  )
  const { entries } = await audit.entries.find({ model: 'item' }, { limit: 100 })
  expect(entries.length).toBe(60)
  expect(entries.filter(({ actor, changes }) => (actor?.id ?? null) !== changes?.['note']?.[1])).toEqual([])
})

test('a pool that was open before, and one attached twice, carry the context', async () => {
  const audit = createAudit({ database: fromPg(openPool()) })
  onTestFinished(async () => audit.close())
  const other = openPool('other', 1)
  await other.query('select 1')
  expect(audit.attach(other)).toBe(other)
  expect(audit.attach(other)).toBe(other)
  const { rows } = await audit.withContext({ actor: { id: 'ann' } }, async () =>
    other.query(`select current_setting('whodunit.context', true) as context`),
  )
  expect(rows[0].context).toMatch(/^user:ann/)
})

test('reading through a session that allows no writes carries it too, as a replica does', async () => {
  const audit = createAudit({ database: fromPg(openPool()) })
  const replica = new pg.Pool({
    connectionString: `${database.url}?options=-c%20default_transaction_read_only%3Don`,
  })
  onTestFinished(async () => {
    await audit.close()
    await replica.end()
  })
  audit.attach(replica)
  await audit.withContext({ actor: { id: 'ann' } }, async () => {
    expect(
      (await replica.query('select count(*)::int as n from item where note = $1', ['none'])).rows,
    ).toEqual([{ n: 0 }])
    await expect(replica.query(`insert into item values ('x')`)).rejects.toMatchObject({ code: '25006' })
    await audit.logViewAccess({ model: 'item', id: 1 }, { durable: true })
  })
})

test('the trail is read and written through the first alone', async () => {
  const audit = createAudit({ database: fromPg(openPool('first')) })
  const second = openPool('second')
  audit.attach(second)
  await second.query('select 1')
  await audit.logAuditEvent({ action: 'mail.sent', durable: true })
  await audit.entries.find()
  const { rows } = await database.pool
    .query(`select application_name as name, count(*)::int as n from pg_stat_activity
    where application_name in ('first', 'second') group by 1 order by 1`)
  await audit.close()
  expect(rows).toEqual([
    { name: 'first', n: 2 },
    { name: 'second', n: 1 },
  ])
})

test('a second sql of postgres.js is given back as a view that carries it, once', async () => {
  const [first, second] = [postgres(database.url, { max: 1 }), postgres(database.url, { max: 1 })]
  const audit = createAudit({ database: fromPostgresJs(first) })
  onTestFinished(async () => {
    await audit.close()
    await first.end()
    await second.end()
  })
  const sql = audit.attach(second)
  expect(audit.attach(sql)).toBe(sql)
  const [row] = await audit.withContext(
    { actor: { id: 'ann' } },
    async () => sql`select current_setting('whodunit.context', true) as context`,
  )
  expect(row!['context']).toMatch(/^user:ann/)
})

test('what is no client of its kind is refused, and so is a second client of a database that has one', () => {
  const audit = createAudit({ database: fromPg(openPool()) })
  const lone = createAudit({ database: fromBetterSqlite3(new Database(':memory:')) })
  const failure = (work: () => unknown): unknown => {
    try {
      return work()
    } catch (error) {
      return error
    }
  }
  expect(
    isAuditError(
      failure(() => audit.attach({} as never)),
      'AUDIT_CLIENT_UNKNOWN',
    ),
  ).toBe(true)
  expect(
    isAuditError(
      failure(() => lone.attach(new Database(':memory:'))),
      'AUDIT_DATABASE_UNSUPPORTED',
    ),
  ).toBe(true)
})
