import pg from 'pg'
import { PGlite } from '@electric-sql/pglite'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Audit, createAudit, isAuditError } from '../../src/index.ts'
import { fromPg, fromPglite } from '../../src/database/postgres.ts'
import { freshDatabase, type TestDatabase } from '../harness/postgres.ts'

let database: TestDatabase
const openPgAudit = (max = 1) =>
  createAudit({
    database: fromPg(new pg.Pool({ connectionString: database.url, max })),
    models: { item: { redact: { email: 'hash' } } },
  })
const openPgliteAudit = () =>
  createAudit({ database: fromPglite(new PGlite()), models: { item: { redact: { email: 'hash' } } } })
let pgAudit: ReturnType<typeof openPgAudit>
let pgliteAudit: ReturnType<typeof openPgliteAudit>

beforeAll(async () => {
  database = await freshDatabase()
  pgAudit = openPgAudit()
  pgliteAudit = openPgliteAudit()
  const table = 'create table item (id int primary key, email text)'
  await pgAudit.client.query(table)
  await pgliteAudit.client.query(table)
  await pgAudit.migrate()
  await pgliteAudit.migrate()
})
afterAll(async () => {
  await pgAudit.close()
  await pgAudit.client.end()
  await pgliteAudit.close()
  await pgliteAudit.client.close()
  await database.drop()
})

const event = {
  action: 'mail.sent',
  target: { model: 'item', id: 1 },
  changes: { email: [null, 'a@b.c'] as const },
}
const found = async (audit: Audit, ref: string) => {
  await audit.flush()
  return audit.entries.get(ref)
}

test('an event of a transaction is stored with it, and shares its tx', async () => {
  const client = await pgAudit.client.connect()
  await client.query('begin')
  const { ref } = await pgAudit.withContext({ actor: { id: 'ann' } }, async () => {
    await client.query('insert into item values (1)')
    return pgAudit.in(client).logAuditEvent(event)
  })
  expect(await found(pgAudit, ref)).toBeUndefined()
  await client.query('commit')
  client.release()
  const stored = await found(pgAudit, ref)
  const { entries } = await pgAudit.entries.find({ kind: 'change' }, { limit: 1 })
  expect(stored).toMatchObject({ action: 'mail.sent', actor: { id: 'ann' }, tx: entries[0]!.tx })
  expect(stored!.changes).toMatchObject({ email: [null, { $: 'hash' }] })
})

test('an event of a transaction goes when it, or its savepoint, is rolled back', async () => {
  const client = await pgAudit.client.connect()
  await client.query('begin')
  const kept = await pgAudit.in(client).logAuditEvent(event)
  await client.query('savepoint s')
  const undone = await pgAudit.in(client).logAuditEvent(event)
  await client.query('rollback to s')
  await client.query('commit')
  await client.query('begin')
  const lost = await pgAudit.in(client).logAuditEvent(event)
  await client.query('rollback')
  client.release()
  expect(await found(pgAudit, kept.ref)).toMatchObject({ ref: kept.ref })
  expect(await found(pgAudit, undone.ref)).toBeUndefined()
  expect(await found(pgAudit, lost.ref)).toBeUndefined()
})

test('the library writes and reads while the application holds every connection of its pool', async () => {
  const client = await pgAudit.client.connect() // the only one
  await client.query('begin')
  const logged = await pgAudit.logAuditEvent({ ...event, durable: true })
  expect(await pgAudit.entries.get(logged.ref)).toMatchObject({ action: 'mail.sent', tx: null })
  await Promise.all(Array.from({ length: 20 }, async () => pgAudit.entries.find({ action: 'mail.sent' })))
  expect(pgAudit.client.totalCount).toBe(1)
  await client.query('rollback')
  client.release()
  expect(await pgAudit.entries.get(logged.ref)).toMatchObject({ action: 'mail.sent' })
})

test('what is logged inside a transaction survives its rollback, such as a denied action', async () => {
  const client = await pgAudit.client.connect()
  await client.query('begin')
  const { ref } = await pgAudit.logAuditEvent({ ...event, action: 'denied' })
  await client.query('rollback')
  client.release()
  expect(await found(pgAudit, ref)).toMatchObject({ action: 'denied' })
})

test('closing leaves the pool of the application open, and no connection of the library', async () => {
  const other = createAudit({
    database: fromPg(new pg.Pool({ connectionString: `${database.url}?application_name=closing`, max: 2 })),
  })
  await other.logAuditEvent({ ...event, durable: true })
  await other.entries.find()
  await other.close()
  const count = `select count(*)::int as n from pg_stat_activity where application_name = 'closing'`
  await expect.poll(async () => (await other.client.query(count)).rows[0].n).toBe(1)
  await other.client.end()
})

test('audit.in takes only something that can hold a transaction', async () => {
  for (const odd of [undefined, {}, 'begin']) {
    const failed = await pgAudit
      .in(odd as never)
      .logAuditEvent(event)
      .catch((error: unknown) => error)
    expect(isAuditError(failed, 'AUDIT_CLIENT_UNKNOWN'), String(failed)).toBe(true)
  }
})

test('in a PGlite transaction, waiting for an entry is refused, joining and queueing are not', async () => {
  const refs = await pgliteAudit.client.transaction(async (transaction) => {
    const durable = await pgliteAudit
      .logAuditEvent({ ...event, durable: true })
      .catch((error: unknown) => error)
    expect(isAuditError(durable, 'AUDIT_WRITE_DEADLOCK'), String(durable)).toBe(true)
    const queued = await pgliteAudit.logAuditEvent(event)
    const joined = await pgliteAudit.in(transaction).logAuditEvent(event)
    return [queued.ref, joined.ref]
  })
  for (const ref of refs) {
    expect((await found(pgliteAudit, ref))!.changes).toMatchObject({ email: [null, { $: 'hash' }] })
  }
  const { ref } = await pgliteAudit.logAuditEvent({ ...event, durable: true })
  expect(await pgliteAudit.entries.get(ref)).toMatchObject({ action: 'mail.sent' })
})

test('an event of a PGlite transaction that is rolled back goes with it', async () => {
  let ref = ''
  await pgliteAudit.client
    .transaction(async (transaction) => {
      ref = (await pgliteAudit.in(transaction).logAuditEvent(event)).ref
      throw new Error('undo')
    })
    .catch(() => {})
  expect(await found(pgliteAudit, ref)).toBeUndefined()
})
