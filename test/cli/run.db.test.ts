import { once } from 'node:events'
import { createRequire } from 'node:module'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it, test, vi } from 'vitest'
import type { AuditEntry } from '../../src/index.ts'
import { hasPgbouncer, startPgbouncer } from '../driver/pgbouncer.ts'
import { finished, node, project } from './command-line.ts'
import { config, openShop, type Shop } from './shop.ts'

const pg = JSON.stringify(createRequire(import.meta.url).resolve('pg'))
const sources = (path: string) => JSON.stringify(fileURLToPath(new URL(`../../src/${path}`, import.meta.url)))

/** A migration tool of two lines: SQL through node-postgres, by the URL that it finds in a variable. */
const tool = `
  const { Client } = require(${pg})
  const [, , sql, code = '0'] = process.argv
  const client = new Client(process.env.TOOL_URL)
  client.connect().then(() => client.query(sql)).then(() => client.end()).then(() => process.exit(Number(code)))`

vi.setConfig({ testTimeout: 120_000 }) // each command is a process of its own

let shop: Shop
beforeEach(async () => {
  shop = await openShop({ migrated: false })
  shop.write('tool.cjs', tool)
})
afterEach(async () => shop.close())

/** The shop's project with another configuration and variables of its own. */
function projectOf(policy: string, env: Record<string, string> = {}) {
  const made = project({ SHOP_URL: shop.url, TOOL_URL: shop.url, ...env })
  made.write('tool.cjs', tool)
  made.write('whodunit.config.ts', config.replace('models:', `${policy} models:`))
  return made
}

async function changes(): Promise<AuditEntry[]> {
  const found: AuditEntry[] = []
  for await (const entry of shop.audit.entries.stream()) if (entry.action !== 'MIGRATE') found.push(entry)
  return found.toReversed()
}

const states = async () =>
  Object.fromEntries((await shop.audit.status()).tables.map(({ model, state }) => [model, state]))

describe('run', () => {
  it('runs a tool before there is a trail, migrates behind it, and skips what the next one writes', async () => {
    const { run, remove } = projectOf('')
    const first = await run('run', '--', node, 'tool.cjs', `create table invoice (id int primary key, paid bool); insert into customer values (1, 'Ann', 0, null)`)
    expect(first).toMatchObject({ code: 0, stdout: '', stderr: expect.stringContaining('whodunit: put capture on invoice') }) // prettier-ignore
    expect(await changes()).toEqual([])

    const sql = `alter table customer add fax text; update customer set fax = 'api_key=s3cret'; insert into customer values (2, 'Bob', 0, null), (3, 'Cid', 0, null); insert into invoice values (1, true)`
    expect(await run('run', '--', node, 'tool.cjs', sql, '7')).toMatchObject({
      code: 7,
      stderr: expect.stringMatching(/brought up to date the capture of customer\n.*tool.cjs ended with 7;/),
    })
    expect(await states()).toEqual({ customer: 'audited', invoice: 'audited', playlist_track: 'audited' })
    const entries = await changes()
    expect(entries.map(({ action, target }) => `${action} ${target?.model}`).toSorted()).toEqual([
      'SKIPPED customer',
      'SKIPPED invoice',
    ])
    for (const entry of entries) {
      expect(entry).toMatchObject({ origin: 'migration', app: null, actor: { type: 'job', id: 'tool.cjs', onBehalfOf: { type: 'user' } } })
      expect(entry.reason).toMatch(/tool\.cjs alter table customer .*api_key=\*\*\*/)
      expect(entry.request?.id).toBe(entries[0]!.request!.id)
    } // prettier-ignore
    remove()
  }) // prettier-ignore

  it('records what a tool writes where the policy says so, or forbids to skip; a context of the tool wins', async () => {
    shop.write('whodunit.config.ts', config.replace('models:', `migrations: 'record', models:`))
    await shop.run('migrate')
    const script = `
      import pg from ${pg.replace(/lib\/index\.js/, 'esm/index.mjs')}
      import { createAudit } from ${sources('index.ts')}
      import { fromPg } from ${sources('database/postgres.ts')}
      const audit = createAudit({ database: fromPg(new pg.Pool({ connectionString: process.env.SHOP_URL })) })
      await audit.client.query("insert into customer values (1, 'Ann', 0, null)")
      await audit.withContext({ actor: { type: 'job', id: 'seed' } }, () => audit.client.query("insert into customer values (2, 'Bob', 0, null)"))
      await audit.client.query('delete from customer where id = 1')
      await audit.migrate() // inside of the run, which waits for it
      await audit.close()
      await audit.client.end()`
    shop.write('seed.ts', script)
    expect(await shop.run('run', '--', node, 'seed.ts')).toMatchObject({ code: 0 })
    expect((await changes()).map(({ action, actor, origin, target }) => [action, target?.id, actor?.id, origin])).toEqual([
      ['CREATE', '1', 'seed.ts', 'migration'],
      ['CREATE', '2', 'seed', 'app'],
      ['DELETE', '1', 'seed.ts', 'migration'],
    ]) // prettier-ignore

    // without a configuration the policy is the stored one: it still records, and still masks
    const elsewhere = project()
    const psql = ['psql', shop.url, '-qc', `insert into customer values (3, 'Cid', 0, 'hidden')`]
    expect(await elsewhere.run('run', '--database', shop.url, '--', ...psql)).toMatchObject({
      code: 0,
      stderr: '',
    })
    elsewhere.remove()
    const { run, remove } = projectOf('allowSkip: false,')
    await run('migrate')
    await run('run', '--', 'psql', shop.url, '-qc', 'delete from customer where id = 2')
    remove()
    expect((await changes()).slice(3).map(({ action, actor, changes: pairs }) => [action, actor?.id, pairs?.['notes']])).toEqual([
      ['CREATE', 'psql', [null, { $: 'masked' }]],
      ['DELETE', 'psql', [null, null]],
    ]) // prettier-ignore
  })

  it('keeps other runs and migrations out, until it ends or is killed, but no schema change and no writer', async () => {
    await shop.run('migrate')
    await shop.pool.query(
      `do $$ begin execute format('alter database %I set default_transaction_isolation = ''repeatable read''', current_database()); end $$`,
    )
    shop.write('slow.cjs', `console.log(process.pid); setTimeout(() => {}, 60_000)`)
    const slow = shop.start('run', '--', node, 'slow.cjs')
    const [pid] = (await once(slow.stdout!, 'data')) as [Buffer]
    await shop.pool.query(`set lock_timeout = '2s'; insert into customer values (1, 'Ann', 0, null)`)
    await shop.pool.query('create index concurrently on customer (name)')
    const [second, migrate] = await Promise.all([
      shop.run('run', '--wait', '1', '--', node, '-e', `console.log('never')`),
      shop.run('migrate'),
    ])
    expect([second, migrate]).toMatchObject([
      { code: 2, stdout: '', stderr: expect.stringContaining('AUDIT_DATABASE_LOCKED: Another whodunit run') },
      { code: 2, stderr: expect.stringContaining('AUDIT_DATABASE_LOCKED: Another whodunit run') },
    ])
    await shop.pool.query('alter table customer add fax text')
    const next = finished(shop.start('run', '--', node, '-e', `console.log('its turn')`))
    await sleep(200)
    slow.kill('SIGKILL')
    expect(await next).toMatchObject({ code: 0, stdout: 'its turn\n' })
    process.kill(Number(pid), 'SIGKILL') // who is killed cannot end what it started
  }) // prettier-ignore

  it('hands signals to the tool, and migrates all the same when its lock is lost', async () => {
    await shop.run('migrate')
    const { start, remove, write } = projectOf('')
    write('slow.cjs', `${tool.replace(/client\.connect[^]*/, '')}
      client.connect().then(() => client.query(sql)).then(() => console.log('done'))`)
    const child = start('run', '--', node, 'slow.cjs', 'create table refund (id int primary key)')
    const ended = finished(child)
    await once(child.stdout!, 'data')
    await shop.pool.query(`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()
      and application_name = 'whodunit' and state = 'idle in transaction'`)
    child.kill('SIGTERM')
    const { code, stderr } = await ended
    expect(code).toBe(143)
    expect(stderr).toContain('the lock was lost')
    expect(stderr).toContain('put capture on refund')
    expect(stderr).toContain('slow.cjs was ended by SIGTERM')
    remove()
  }) // prettier-ignore

  it('says both when the tool has done its work and migrating fails, or the tool is not there', async () => {
    const { run, remove } = projectOf('')
    const done = await run('run', '--', node, 'tool.cjs', 'alter table customer rename notes to remarks')
    expect(done.code).toBe(2)
    expect(done.stderr).toMatch(/AUDIT_POLICY_UNKNOWN_COLUMN: .*notes.*\n.*tool\.cjs ended with 0, its work is done; .*failed/)
    const failed = await run('run', '--', node, 'tool.cjs', 'select 1', '3')
    expect(failed).toMatchObject({ code: 3, stderr: expect.stringMatching(/UNKNOWN_COLUMN.*\n.*ended with 3;/) })
    expect(await run('run', '--', 'no-such-tool')).toMatchObject({
      code: 127,
      stderr: expect.stringContaining('no-such-tool could not be started (ENOENT)'),
    })
    remove()
    const elsewhere = project()
    expect(await elsewhere.run('run', '--database', shop.url, '--', node, '-e', `console.log('never')`)).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringMatching(/^AUDIT_POLICY_NONE: /),
    })
    elsewhere.remove()
  }) // prettier-ignore

  it('takes the triggers off where they are in the way, each with an entry, and puts them back', async () => {
    await shop.run('migrate')
    await shop.pool.query(`create table sale (id int, region text, primary key (id, region)) partition by list (region);
      create table sale_eu (like sale including all)`)
    await shop.run('migrate')
    const attach = `alter table sale attach partition sale_eu for values in ('eu'); insert into sale values (1, 'eu')`
    expect((await shop.run('run', '--', 'psql', shop.url, '-qc', attach)).code).toBe(1)
    const { code, stderr } = await shop.run('run', '--lift', '--', 'psql', shop.url, '-qc', attach)
    expect([code, stderr]).toEqual([0, expect.stringContaining('put capture on sale\n')])
    await shop.pool.query(`update sale set id = 2`)
    expect(await states()).toEqual({ customer: 'audited', playlist_track: 'audited', sale: 'audited' })
    expect((await changes()).map(({ action, target, reason }) => [action, target?.model, reason?.slice(0, 4) ?? null])).toEqual([
      ['SKIPPED', 'customer', 'psql'],
      ['SKIPPED', 'playlist_track', 'psql'],
      ['SKIPPED', 'sale', 'psql'],
      ['SKIPPED', 'sale_eu', 'psql'],
      ['UPDATE', 'sale', null],
    ])
  }) // prettier-ignore
})

test.skipIf(!hasPgbouncer)('behind PgBouncer the lock holds, and a mark that it refuses is no reason to stop', async () => {
  await shop.run('migrate')
  const bouncer = await startPgbouncer(shop.url)
  const { run, start, remove } = projectOf('', { SHOP_URL: bouncer.url(shop.url), TOOL_URL: bouncer.url(shop.url) })
  try {
    const slow = start('run', '--', node, '-e', `console.log('working'); setTimeout(() => {}, 60_000)`)
    const ended = finished(slow)
    await once(slow.stdout!, 'data')
    expect((await run('run', '--wait', '1', '--', node, '-e', '')).stderr).toContain('AUDIT_DATABASE_LOCKED')
    slow.kill('SIGTERM')
    expect(await ended).toMatchObject({ code: 143, stderr: expect.stringContaining('takes no mark') })
    const { code, stderr } = await run('run', '--', node, 'tool.cjs', `insert into customer values (1, 'Ann', 0, null)`)
    expect([code, stderr]).toEqual([0, expect.stringMatching(/takes no mark: .*give the direct port/)])
    expect(await changes()).toMatchObject([{ action: 'CREATE', actor: null, origin: 'sql' }])
  } finally {
    remove()
    await bouncer.stop()
  }
}) // prettier-ignore
