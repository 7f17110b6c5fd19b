import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { AuditEntry } from '../../src/index.ts'
import { openShop, type Shop, workADay } from './shop.ts'

let shop: Shop
beforeAll(async () => {
  shop = await openShop()
  await workADay(shop)
})
afterAll(() => shop.close())

const json = async (...args: string[]): Promise<AuditEntry[]> => {
  const { code, stdout, stderr } = await shop.run('log', ...args, '--json')
  expect([code, stderr]).toEqual([0, ''])
  return JSON.parse(stdout) as AuditEntry[]
}

describe('log', () => {
  it('prints one line an entry, newest first, with what does not fit, and the reason, below', async () => {
    const { code, stdout } = await shop.run('log', '--model', 'customer', '--actor', 'user:42')
    expect(code).toBe(0)
    const [view, viewReason, update, updateReason, create, created] = stdout.split('\n')
    expect(view).toMatch(/ann@shop +VIEW +customer\/1/)
    expect(viewReason).toBe('    reason: customer called')
    expect(update).toMatch(
      /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d {2}ann@shop +UPDATE +customer\/1 \(Ann\) {2}balance: 1\.10 -> 1\.1 {2}from 1\.2\.3\.4$/,
    )
    expect(updateReason).toBe(viewReason)
    expect(create).toMatch(/ann@shop +CREATE +customer\/1 \(Ann\) {2}from/)
    expect(created).toMatch(/^ {4}id: 1, name: Ann/)
  })

  it.each<[string, string[], string[]]>([
    ['kind, in one list', ['--kind', 'login,system'], ['ERROR', 'LOGIN']],
    ['kind, repeated', ['--kind', 'login', '--kind', 'system'], ['ERROR', 'LOGIN']],
    ['model', ['--model', 'playlist_track'], ['CREATE']],
    ['a lone model', ['playlist_track'], ['CREATE']],
    ['actor and age', ['--actor', 'job:nightly', '--since', '1h', '--action', 'DELETE'], ['DELETE']],
    ['request and tenant', ['--request', 'r1', '--tenant', 'acme'], ['VIEW', 'UPDATE', 'CREATE']],
    ['date', ['--until', '2020-01-01'], []],
    ['object and action', ['customer/1', '--action', 'UPDATE'], ['UPDATE']],
  ])('filters by %s', async (_what, args, actions) => {
    expect((await json(...args)).map(({ action }) => action)).toEqual(actions)
  })

  it('answers in JSON with one array of everything, times as ISO text', async () => {
    const all = await json()
    expect(all.length).toBeGreaterThanOrEqual(9)
    expect(all[0]!.at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    expect(await json('--action', 'NOTHING')).toEqual([])
  })

  it('goes on from page to page, also where the bound is an age', async () => {
    const all = (await json('--since', '1h')).map(({ id }) => id)
    const seen: string[] = []
    const args: Record<string, string> = { '--since': '1h' }
    for (let more: RegExpExecArray | null | undefined; more !== null;) {
      const { stdout, stderr } = await shop.run(
        'log',
        '--json',
        '--limit',
        '4',
        ...Object.entries(args).flat(),
      )
      seen.push(...(JSON.parse(stdout) as AuditEntry[]).map(({ id }) => id))
      more = /repeat the command with (.*)\n/.exec(stderr)
      for (const [, name, value] of more?.[1]!.matchAll(/(--\w+) (\S+)/g) ?? []) args[name!] = value!
    }
    expect(seen).toEqual(all)
  })

  it('tells on stderr that there is nothing', async () => {
    expect(await shop.run('log', '--model', 'nobody')).toEqual({
      code: 0,
      stdout: '',
      stderr: 'No entries.\n',
    })
  })

  it('shows the history of one object, also under its earlier key', async () => {
    await shop.pool.query(`insert into customer values (8, 'Moved', 0, null)`)
    await shop.pool.query(`update customer set id = 9 where id = 8`)
    expect((await json('customer/9')).map(({ action, target }) => [action, target!.id])).toEqual([
      ['UPDATE', '8'],
      ['CREATE', '8'],
    ])
    expect(await shop.run('log', 'customer/9', '--limit', '1')).toMatchObject({
      stdout: expect.stringMatching(/^.*UPDATE.*\n$/),
      stderr: expect.stringContaining('--limit 2'),
    })
  })

  it('finds an object by a composite key, and by a key with slashes', async () => {
    for (const key of ['["1","2"]', '[1, 2]']) expect(await json(`playlist_track/${key}`)).toHaveLength(1)
    await shop.audit.logAuditEvent({ action: 'read', target: { model: 'file', id: 'a/b/c' } })
    await shop.audit.flush()
    expect(await json('file/a/b/c')).toHaveLength(1)
  })

  it('ends quietly when its reader goes away', async () => {
    const child = shop.start('log', '--json')
    child.stdout!.destroy()
    child.stderr!.setEncoding('utf8').on('data', (text) => expect(text).toBe(''))
    expect((await once(child, 'close'))[0]).toBe(0)
  })
})

describe('tail', () => {
  it('prints the newest entries, the oldest of them first', async () => {
    const newest = (await json()).slice(0, 3).map(({ id }) => id)
    const { stdout } = await shop.run('tail', '--limit', '3', '--json')
    expect(
      stdout
        .trimEnd()
        .split('\n')
        .map((line) => (JSON.parse(line) as AuditEntry).id),
    ).toEqual(newest.toReversed())
  })

  it('with --follow prints what is committed later, if it meets the filter, until SIGINT', async () => {
    const child = shop.start(
      'tail',
      '--follow',
      '--json',
      '--model',
      'customer',
      '--changed',
      'name',
      '--limit',
      '1',
    )
    const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]()
    const next = async (): Promise<AuditEntry> =>
      JSON.parse((await lines.next()).value as string) as AuditEntry
    expect((await next()).target!.model).toBe('customer')
    const client = await shop.pool.connect()
    await client.query('begin')
    await client.query(`insert into customer values (20, 'Late', 0, null)`) // lower id, later commit
    await shop.pool.query(`insert into playlist_track values (20, 20)`)
    await shop.pool.query(`insert into customer values (21, 'Early', 0, null)`)
    expect((await next()).target!.id).toBe('21')
    await client.query('commit')
    client.release()
    expect((await next()).target!.id).toBe('20')
    child.kill('SIGINT')
    expect(await once(child, 'close')).toEqual([0, null])
  })
})

describe('summary', () => {
  it('counts for people', async () => {
    const { code, stdout } = await shop.run('summary', '--days', '1', '--tenant', 'acme')
    expect(code).toBe(0)
    expect(stdout).toMatch(/^entries {3}3 from /)
    expect(stdout).toMatch(/\nkinds {5}change 2, event 1\n/)
    expect(stdout).toMatch(/\nactors {4}user:42 3\n/)
  })

  it('answers in JSON', async () => {
    const { stdout } = await shop.run('summary', '--json')
    expect(JSON.parse(stdout)).toMatchObject({ logins: { failed: 1 }, errors: 1, unresolved: 1 })
  })
})
