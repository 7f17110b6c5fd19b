import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { finished, type Project, project } from './command-line.ts'
import { config, tables } from './shop.ts'

let folder: Project
/** Another program, which knows nothing of the trail. */
const sql = (text: string): unknown[] => {
  const database = new DatabaseSync(join(folder.folder, 'shop.db'))
  try {
    const statements = text.split(';').map((one) => database.prepare(one))
    return statements.map((statement) => statement.all()).at(-1)!
  } finally {
    database.close()
  }
}

beforeAll(() => {
  folder = project({ SHOP_URL: 'sqlite:./shop.db' })
  folder.write('whodunit.config.ts', config)
  sql(tables)
})
afterAll(() => folder.remove())

describe('the command line on a file of SQLite', () => {
  it('sets up, masks, reads, exports and uninstalls', { timeout: 120_000 }, async () => {
    expect(await folder.run('status')).toMatchObject({ code: 1 })
    expect(await folder.run('migrate')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('put capture on customer'),
    })
    expect(await folder.run('status')).toMatchObject({ code: 0 })
    sql(`insert into customer values (1, 'Ann', 1.10, 'a secret'); alter table customer add column fax text`)
    expect(await folder.run('status')).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('drifted   customer'),
    })
    expect(
      await folder.run('migrate', '--database', `sqlite:${join(folder.folder, 'shop.db')}`),
    ).toMatchObject({ code: 0 })
    sql(`insert into customer values (2, 'Bob', 0, 'a secret', '1')`)

    const { stdout } = await folder.run('log', 'customer', '--json')
    expect(stdout).not.toContain('secret')
    const changes = { notes: [null, { $: 'masked' }] }
    expect(JSON.parse(stdout)).toMatchObject([
      { target: { id: '2', label: 'Bob' }, changes },
      { target: { id: '1', label: 'Ann' }, changes },
    ])
    expect((await folder.run('log', 'customer/2', '--json')).stdout).toContain('"Bob"')
    expect(
      (await folder.run('export', '--format', 'csv', '--kind', 'change')).stdout.trimEnd().split('\n'),
    ).toHaveLength(3)
    expect(JSON.parse((await folder.run('summary', '--json')).stdout)).toMatchObject({
      byKind: { change: 2, export: 2 },
      exports: 1,
    })
    expect((await folder.run('tail', '--json')).stdout).toContain('"Ann"')
    expect(await folder.run('uninstall', '--trail', '--yes')).toMatchObject({ code: 0 })
    expect(sql(`select name from sqlite_master where name like '%whodunit%'`)).toEqual([])
  })

  it('follows what other programs write meanwhile', { timeout: 60_000 }, async () => {
    await folder.run('migrate')
    const child = folder.start('tail', '--follow', '--json')
    const done = finished(child)
    let seen = ''
    child.stdout!.on('data', (text: string) => (seen += text))
    let row = 100
    await expect
      .poll(
        () => {
          sql(`insert into customer (id, name) values (${++row}, 'Cat')`)
          return seen.includes('"Cat"')
        },
        { timeout: 30_000, interval: 200 },
      )
      .toBe(true)
    child.kill('SIGTERM')
    await done
  })

  it('makes no new database where there is none, and refuses what is no database', async () => {
    expect(await folder.run('migrate', '--database', 'sqlite:./nowhere.db')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^AUDIT_DATABASE_URL: .*nowhere.db does not exist/),
    })
    expect(await folder.run('log', '--database', 'sqlite:.')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^AUDIT_DATABASE_URL: .*is no file/),
    })
    folder.write('text.db', 'this is no database, but long enough to be looked at as one'.repeat(20))
    expect(await folder.run('status', '--database', 'sqlite:text.db')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^AUDIT_DATABASE_UNREACHABLE: .*not a database/),
    })
  })
})
