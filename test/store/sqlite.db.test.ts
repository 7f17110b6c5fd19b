import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import Database from 'better-sqlite3'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fromBetterSqlite3 } from '../../src/database/sqlite.ts'
import { type Audit, createAudit, type EntryFilter } from '../../src/index.ts'
import { sqliteWorld } from '../harness/sqlite.ts'

const client = new Database(':memory:')
let audit: Audit<Database.Database>

beforeAll(async () => {
  client.exec(`create table customer (id integer primary key, name text, city text);
    create table invoice (id integer primary key, customer_id integer, total numeric);
    create table link (a integer, b text, primary key (a, b))`)
  audit = createAudit({
    database: fromBetterSqlite3(client),
    models: {
      customer: { label: '{name}', subject: 'id' },
      invoice: { subject: 'customer_id', category: 'billing', severity: 'high', tags: ['money', 'tax'] },
    },
    actors: { user: { model: 'customer', label: '{name} of {city}' } },
  })
  await audit.migrate()
  const ann = {
    actor: { id: 1, label: 'Ann' },
    tenant: 't1',
    request: { id: 'r1', ip: '10.0.0.1' },
    reason: '100% sure_thing',
  }
  await audit.withContext(ann, async () => {
    client.exec(`insert into customer values (1, 'O''Neil', 'Köln'), (2, 'Bo', 'Rome')`)
    client.exec(`update customer set city = 'Bonn' where id = 1`)
    await audit.logLoginAttempt({ username: 'ann', status: 'SUCCESS', durable: true })
  })
  await audit.withContext({ actor: { type: 'job', id: 'nightly' }, tenant: 't2' }, async () => {
    client.exec('insert into invoice values (7, 1, 1.10)')
    await audit.logAuditEvent({
      action: 'invoice.sent',
      target: { model: 'invoice', id: 7 },
      metadata: { note: 'Grüße "quoted"' },
      durable: true,
    })
  })
  client.exec(`insert into link values (1, 'x'), (1, 'y')`)
  await audit.logSystemEvent({ eventType: 'WARNING', title: 'disk', durable: true })
})
afterAll(async () => {
  await audit.close()
  client.close()
})

const found = async (filter: EntryFilter): Promise<string[]> =>
  (await audit.entries.find(filter)).entries
    .map(({ action, target }) => `${action} ${target ? `${target.model}/${target.id}` : ''}`.trim())
    .toReversed()

describe('finding entries on SQLite', () => {
  it.each<[string, EntryFilter, string[]]>([
    ['text beyond ASCII, ignoring case', { text: 'kÖLN' }, ['CREATE customer/1', 'UPDATE customer/1']],
    ['a very long text', { text: 'x'.repeat(60_000) }, []],
  ])('by %s', async (_name, filter, expected) => {
    expect(await found(filter)).toEqual(expected)
  })

  it('by transaction, one by its id or ref, and labels of actors', async () => {
    const [entry] = (await audit.entries.find({ action: 'CREATE', model: 'link' })).entries
    expect(await found({ tx: entry!.tx! })).toEqual(['CREATE link/["1","x"]', 'CREATE link/["1","y"]'])
    const [login] = (await audit.entries.find({ kind: 'login' })).entries
    expect(await audit.entries.get(login!.id)).toEqual(login)
    expect(await audit.entries.get(login!.ref!)).toEqual(login)
    expect(await audit.entries.get("x' or 1=1")).toBeUndefined()
    audit.withContext({ actor: { id: 2 } }, () =>
      client.exec('update customer set city = city || 1 where id = 2'),
    )
    expect((await audit.entries.find({ actor: '2' })).entries[0]!.actor!.label).toBe('Bo of Rome1')
  })

  it('counts for the summary', async () => {
    const summary = await audit.getAuditSummary({ days: 1, tenant: 't1' })
    expect(summary).toMatchObject({ total: 4, byKind: { change: 3, login: 1 }, logins: { success: 1 } })
    expect(summary.byDay).toEqual([{ name: new Date().toISOString().slice(0, 10), count: 4 }])
    expect(summary.byModel).toEqual([{ name: 'customer', count: 3 }])
  })

  it('shows exports, logins, requests and events in the views of their kind', async () => {
    const { ref, finish, downloaded } = await audit.logDataExport({
      exportType: 'customers',
      fileFormat: 'csv',
      durable: true,
    })
    await finish({ recordCount: 5, fileSize: 100 })
    await downloaded()
    await audit.flush()
    const event = await audit.logSystemEvent({ eventType: 'ERROR', title: 'down', durable: true })
    await audit.resolveSystemEvent(event.ref, { note: 'up again' })
    await audit.flush()
    const one = (sql: string): unknown => client.prepare(sql).get()
    expect(one(`select * from whodunit_data_exports where ref = '${ref}'`)).toMatchObject({
      export_type: 'customers', file_format: 'csv', record_count: 5, file_size: 100, downloads: 1, finished_at: expect.stringMatching(/Z$/),
    }) // prettier-ignore
    expect(one(`select * from whodunit_system_events where ref = '${event.ref}'`)).toMatchObject({
      event_type: 'ERROR', title: 'down', resolved: 1, resolution_note: 'up again',
    }) // prettier-ignore
    expect(one('select * from whodunit_login_attempts')).toMatchObject({
      username: 'ann',
      status: 'SUCCESS',
      ip: '10.0.0.1',
      actor_label: 'Ann',
    })
    expect(client.prepare('select * from whodunit_requests').all()).toEqual([])
    const entry = one(
      `select context, details, changes from whodunit_entries where action = 'invoice.sent'`,
    ) as Record<string, string>
    expect(JSON.parse(entry['context']!)).toMatchObject({
      actor: 'job:nightly',
      metadata: { note: 'Grüße "quoted"' },
    })
    expect(JSON.parse(entry['details']!)).toMatchObject({ tags: ['money', 'tax'] })
  })

  it('takes malformed texts for what they are', async () => {
    for (const text of ['{', '[1]', '"x"', 'nonsense', '1'])
      client
        .prepare(
          `insert into whodunit_entry (kind, action, details, context, changes, actor) values ('event', 'odd', ?, ?, ?, ?)`,
        )
        .run(text, `\n\n\n\n\n\n${text}`, text, text)
    expect((await audit.entries.find({ action: 'odd' })).entries).toHaveLength(5)
    expect(await audit.entries.find({ text: 'nothing like it', tag: 'x' })).toMatchObject({ entries: [] })
    expect((await audit.getAuditSummary({ days: 1 })).total).toBeGreaterThan(5)
    for (const view of ['entries', 'login_attempts', 'data_exports', 'system_events', 'requests'])
      client.prepare(`select * from whodunit_${view}`).all()
  })
})

describe('pages and feeds on SQLite', () => {
  it('neither repeat nor lose entries of equal times, while others are written [G1]', async () => {
    const world = await sqliteWorld('create table item (id integer primary key)')
    world.client.exec(
      'with recursive n (i) as (select 1 union all select i + 1 from n where i < 230) insert into item select i from n',
    )
    const seen: string[] = []
    for (let after: string | undefined; ;) {
      const page = await world.audit.entries.find(
        { model: 'item' },
        { limit: 50, ...(after ? { after } : {}) },
      )
      seen.push(...page.entries.map(({ target }) => target!.id!))
      world.client.exec('insert into item default values')
      if (!page.next) break
      after = page.next
    }
    expect(seen).toEqual(Array.from({ length: 230 }, (_, n) => String(230 - n)))
  })

  it('hands out what several processes commit, each entry once and in order', async () => {
    const world = await sqliteWorld('create table item (id integer primary key, note text)')
    const stop = new AbortController()
    const feed = world.audit.entries.follow('now', { interval: 5, signal: stop.signal })
    const seen: string[] = []
    const following = (async () => {
      for await (const entry of feed) seen.push(entry.id)
    })()
    const script = `import Database from ${JSON.stringify(import.meta.resolve('better-sqlite3'))}
      const db = new Database(${JSON.stringify(world.file)}); db.pragma('synchronous = off')
      for (let n = 0; n < 60; n++) { db.exec("begin immediate; insert into item (note) values ('x'), ('y')"); if (n % 3 === 0) await new Promise((go) => setTimeout(go, Math.random() * 3)); db.exec(n % 5 === 0 ? 'rollback' : 'commit') }`
    const node = fileURLToPath(new URL('../../node_modules/.bin/node', import.meta.url))
    const writers = [1, 2, 3].map(() =>
      spawn(node, ['--input-type=module', '-e', script], { stdio: ['ignore', 'ignore', 'inherit'] }),
    )
    const ended = Promise.all(writers.map(async (writer) => once(writer, 'exit')))
    for (let n = 0; n < 60; n++) {
      world.audit.withContext({ actor: { id: 'here' } }, () =>
        world.client.exec(`insert into item (note) values ('z')`),
      )
      if (n % 7 === 0) await world.audit.logAuditEvent({ action: 'noted' })
      await new Promise((go) => setTimeout(go, 2))
    }
    expect((await ended).map(([code]) => code)).toEqual([0, 0, 0])
    await world.audit.flush()
    const committed = world.other
      .prepare('select cast(id as text) from whodunit_entry where action <> ? order by id')
      .pluck()
      .all('MIGRATE')
    await expect.poll(() => seen.length, { timeout: 10_000 }).toBeGreaterThanOrEqual(committed.length)
    stop.abort()
    await following
    expect(seen).toEqual(committed)
    expect(committed).toHaveLength(3 * 48 * 2 + 60 + 9)
    expect(
      (await world.changes()).filter(
        ({ actor, changes }) => (actor?.id === 'here') !== (changes!['note']![1] === 'z'),
      ),
    ).toEqual([])
  })
})
