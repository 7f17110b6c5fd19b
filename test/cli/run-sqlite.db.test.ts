import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { node, type Project, project } from './command-line.ts'
import { config, tables } from './shop.ts'

let folder: Project
const sql = (text: string): Record<string, unknown>[] => {
  const database = new DatabaseSync(join(folder.folder, 'shop.db'))
  try {
    return text.split(';').map((one) => database.prepare(one).all()).at(-1) as Record<string, unknown>[]
  } finally {
    database.close()
  }
} // prettier-ignore

/** A migration as drizzle-kit and others write it: a table is built anew, a column dropped, rows written. */
const migration = `
  const { DatabaseSync } = require('node:sqlite')
  const database = new DatabaseSync('shop.db')
  database.exec("alter table customer drop column balance; create table __new (playlist integer, track integer, extra text, primary key (playlist, track)); insert into __new (playlist, track) select playlist, track from playlist_track; drop table playlist_track; alter table __new rename to playlist_track; insert into customer (id, name) values (2, 'Bob')")
  process.exit(Number(process.argv[2] ?? 0))`

beforeAll(() => {
  folder = project({ SHOP_URL: 'sqlite:./shop.db' })
  folder.write('whodunit.config.ts', config)
  folder.write('migration.cjs', migration)
  sql(`create table many (id text primary key) without rowid; create table more (id integer primary key, n real);
    insert into many with recursive n(i) as (select 1 union all select i + 1 from n where i < 2500) select 'k' || i from n;
    insert into more with recursive n(i) as (select -1200 union all select i + 1 from n where i < 2500) select i, i from n;
    ${tables}; insert into customer values (1, 'Ann', 1.5, 'a secret'); insert into playlist_track values (1, 2)`)
})
afterAll(() => folder.remove())

describe('run on a file of SQLite', () => {
  it('takes the triggers out of the way of a tool, each with an entry, and puts them back', { timeout: 120_000 }, async () => {
    const { stdout: filled } = await folder.run('migrate', '--backfill')
    expect(filled).toMatch(/gave 1 row of customer a first entry\ngave 2500 rows of many a first entry\ngave 3701 rows of more a first entry\n/)
    expect((await folder.run('migrate', '--backfill')).stdout).toContain('Everything is in place.')
    expect(await folder.run('run', '--', node, 'migration.cjs', '3')).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(/put capture on customer\n[^]*put capture on playlist_track/),
    })
    expect(sql(`select name from sqlite_master where name = 'whodunit_run'`)).toEqual([])
    sql(`update customer set name = 'Cid' where id = 2; update playlist_track set extra = 'x'`)
    expect(await folder.run('status')).toMatchObject({ code: 0 })
    const { stdout } = await folder.run('log', '--json', '--kind', 'change,event', '--model', 'customer,playlist_track')
    const entries = (JSON.parse(stdout) as { action: string; target: { model: string; id: string } | null; origin: string; actor: { id: string }; changes: object }[]).toReversed()
    expect(entries.map(({ action, target, origin }) => [action, target?.model, target?.id, origin])).toEqual([
      ['SNAPSHOT', 'customer', '1', 'backfill'],
      ['SNAPSHOT', 'playlist_track', '["1","2"]', 'backfill'],
      ['SKIPPED', 'customer', null, 'migration'],
      ['SKIPPED', 'playlist_track', null, 'migration'],
      ['UPDATE', 'customer', '2', 'sql'],
      ['UPDATE', 'playlist_track', '["1","2"]', 'sql'],
    ])
    expect(entries[2]!.actor).toMatchObject({ type: 'job', id: 'migration.cjs' })
    expect(entries[0]!.changes).toEqual({ id: [null, 1], name: [null, 'Ann'], balance: [null, 1.5], notes: [null, { $: 'masked' }] })
    // rows that the tool wrote have no beginning yet
    expect((await folder.run('migrate', '--backfill')).stdout).toContain('gave 1 row of customer a first entry')
  })
}) // prettier-ignore
