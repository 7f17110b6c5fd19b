import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freshMariadb, hasMariadb, type MariadbDatabase } from '../harness/mariadb.ts'
import { type Project, project } from './command-line.ts'

describe.skipIf(!hasMariadb)('the command line on MariaDB', () => {
  let database: MariadbDatabase
  let folder: Project
  beforeAll(async () => {
    database = await freshMariadb()
    await database.sql(
      `create table customer (id int auto_increment primary key, name varchar(50), credit decimal(10,2), notes text);
       create table \`_prisma_migrations\` (id int primary key)`,
    )
    folder = project({ SHOP_URL: database.url })
    folder.write(
      'whodunit.config.json',
      JSON.stringify({
        url: database.url,
        models: { customer: { label: '{name}', redact: { notes: 'mask' } } },
      }),
    )
  })
  afterAll(async () => {
    folder?.remove()
    await database?.drop()
  })

  it(
    'sets up, tells the state, reads, follows up with a change of the table, and uninstalls',
    { timeout: 240_000 },
    async () => {
      expect(await folder.run('status')).toMatchObject({ code: 1 })
      const migrated = await folder.run('migrate')
      expect(migrated).toMatchObject({ code: 0, stdout: expect.stringContaining('put capture on customer') })
      expect(migrated.stderr.match(/TRUNCATE/g)).toHaveLength(1)
      expect(await folder.run('status')).toMatchObject({
        code: 0,
        stdout: expect.stringContaining('1 audited, 1 skipped'),
      })
      await database.sql(`insert into customer (name, credit, notes) values ('Ann', 1.10, 'a secret')`)
      await database.sql(`alter table customer add column fax varchar(20)`)
      expect(await folder.run('status')).toMatchObject({
        code: 1,
        stdout: expect.stringContaining('drifted   customer'),
      })
      expect(
        await folder.run('migrate', '--database', database.url.replace('mysql:', 'mariadb:')),
      ).toMatchObject({ code: 0 })

      const { stdout } = await folder.run('log', 'customer', '--json')
      expect(stdout).not.toContain('secret')
      expect(JSON.parse(stdout)).toMatchObject([
        {
          target: { id: '1', label: 'Ann' },
          changes: { credit: [null, '1.10'], notes: [null, { $: 'masked' }] },
        },
      ])
      expect(JSON.parse((await folder.run('summary', '--json')).stdout)).toMatchObject({
        byModel: [{ name: 'customer', count: 1 }],
      })
      expect((await folder.run('export', '--format', 'csv')).stdout).toContain('Ann')
      expect(await folder.run('uninstall')).toMatchObject({ code: 0 })
      expect(
        await database.sql(`select 1 from information_schema.triggers where event_object_table = 'customer'`),
      ).toEqual([])
    },
  )

  it('says what is wrong with a URL or a server, and shows no password', async () => {
    const url = new URL(database.url)
    url.username = 'nobody'
    url.password = 's3cret'
    for (const [given, code] of [
      [url.href, 'AUDIT_DATABASE_UNREACHABLE'],
      ['mysql://u:s3cret@127.0.0.1:1/d', 'AUDIT_DATABASE_UNREACHABLE'],
      ['mysql://u:s3cret/x@h/d', 'AUDIT_DATABASE_URL'],
      [database.url.replace(database.name, ''), 'AUDIT_DATABASE_URL'],
    ] as const) {
      const { code: exit, stderr } = await folder.run('status', '--database', given)
      expect([exit, stderr.split(':')[0]]).toEqual([2, code])
      expect(stderr).not.toContain('s3cret')
    }
  })
})
