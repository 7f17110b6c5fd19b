import { mkdirSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { AuditLog } from '../../src/index.ts'
import { type Project, project } from './command-line.ts'
import { openShop, type Shop } from './shop.ts'

let shop: Shop
/** A folder without a configuration. */
let elsewhere: Project
beforeEach(async () => {
  shop = await openShop({ migrated: false })
  elsewhere = project()
})
afterEach(async () => {
  elsewhere.remove()
  await shop.close()
})

describe('migrate', () => {
  it('says what it would do, and does nothing', async () => {
    const { code, stdout } = await shop.run('migrate', '--dry-run')
    expect(code).toBe(0)
    expect(stdout).toContain('put capture on customer')
    expect((await shop.pool.query(`select to_regclass('whodunit.entry') as trail`)).rows).toEqual([
      { trail: null },
    ])
  })

  it('makes the trail, and finds everything in place the second time', async () => {
    expect((await shop.run('migrate')).stdout).toContain('put capture on customer')
    expect((await shop.run('migrate')).stdout).toMatch(
      /^Everything is in place\.\n2 tables audited, 0 skipped/,
    )
  })

  it('masks the same without the configuration file as with it', async () => {
    await shop.run('migrate')
    await shop.pool.query(`insert into customer values (1, 'Ann', 0, 'first secret')`)
    await shop.pool.query(`alter table customer add column token text`)
    const again = await elsewhere.run('migrate', '--database', shop.url)
    expect(again).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('brought up to date the capture of customer'),
    })
    await shop.pool.query(`insert into customer values (2, 'Bob', 0, 'second secret', 'third secret')`)
    const { rows } = await shop.pool.query(
      `select target_id, changes::text from whodunit.entries where model = 'customer' order by id`,
    )
    expect(rows.map(({ target_id }) => target_id)).toEqual(['1', '2'])
    for (const { changes } of rows) {
      expect(changes).not.toContain('secret')
      expect(JSON.parse(changes).notes).toEqual([null, { $: 'masked' }])
    }
  })

  it('connects by the pg that the project has installed', async () => {
    const installed = join(elsewhere.folder, 'node_modules', 'pg')
    mkdirSync(installed, { recursive: true })
    const original = JSON.stringify(createRequire(import.meta.url).resolve('pg'))
    writeFileSync(
      join(installed, 'index.js'),
      `console.error('the pg of the project')\nmodule.exports = require(${original})`,
    )
    const { code, stderr } = await elsewhere.run('status', '--database', shop.url)
    expect([code, stderr]).toEqual([1, 'the pg of the project\n'])
  })

  it('needs a policy from somewhere', async () => {
    const { code, stderr } = await elsewhere.run('migrate', '--database', shop.url)
    expect(code).toBe(2)
    expect(stderr).toMatch(/^AUDIT_POLICY_NONE: /)
  })

  it('answers in JSON', async () => {
    const { code, stdout } = await shop.run('migrate', '--json')
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({
      dryRun: false,
      warnings: [],
      tables: [
        { model: 'customer', state: 'audited' },
        { model: 'playlist_track', state: 'audited' },
      ],
    })
  })

  it('refuses a misspelt model with the nearest name, and changes nothing', async () => {
    shop.write('other.config.json', JSON.stringify({ url: shop.url, models: { custmer: {} } }))
    const { code, stderr } = await shop.run('migrate', '--config', 'other.config.json')
    expect(code).toBe(2)
    expect(stderr).toMatch(/^AUDIT_POLICY_UNKNOWN_MODEL: .*custmer.* Did you mean "customer"\?\n$/)
    expect((await shop.pool.query(`select to_regclass('whodunit.entry') as trail`)).rows).toEqual([
      { trail: null },
    ])
  })
})

describe('status', () => {
  const states = async (): Promise<[number | null, Record<string, string>]> => {
    const { code, stdout } = await shop.run('status', '--json')
    const { tables } = JSON.parse(stdout) as { tables: { model: string; state: string }[] }
    return [code, Object.fromEntries(tables.map(({ model, state }) => [model, state]))]
  }

  it('is 1 before there is a trail', async () => {
    expect(await shop.run('status')).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('There is no trail yet'),
    })
  })

  it('is 0 when every table is audited', async () => {
    await shop.run('migrate')
    expect(await states()).toEqual([0, { customer: 'audited', playlist_track: 'audited' }])
    const { code, stdout } = await shop.run('status')
    expect(code).toBe(0)
    expect(stdout).toMatch(/^trail {5}version \d+\npolicy {4}[0-9a-f]{12}\naudited {3}customer\n/)
  })

  it('is 1 and says drifted after a column was added, until migrate', async () => {
    await shop.run('migrate')
    await shop.pool.query('alter table customer add column fax text')
    expect(await states()).toEqual([1, { customer: 'drifted', playlist_track: 'audited' }])
    await shop.run('migrate')
    expect(await states()).toEqual([0, { customer: 'audited', playlist_track: 'audited' }])
  })

  it('is 1 and says off after a trigger was disabled, until migrate', async () => {
    await shop.run('migrate')
    await shop.pool.query('alter table customer disable trigger all')
    expect(await states()).toEqual([1, { customer: 'off', playlist_track: 'audited' }])
    await shop.run('migrate')
    expect(await states()).toEqual([0, { customer: 'audited', playlist_track: 'audited' }])
  })

  it('is 1 and says missing after a table was made, until migrate', async () => {
    await shop.run('migrate')
    await shop.pool.query('create table invoice (id int primary key)')
    expect(await states()).toEqual([
      1,
      { customer: 'audited', invoice: 'missing', playlist_track: 'audited' },
    ])
    await shop.run('migrate')
    expect((await states())[0]).toBe(0)
  })

  it('is 1 after the configuration was changed, until migrate', async () => {
    await shop.run('migrate')
    shop.write(
      'whodunit.config.ts',
      `export default { url: process.env.SHOP_URL, skipModels: ['playlist_track'] }`,
    )
    expect(await shop.run('status')).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('configuration was changed since migrate'),
    })
    await shop.run('migrate')
    expect(await states()).toEqual([0, { customer: 'audited', playlist_track: 'skipped' }])
  })
})

describe('status, where failures are let through', () => {
  const from = '2026-11-24 11:02:03.5+00'

  it('is 1 and counts what went unrecorded, until migrate says so by entries', async () => {
    shop.write('whodunit.config.ts', `export default { url: process.env.SHOP_URL, onCaptureError: 'report' }`)
    await shop.run('migrate')
    await shop.pool.query('alter table whodunit.change rename to gone')
    await shop.pool.query(`insert into customer values (1, 'Ann', 0, null), (2, 'Bob', 0, null)`)
    await shop.pool.query('insert into playlist_track values (1, 1)')
    await shop.pool.query('alter table whodunit.gone rename to change')
    await shop.pool.query('update whodunit.unrecorded set at = $1 where model = $2', [from, 'customer'])

    const sentence = '2 changes of customer were let through unrecorded since 2026-11-24 11:02 UTC (42P01)'
    const text = await shop.run('status')
    expect([text.code, text.stderr]).toEqual([1, ''])
    expect(text.stdout).toContain(
      `\nlost      ${sentence}\nlost      1 change of playlist_track was let through`,
    )
    const json = await shop.run('status', '--json')
    expect(json.code).toBe(1)
    const at = new Date(from).toISOString()
    expect(JSON.parse(json.stdout).unrecorded).toMatchObject([
      { model: 'customer', changes: 2, since: at, until: at, causes: ['42P01'] },
      { model: 'playlist_track', changes: 1 },
    ])

    expect((await shop.run('migrate', '--dry-run')).stdout).toContain(`  ${sentence}`)
    expect((await shop.run('migrate')).stdout).toContain(sentence)
    expect((await shop.run('status')).code).toBe(0)
    const log = await shop.run('log', '--action', 'UNRECORDED', '--json')
    const entries: AuditLog[] = JSON.parse(log.stdout)
    expect(
      entries.map(({ target, details }) => [target!.model, details['operation'], details['changes']]),
    ).toEqual([
      ['playlist_track', 'INSERT', 1],
      ['customer', 'INSERT', 2],
    ])
    expect(entries[1]).toMatchObject({ severity: 'high', details: { cause: '42P01', since: at, until: at } })
    expect((await shop.run('log', 'customer')).stdout).toContain('UNRECORDED')
  })
})

describe('uninstall', () => {
  const trail = async (): Promise<boolean> =>
    (await shop.pool.query(`select to_regclass('whodunit.entry') is not null as yes`)).rows[0].yes
  const triggers = async (): Promise<number> =>
    (await shop.pool.query(`select from pg_trigger where tgname like '!whodunit%'`)).rows.length

  beforeEach(async () => {
    await shop.run('migrate')
    await shop.pool.query(`insert into customer values (1, 'Ann', 0, null)`)
  })

  it('removes the triggers and keeps the trail', async () => {
    const { code, stdout } = await shop.run('uninstall')
    expect(code).toBe(0)
    expect(stdout).toContain('The trail was kept')
    expect(await triggers()).toBe(0)
    await shop.pool.query(`insert into customer values (2, 'Bob', 0, null)`)
    expect((await shop.run('log', 'customer', '--json')).stdout.match(/"action":"CREATE"/g)).toHaveLength(1)
  })

  it('removes the trail only with --trail and --yes', async () => {
    expect(await shop.run('uninstall', '--trail')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^AUDIT_CLI_USAGE: .*--yes/),
    })
    expect([await trail(), await triggers()]).toEqual([true, 4])
    expect(await shop.run('uninstall', '--trail', '--yes')).toMatchObject({ code: 0, stderr: '' })
    expect([await trail(), await triggers()]).toEqual([false, 0])
    await shop.pool.query(`insert into customer values (3, 'Cid', 0, null)`)
  })
})
