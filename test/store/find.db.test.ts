import { Pool } from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fromPg } from '../../src/database/postgres.ts'
import { type Audit, createAudit, type EntryFilter } from '../../src/index.ts'
import { freshDatabase, type TestDatabase } from '../harness/postgres.ts'

let database: TestDatabase
let pool: Pool
let audit: Audit<Pool>

beforeAll(async () => {
  database = await freshDatabase()
  await database.pool.query(`
    create table customer (id int primary key, name text, city text);
    create table invoice (id int primary key, customer_id int, total numeric);
    create table link (a int, b text, primary key (a, b))`)
  pool = new Pool({ connectionString: database.url })
  pool.on('error', () => {})
  audit = createAudit({
    database: fromPg(pool),
    models: {
      customer: { label: '{name}', subject: 'id' },
      invoice: { subject: 'customer_id', category: 'billing', severity: 'high', tags: ['money', 'tax'] },
    },
  })
  await audit.migrate()
  const ann = {
    actor: { id: 1, label: 'Ann' },
    tenant: 't1',
    request: { id: 'r1', ip: '10.0.0.1' },
    reason: '100% sure_thing',
  }
  await audit.withContext(ann, async () => {
    await pool.query(`insert into customer values (1, 'O''Neil', 'Köln'), (2, 'Bo', 'Rome')`)
    await pool.query(`update customer set city = 'Bonn' where id = 1`)
    await audit.logLoginAttempt({ username: 'ann', status: 'SUCCESS' })
  })
  await audit.withContext({ actor: { type: 'job', id: 'nightly' }, tenant: 't2' }, async () => {
    await pool.query(`insert into invoice values (7, 1, 1.10)`)
    await audit.logAuditEvent({ action: 'invoice.sent', target: { model: 'invoice', id: 7 } })
  })
  await pool.query(`insert into link values (1, 'x'), (1, 'y')`)
  await audit.logSystemEvent({ eventType: 'WARNING', title: 'disk' })
  await audit.flush()
})
afterAll(async () => {
  await audit.close()
  await pool.end()
  await database.drop()
})

const found = async (filter: EntryFilter): Promise<string[]> =>
  (await audit.entries.find(filter)).entries
    .map(({ action, target }) => `${action} ${target ? `${target.model}/${target.id}` : ''}`.trim())
    .toReversed()

describe('finding entries', () => {
  it.each<[string, EntryFilter, string[]]>([
    ['kind', { kind: ['login', 'system'] }, ['LOGIN', 'WARNING']],
    ['action', { action: 'UPDATE' }, ['UPDATE customer/1']],
    ['several actions', { action: ['UPDATE', 'LOGIN'] }, ['UPDATE customer/1', 'LOGIN']],
    ['model', { model: 'invoice' }, ['CREATE invoice/7', 'invoice.sent invoice/7']],
    ['target', { target: { model: 'customer', id: 1 } }, ['CREATE customer/1', 'UPDATE customer/1']],
    ['a composite key', { target: { model: 'link', id: '["1","y"]' } }, ['CREATE link/["1","y"]']],
    ['actor by id', { actor: 'nightly' }, ['CREATE invoice/7', 'invoice.sent invoice/7']],
    ['actor by type and id', { actor: { type: 'user', id: 1 }, kind: 'login' }, ['LOGIN']],
    ['subject', { subject: 1, action: 'CREATE' }, ['CREATE customer/1', 'CREATE invoice/7']],
    ['request', { request: 'r1', kind: 'login' }, ['LOGIN']],
    ['tenant', { tenant: 't2' }, ['CREATE invoice/7', 'invoice.sent invoice/7']],
    ['ip', { ip: '10.0.0.1', action: 'UPDATE' }, ['UPDATE customer/1']],
    ['a changed column', { changed: 'city', action: 'UPDATE' }, ['UPDATE customer/1']],
    ['text in a value, ignoring case [G4]', { text: 'BONN' }, ['UPDATE customer/1']],
    ['text in a label', { text: "o'neil" }, ['CREATE customer/1', 'UPDATE customer/1']],
    [
      'text with the wildcards of LIKE, taken as they are',
      { text: '100% sure_thing', action: 'UPDATE' },
      ['UPDATE customer/1'],
    ],
    ['text that only a wildcard would match', { text: '100_ sure%' }, []],
    ['category', { category: 'billing' }, ['CREATE invoice/7', 'invoice.sent invoice/7']],
    ['severity', { severity: ['high'] }, ['CREATE invoice/7', 'invoice.sent invoice/7']],
    ['tag', { tag: 'tax' }, ['CREATE invoice/7', 'invoice.sent invoice/7']],
    ['a part of a tag is no tag', { tag: 'ta' }, []],
    ['since and until', { since: '1h', until: '30m' }, []],
    ['no match [G4]', { actor: 'nobody' }, []],
    ['an empty list', { kind: [] }, []],
  ])('by %s', async (_name, filter, expected) => {
    expect(await found(filter)).toEqual(expected)
  })

  it('by transaction, of row changes alone', async () => {
    const [entry] = (await audit.entries.find({ action: 'CREATE', model: 'link' })).entries
    expect(await found({ tx: entry!.tx! })).toEqual(['CREATE link/["1","x"]', 'CREATE link/["1","y"]'])
  })

  it('one by its id or its ref, and none by another', async () => {
    const [login] = (await audit.entries.find({ kind: 'login' })).entries
    expect(await audit.entries.get(login!.id)).toEqual(login)
    expect(await audit.entries.get(login!.ref!)).toEqual(login)
    expect(await audit.entries.get('999999')).toBeUndefined()
    expect(await audit.entries.get("x' or 1=1")).toBeUndefined()
  })
})

describe('pages', () => {
  const walk = async (
    filter: EntryFilter,
    limit: number,
    between?: () => Promise<unknown>,
  ): Promise<string[]> => {
    const ids: string[] = []
    let after: string | undefined
    do {
      const page = await audit.entries.find(filter, { limit, ...(after ? { after } : {}) })
      expect(page.entries.length).toBeLessThanOrEqual(limit)
      ids.push(...page.entries.map(({ id }) => id))
      after = page.next ?? undefined
      await between?.()
    } while (after)
    return ids
  }
  const all = async (model: string): Promise<string[]> =>
    (
      await database.pool.query<{ id: string }>(
        'select e.id::text from whodunit.entry e where model = $1 order by at desc, e.id desc',
        [model],
      )
    ).rows.map(({ id }) => id)

  it('neither repeat nor lose entries of equal times [G1]', async () => {
    await database.pool.query('create table burst (id int primary key)')
    await audit.migrate()
    await pool.query('insert into burst select generate_series(1, 300)')
    await database.pool.query(
      `set session_replication_role = replica; update whodunit.entry set at = date_trunc('second', at) where model = 'burst'; reset session_replication_role`,
    )
    expect(await walk({ model: 'burst' }, 7)).toEqual(await all('burst'))
  })

  it('stay whole while others write', async () => {
    const before = await all('burst')
    let n = 1_000
    expect(
      await walk({ model: 'burst' }, 50, () => pool.query('insert into burst values ($1)', [n++])),
    ).toEqual(before)
  })

  it('end without a cursor where the last one is exactly full', async () => {
    const page = await audit.entries.find({ model: 'invoice' }, { limit: 2 })
    expect([page.entries.length, page.next]).toEqual([2, null])
  })

  it('refuse a cursor that is none, was changed, or belongs to another filter', async () => {
    const { next } = await audit.entries.find({ model: 'burst' }, { limit: 1 })
    for (const after of ['', 'x', `${next}x`, Buffer.from('1.2.zzzzzzzz').toString('base64url')]) {
      await expect(audit.entries.find({ model: 'burst' }, { after })).rejects.toMatchObject({
        code: 'AUDIT_QUERY_CURSOR',
      })
    }
    await expect(audit.entries.find({ model: 'customer' }, { after: next! })).rejects.toMatchObject({
      code: 'AUDIT_QUERY_CURSOR',
    })
  })

  it('stream everything, newest first, in pages of their own', async () => {
    await pool.query('insert into burst select generate_series(5000, 6200)')
    const ids: string[] = []
    for await (const entry of audit.entries.stream({ model: 'burst' })) ids.push(entry.id)
    expect(ids).toEqual(await all('burst'))
  })
})

describe('the history of an object', () => {
  it('is newest first and follows the key, however often it was changed [G1]', async () => {
    await pool.query(`insert into customer values (50, 'K', 'x')`)
    await pool.query('update customer set id = 51 where id = 50')
    await pool.query('update customer set id = 52 where id = 51')
    await pool.query('delete from customer where id = 52')
    for (const id of [50, 51, 52]) {
      expect(
        (await audit.history('customer', id)).map(({ action, target }) => `${action} ${target?.id}`),
      ).toEqual(['DELETE 52', 'UPDATE 51', 'UPDATE 50', 'CREATE 50'])
    }
    expect(await audit.history('customer', 999)).toEqual([])
  })

  it('keeps long keys apart', async () => {
    await database.pool.query('create table page (url text primary key)')
    await audit.migrate()
    const [one, other] = ['a', 'b'].map((end) => `${'x'.repeat(1_500)}${end}`)
    await pool.query('insert into page values ($1), ($2)', [one, other])
    expect(await audit.history('page', one!)).toHaveLength(1)
  })
})

describe('a summary', () => {
  it('counts what SQL counts', async () => {
    const summary = await audit.getAuditSummary({ days: 1 })
    const { rows } = await database.pool.query<{ kind: string; n: number }>(
      'select kind, count(*)::int as n from whodunit.entries group by 1',
    )
    for (const { kind, n } of rows) expect(summary.byKind[kind as 'change']).toBe(n)
    expect(summary.total).toBe(rows.reduce((sum, { n }) => sum + n, 0))
    expect(summary.logins).toEqual({ success: 1, failed: 0, blocked: 0 })
    expect(summary.byModel.find(({ name }) => name === 'invoice')?.count).toBe(2)
    expect(summary.byDay.reduce((sum, { count }) => sum + count, 0)).toBe(summary.total)
    const narrowed = await audit.getAuditSummary({
      days: 1,
      actor: 'nightly',
      tenant: 't2',
      model: 'invoice',
    })
    expect(narrowed.total).toBe(2)
  })
})
