import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { userInfo } from 'node:os'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { AuditEntry } from '../../src/index.ts'
import { finished } from './command-line.ts'
import { openShop, type Shop, workADay } from './shop.ts'

let shop: Shop
beforeAll(async () => {
  shop = await openShop()
  await workADay(shop)
})
afterAll(() => shop.close())

const exports = async (): Promise<AuditEntry[]> =>
  JSON.parse((await shop.run('log', '--kind', 'export', '--json')).stdout) as AuditEntry[]

describe('export', () => {
  it('writes CSV: one header and one line an entry, no formula', async () => {
    const { code, stdout } = await shop.run('export', '--format', 'csv', '--kind', 'change')
    expect(code).toBe(0)
    const lines = stdout.trimEnd().split('\n')
    expect(lines).toHaveLength(1 + 5)
    expect(lines[0]).toMatch(/^id,ref,at,kind,action,model,/)
    expect(stdout).toContain(`,'=1+1,`)
    expect(stdout).not.toContain('secret')
  })

  it('writes a header alone where there is nothing', async () => {
    const { stdout } = await shop.run('export', '--format', 'csv', '--action', 'NOTHING')
    expect(stdout.trimEnd().split('\n')).toHaveLength(1)
  })

  it('writes JSON lines to a file', async () => {
    const { code, stdout, stderr } = await shop.run(
      'export',
      '--format',
      'jsonl',
      '--kind',
      'change',
      '--out',
      'trail.jsonl',
    )
    expect([code, stdout]).toEqual([0, ''])
    const text = readFileSync(join(shop.folder, 'trail.jsonl'), 'utf8')
    const entries = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as AuditEntry)
    expect(entries.map(({ action }) => action)).toEqual(['DELETE', 'CREATE', 'CREATE', 'UPDATE', 'CREATE'])
    expect(stderr).toBe(`5 entries, ${Buffer.byteLength(text)} bytes written to trail.jsonl\n`)
  })

  it('is itself in the trail: who, what, how much; and never in its own file', async () => {
    const { stdout } = await shop.run('export', '--format', 'csv', '--limit', '2')
    const [end, start] = await exports()
    const actor = { type: 'user', id: userInfo().username }
    expect(start).toMatchObject({
      action: 'EXPORT',
      actor,
      origin: 'cli',
      details: { exportType: 'audit trail', fileFormat: 'csv' },
    })
    expect(end).toMatchObject({
      action: 'EXPORT_FINISHED',
      actor,
      details: { about: start!.ref, recordCount: 2, fileSize: Buffer.byteLength(stdout) },
    })
    expect(stdout).not.toContain(start!.ref)
  })

  it('goes on, with a warning, where the role may not write', async () => {
    const reader = await shop.createRole()
    await shop.pool.query(`grant whodunit_reader to ${reader.name}`)
    const before = await exports()
    const { code, stdout, stderr } = await shop.run(
      'export',
      '--format',
      'csv',
      '--kind',
      'change',
      '--database',
      reader.url,
    )
    expect(code).toBe(0)
    expect(stdout.trimEnd().split('\n')).toHaveLength(6)
    expect(stderr).toMatch(/^warning: this export is not recorded in the trail: AUDIT_DATABASE_RIGHTS: .*\n$/)
    expect(await exports()).toEqual(before)
  })

  it('ends quietly when its reader goes away, and records how far it came', async () => {
    await shop.pool.query(
      `insert into customer select g, repeat('x', 400), 0, null from generate_series(1000, 4000) g`,
    )
    const child = shop.start('export', '--format', 'jsonl')
    child.stdout!.once('data', () => child.stdout!.destroy())
    expect(await finished(child)).toMatchObject({ code: 0, stderr: '' })
    const [end] = await exports()
    expect(end!.action).toBe('EXPORT_FINISHED')
    const { recordCount } = end!.details as { recordCount: number }
    expect(recordCount).toBeGreaterThan(0)
    expect(recordCount).toBeLessThan(3_000)
  })

  it('refuses a format it does not know, --json, and a file that it cannot write', async () => {
    for (const args of [
      [],
      ['--format', 'xml'],
      ['--format', 'csv', '--json'],
      ['--format', 'csv', '--out', 'no/such/folder.csv'],
    ]) {
      expect(await shop.run('export', ...args)).toMatchObject({
        code: 2,
        stdout: '',
        stderr: expect.stringMatching(/^AUDIT_CLI_USAGE: /),
      })
    }
  })
})
