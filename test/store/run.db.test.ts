import pg from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { postgres } from '../../src/dialect/postgres/index.ts'
import { pgDriver } from '../../src/driver/pg.ts'
import { createAudit } from '../../src/index.ts'
import { createDatabase } from '../../src/store/store.ts'
import { freshDatabase } from '../harness/postgres.ts'

/** PostgreSQL, taken for a database whose triggers stand in the way of schema changes. */
const dialect = { ...postgres, capture: { ...postgres.capture, blocksMigrations: true } }

test('where triggers are in the way they are gone while a tool works, and back behind it, also by the stored policy', async () => {
  const { url, drop, pool: plain } = await freshDatabase()
  await plain.query('create table a (id int primary key, n int); create table b (id int primary key)')
  const pool = new pg.Pool({ connectionString: url, max: 2 })
  const database = createDatabase(dialect, pgDriver(pool))
  const audit = createAudit({ database, models: { a: { ignore: ['n'] } } })
  onTestFinished(async () => {
    await audit.close()
    await pool.end()
    await drop()
  })
  await audit.migrate()
  const triggers = async () =>
    (await plain.query(`select from pg_trigger where tgname = '!whodunit'`)).rows.length
  const who = { actor: { type: 'job', id: 'tool' }, reason: 'deploy 7' } as const

  const seen = await audit.withContext(who, () => database.setup.run(audit.policy, triggers))
  expect(seen).toMatchObject({ result: 0, warnings: [], report: { done: ['put capture on a', 'put capture on b'] } }) // prettier-ignore
  expect(await triggers()).toBe(2)

  // the tool throws, or the policy does not fit what it made of the database: capture comes back all the same
  const failure = new Error('half way')
  const thrown = audit.withContext(who, () =>
    database.setup.run(audit.policy, async () => {
      throw failure
    }),
  )
  await expect(thrown).rejects.toBe(failure)
  expect(await triggers()).toBe(2)
  const other = { ...audit.policy, models: { a: { ignore: ['m'] } } }
  const unfit = await audit.withContext(who, () => database.setup.run(other, triggers))
  expect(unfit).toMatchObject({ result: 0, failure: { code: 'AUDIT_POLICY_UNKNOWN_COLUMN' } })
  expect(await triggers()).toBe(2)

  const { entries } = await audit.entries.find({ action: 'SKIPPED' })
  expect(entries).toHaveLength(6)
  expect(entries[0]).toMatchObject({ kind: 'event', origin: 'migration', actor: who.actor, reason: who.reason, details: { lifted: true } }) // prettier-ignore
  expect(new Set(entries.map(({ target }) => target?.model))).toEqual(new Set(['a', 'b']))
})
