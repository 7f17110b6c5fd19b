import { type AuditEntry, isAuditError } from '../index.ts'
import type { StoreCases, StoreWorld } from './store-suite.ts'

/** What the library logs, in entries and in the public views. */
export function logCases({ test, expect, world }: StoreCases): void {
  const as = async <T>(work: () => Promise<T>): Promise<T> =>
    world().audit.withContext({ actor: { id: 1 }, reason: 'because' }, work)
  const get = async ({ audit }: StoreWorld, ref: string): Promise<AuditEntry | undefined> => {
    await audit.flush()
    return audit.entries.get(ref)
  }
  const row = async (
    { plain, view }: StoreWorld,
    of: string,
    ref: string,
  ): Promise<Record<string, unknown>> => ({
    ...(await plain(`select * from ${view(of)} where ref = '${ref}'`))[0],
  })
  const part = (all: Record<string, unknown>, ...keys: string[]): unknown[] => keys.map((key) => all[key])

  test('an event has its target, changes, metadata and its own time, masked as the triggers would [H1]', async (place) => {
    const { ref } = await as(async () =>
      place.audit.logAuditEvent({
        action: 'user.invited',
        target: { model: 'users', id: 1, label: `Ann "'\\😀` },
        changes: { api_token: ['x', null], role: ['a', `'"\\\n😀`] },
        metadata: { via: `m'"\\😀`, password: 'x' },
        at: new Date('2026-01-02T03:04:05.678Z'),
      }),
    )
    const entry = await get(place, ref)
    expect([entry?.kind, entry?.action, entry?.at, entry?.target, entry?.changes, entry?.metadata]).toEqual([
      'event',
      'user.invited',
      new Date('2026-01-02T03:04:05.678Z'),
      { model: 'users', id: '1', label: `Ann "'\\😀` },
      { api_token: [{ $: 'masked' }, null], role: ['a', `'"\\\n😀`] },
      { via: `m'"\\😀`, password: { $: 'masked' } },
    ])
    expect([entry?.actor?.id, entry?.reason, entry?.tx]).toEqual(['1', 'because', null])
  })

  test('a value is hashed as the trigger hashes it, or masked alike', async (place) => {
    const { ref } = await place.audit.logAuditEvent({
      action: 'x',
      target: { model: 'users', id: 1 },
      changes: { email: ['new@example.com', null] },
    })
    await place.query(`insert into users values (1, 'new@example.com', null)`)
    const [change] = await place.audit.history('users', 1)
    expect(change?.changes?.['email']?.[1]).toEqual((await get(place, ref))?.changes?.['email']?.[0])
  })

  test('entries sort in the order in which things happened, beside row changes [D4]', async ({
    audit,
    query,
    sql,
  }) => {
    const tick = async (): Promise<unknown> =>
      sql.clock && new Promise((resolve) => setTimeout(resolve, 2 * sql.clock!))
    for (let turn = 0; turn < 10; turn++) {
      await query(`insert into users (id) values (${100 + turn})`)
      await tick()
      await audit.logAuditEvent({ action: 'after', target: { model: 'users', id: 100 + turn } })
      await tick()
    }
    await audit.flush()
    const { entries } = await audit.entries.find(
      { model: 'users', action: ['CREATE', 'after'] },
      { limit: 20 },
    )
    expect(entries.map(({ action }) => action).toReversed()).toEqual(
      Array.from({ length: 10 }, () => ['CREATE', 'after']).flat(),
    )
  })

  test('a sign-in has its status, name and address, also outside of a request [H3, H4]', async (place) => {
    const { ref } = await place.audit.logLoginAttempt({
      username: 'eve\n',
      status: 'FAILED',
      reason: 'wrong password',
      request: { ip: '192.0.2.7' },
    })
    const entry = await get(place, ref)
    expect([entry?.actor, entry?.request?.ip, entry?.details]).toEqual([
      null,
      '192.0.2.7',
      { ...entry?.details, username: 'eve\\u000a', status: 'FAILED' },
    ])
    expect(
      part(await row(place, 'login_attempts', ref), 'username', 'status', 'ip', 'reason', 'actor_id'),
    ).toEqual(['eve\\u000a', 'FAILED', '192.0.2.7', 'wrong password', null])
  })

  test('an export, its end and its downloads are one row of the view', async (place) => {
    const written = await as(async () =>
      place.audit.logDataExport({ exportType: 'users', fileFormat: 'csv', filters: { token: 'x', q: 1 } }),
    )
    await written.finish({ recordCount: 12, fileSize: 3_400 })
    await written.downloaded()
    await place.audit.logDownload(written.ref)
    const entry = await get(place, written.ref)
    expect((entry?.details as { filters?: unknown } | undefined)?.filters).toEqual({
      token: { $: 'masked' },
      q: 1,
    })
    const seen = await row(place, 'data_exports', written.ref)
    expect(
      part(seen, 'export_type', 'record_count', 'file_size', 'downloads', 'actor_id').map(String),
    ).toEqual(['users', '12', '3400', '2', '1'])
    expect([seen['finished_at'] === null, seen['last_download_at'] === null]).toEqual([false, false])
  })

  test('a system event has no secrets of its error, and its resolution', async (place) => {
    const cause = new Error('duplicate key')
    const error = new Error('Failed query: insert\nparams: 4111111111111111', { cause })
    const { ref } = await place.audit.logSystemEvent({ eventType: 'ERROR', title: 'payment', error })
    await place.audit.flush()
    const before = await place.audit.getAuditSummary()
    await as(async () => place.audit.resolveSystemEvent(ref, { note: 'restarted' }))
    const entry = await get(place, ref)
    expect(JSON.stringify(entry).includes('4111')).toEqual(false)
    const after = await place.audit.getAuditSummary()
    expect((before.unresolved ?? 0) - (after.unresolved ?? 0)).toEqual(1)
    const seen = await row(place, 'system_events', ref)
    expect([
      ...part(seen, 'event_type', 'title', 'resolution_note', 'resolved_by'),
      Boolean(seen['resolved']),
    ]).toEqual(['ERROR', 'payment', 'restarted', 'user:1', true])
  })

  test('what the policy skips is left out, and what is durable waits until it is stored', async (place) => {
    const { ref } = await place.audit.logViewAccess({ model: 'users', id: 1 })
    expect(await get(place, ref)).toEqual(undefined)
    const stored = await place.audit.logAuditEvent({ action: 'durable', durable: true })
    expect((await place.audit.entries.get(stored.ref))?.action).toEqual('durable')
  })

  test('an entry of the wrong shape is refused, and nothing of it is stored', async ({ audit }) => {
    for (const attempt of [
      audit.logAuditEvent({} as never),
      audit.logAuditEvent({ action: 'x', target: { model: '' } }),
      audit.logAuditEvent({ action: 'x', at: new Date('x') }),
      audit.logLoginAttempt({ username: 'a', status: 'SUCESS' as never }),
    ])
      expect(isAuditError(await attempt.catch((error: unknown) => error), 'AUDIT_ENTRY_INVALID')).toEqual(
        true,
      )
  })

  test('labels of actors are looked up when reading, where the context gave none', async (place) => {
    await place.plain(`update users set email = 'ann@new.example' where id = 1`)
    const { ref } = await as(async () => place.audit.logAuditEvent({ action: 'labelled' }))
    expect((await get(place, ref))?.actor).toEqual({ type: 'user', id: '1', label: 'ann@new.example' })
  })
}
