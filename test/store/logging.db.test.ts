import { Pool } from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fromPg } from '../../src/database/postgres.ts'
import { type Audit, createAudit } from '../../src/index.ts'
import { freshDatabase, type TestDatabase } from '../harness/postgres.ts'

let database: TestDatabase
let pool: Pool
let audit: Audit<Pool>

beforeAll(async () => {
  database = await freshDatabase()
  await database.pool.query(`create table users (id int primary key, email text, api_token text);
    insert into users values (1, 'ann@example.com', 'secret')`)
  pool = new Pool({ connectionString: database.url })
  pool.on('error', () => {})
  audit = createAudit({
    database: fromPg(pool),
    models: { users: { label: '{email}', severity: 'high', tags: ['pii'], redact: { email: 'hash' } } },
    actors: { user: { model: 'users', label: '{email}' } },
    skipActions: ['VIEW'],
  })
  await audit.migrate()
})
afterAll(async () => {
  await audit.close()
  await pool.end()
  await database.drop()
})

const as = <T>(fn: () => T): T => audit.withContext({ actor: { id: 1 }, reason: 'because' }, fn)
const get = async (ref: string) => {
  await audit.flush()
  return (await audit.entries.get(ref))!
}

describe('entries that the library writes', () => {
  it('record an event with target, changes, metadata and its own time, masked as the triggers would [H1]', async () => {
    const { ref } = await as(() =>
      audit.logAuditEvent({
        action: 'user.invited',
        target: { model: 'users', id: 1, label: 'Ann' },
        changes: { email: ['a', 'b'], api_token: ['x', null], role: ['a', 'b'] },
        metadata: { via: 'mail', password: 'x' },
        at: new Date('2026-01-02T03:04:05.678Z'),
      }),
    )
    expect(await get(ref)).toMatchObject({
      ref,
      kind: 'event',
      action: 'user.invited',
      at: new Date('2026-01-02T03:04:05.678Z'),
      target: { model: 'users', id: '1', label: 'Ann' },
      changes: {
        email: [{ $: 'hash' }, { $: 'hash' }],
        api_token: [{ $: 'masked' }, null],
        role: ['a', 'b'],
      },
      metadata: { via: 'mail', password: { $: 'masked' } },
      actor: { type: 'user', id: '1' },
      reason: 'because',
      severity: 'high',
      tags: ['pii'],
      tx: null,
    })
  })

  it('hash a value as the trigger hashes it', async () => {
    const { ref } = await audit.logAuditEvent({
      action: 'x',
      target: { model: 'users', id: 1 },
      changes: { email: ['new@example.com', null] },
    })
    await pool.query(`update users set email = 'new@example.com'`)
    // the event may be stored by now, and then has the later id
    const change = (await audit.history('users', 1)).find(({ kind }) => kind === 'change')
    expect(change?.changes?.['email']?.[1]).toEqual((await get(ref)).changes?.['email']?.[0])
  })

  it('join a transaction when asked to, and roll back with it', async () => {
    const client = await pool.connect()
    await client.query('begin')
    const kept = await audit.in(client).logAuditEvent({ action: 'kept', changes: { api_token: ['a', 'b'] } })
    await client.query('savepoint s')
    const gone = await audit.in(client).logAuditEvent({ action: 'gone' })
    await client.query('rollback to s')
    const { rows } = await client.query<{ tx: string }>('select pg_current_xact_id()::text as tx')
    await client.query('commit')
    client.release()
    expect(await get(kept.ref)).toMatchObject({
      action: 'kept',
      tx: rows[0]!.tx,
      changes: { api_token: [{ $: 'masked' }, { $: 'masked' }] },
    })
    expect(await audit.entries.get(gone.ref)).toBeUndefined()
  })

  it('are refused with what is wrong, and nothing of it is stored', async () => {
    const bad: [Promise<unknown>, RegExp][] = [
      [audit.logAuditEvent({} as never), /"action" is undefined/],
      [audit.logAuditEvent({ action: 'x', target: { model: '' } }), /"target.model"/],
      [audit.logAuditEvent({ action: 'x', changes: { a: 1 } as never }), /"changes.a" is no pair/],
      [audit.logAuditEvent({ action: 'x', at: new Date('x') }), /"at"/],
      [audit.logLoginAttempt({ username: 'a', status: 'SUCESS' as never }), /"SUCESS".*SUCCESS/],
      [audit.logDataExport({ exportType: 'a', fileFormat: 'csv', recordCount: -1 }), /"recordCount" is -1/],
      [audit.logSystemEvent({ eventType: 'FATAL' as never, title: 'x' }), /"FATAL"/],
      [audit.logDownload(''), /"ref"/],
    ]
    for (const [attempt, message] of bad)
      await expect(attempt).rejects.toMatchObject({
        code: 'AUDIT_ENTRY_INVALID',
        message: expect.stringMatching(message),
      })
  })

  it('wait until stored where they are durable, and say why where that fails', async () => {
    const { ref } = await audit.logAuditEvent({ action: 'durable', durable: true })
    expect(await audit.entries.get(ref)).toMatchObject({ action: 'durable' })
    const role = await database.createRole()
    const stranger = createAudit({ database: fromPg(role.pool), onError: () => {} })
    await expect(stranger.logAuditEvent({ action: 'x', durable: true })).rejects.toMatchObject({
      code: 'AUDIT_WRITE_FAILED',
      cause: { code: 'AUDIT_DATABASE_RIGHTS' },
    })
    await stranger.close()
  })

  it('cannot be forged into row changes, nor into what nobody could read', async () => {
    const forge = (entry: object) =>
      database.pool.query('select whodunit.record($1, false)', [JSON.stringify([entry])])
    await expect(forge({ kind: 'change', action: 'UPDATE', model: 'users' })).rejects.toThrow(
      /written by triggers alone/,
    )
    await expect(forge({ kind: 'event', action: 'x', changes: '{bad' })).rejects.toThrow()
    await expect(forge({ kind: 'event', action: 'x', changes: '[]' })).rejects.toThrow(/objects as changes/)
    await expect(forge({ kind: 'event', action: 'x', at: 'infinity' })).rejects.toThrow(/a time/)
    await expect(forge({ kind: 'event' })).rejects.toThrow(/an action/)
  })
})

describe('labels of actors', () => {
  it('are looked up when reading, where the context gave none, in pages and in feeds alike', async () => {
    await pool.query(`update users set email = 'ann@new.example' where id = 1`)
    const { ref } = await as(() => audit.logAuditEvent({ action: 'labelled' }))
    expect((await get(ref)).actor).toEqual({ type: 'user', id: '1', label: 'ann@new.example' })
    for await (const entry of audit.entries.follow('start')) {
      if (entry.ref !== ref) continue
      expect(entry.actor?.label).toBe('ann@new.example')
      break
    }
  })
})
