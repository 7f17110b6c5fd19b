import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freshMariadb, hasMariadb, type MariadbDatabase } from '../harness/mariadb.ts'
import { node, type Project, project } from './command-line.ts'
import { config } from './shop.ts'

describe.skipIf(!hasMariadb)('run on MariaDB', () => {
  let database: MariadbDatabase
  let folder: Project
  beforeAll(async () => {
    database = await freshMariadb()
    await database.sql('create table customer (id int primary key, name text, balance numeric(9, 2), notes text); create table playlist_track (playlist int, track int, primary key (playlist, track))')
    folder = project({ SHOP_URL: database.url })
    folder.write('whodunit.config.ts', config)
    folder.write('migration.mjs', `
      import { createConnection } from ${JSON.stringify(import.meta.resolve('mysql2/promise'))}
      const connection = await createConnection(process.env.SHOP_URL)
      await connection.query("alter table customer drop column balance")
      await connection.query("insert into customer (id, name) values (1, 'Ann')")
      await connection.end()
      process.exit(3)`)
  })
  afterAll(async () => {
    folder.remove()
    await database.drop()
  })

  it('takes the triggers out of the way of a tool, each with an entry, and keeps others out', { timeout: 240_000 }, async () => {
    await folder.run('migrate')
    const slow = folder.start('run', '--', node, '-e', `console.log('working'); setTimeout(() => {}, 120_000)`)
    await once(slow.stdout!, 'data')
    expect((await folder.run('run', '--wait', '1', '--', node, '-e', '')).stderr).toContain('AUDIT_DATABASE_LOCKED')
    slow.kill('SIGTERM')
    await once(slow, 'exit')
    expect(await folder.run('run', '--', node, 'migration.mjs')).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(/put capture on customer\n[^]*put capture on playlist_track/),
    })
    await database.sql(`update customer set name = 'Bob'`)
    expect(await folder.run('status')).toMatchObject({ code: 0 })
    const { stdout } = await folder.run('log', '--json', '--model', 'customer')
    const entries = (JSON.parse(stdout) as { action: string; target: { id: string } }[]).toReversed()
    expect(entries.map(({ action, target }) => [action, target.id])).toEqual([
      ['SKIPPED', null],
      ['SKIPPED', null],
      ['UPDATE', '1'],
    ])
  })
}) // prettier-ignore
