import { spawnSync } from 'node:child_process'
import { Pool } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { fromPg } from '../../src/database/postgres.ts'
import { createAudit } from '../../src/index.ts'
import { dropDatabase, freshDatabase } from '../harness/postgres.ts'

/** The major version of a client program; 0 where it is not installed. */
const versionOf = (command: string) => {
  const { stdout } = spawnSync(command, ['--version'], { encoding: 'utf8' })
  return Number(/\d+/.exec(stdout ?? '')?.[0] ?? 0)
}
const run = (command: string, ...args: string[]) => {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 100_000_000 })
  if (status !== 0) throw new Error(`${command} failed: ${stderr}`)
  return stdout
}

test('a database restored from pg_dump has its trail, entry for entry, and goes on recording', async ({
  skip,
}) => {
  const database = await freshDatabase()
  onTestFinished(async () => database.drop())
  const dumper = versionOf('pg_dump')
  skip(dumper < database.version, `pg_dump is ${dumper || 'missing'}, and the server ${database.version}`)
  const policy = { models: { item: { label: '{name}', redact: { email: 'hash' as const } } } }
  const open = (url: string) => {
    const audit = createAudit({ ...policy, database: fromPg(new Pool({ connectionString: url, max: 2 })) })
    onTestFinished(async () => {
      await audit.close()
      await audit.client.end()
    })
    return audit
  }
  const all = `select e.* from whodunit.entry e order by id`
  const original = open(database.url)
  await database.pool.query(`create table item (id int primary key, name text, email text, part text);
    create table part (id int, region text, primary key (id, region)) partition by list (region);
    create table part_eu partition of part for values in ('eu')`)
  await original.migrate()
  await original.withContext({ actor: { id: 'ann' }, reason: 'why' }, async () =>
    original.client.query(`insert into item select n, 'é' || n, 'x', null from generate_series(1, 20) n; insert into part values (1, 'eu')`),
  ) // prettier-ignore
  await original.logAuditEvent({ action: 'x', durable: true })
  await database.pool.query(`update item set email = 'y' where id = 1; delete from item where id = 2`)

  const restored = `${new URL(database.url).pathname.slice(1)}_restored`
  const url = database.url.replace(/[^/]*$/, restored)
  await database.pool.query(`create database ${restored}`)
  onTestFinished(async () => dropDatabase(database.pool, restored))
  const script = run('pg_dump', '--dbname', database.url)
  const { status, stderr } = spawnSync('psql', ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', url], { input: script, encoding: 'utf8' }) // prettier-ignore
  expect([status, stderr]).toEqual([0, ''])

  const audit = open(url)
  expect((await audit.client.query(all)).rows).toEqual((await database.pool.query(all)).rows)
  expect((await audit.status()).tables).toMatchObject([{ state: 'audited' }, { state: 'audited' }])
  expect((await audit.migrate()).done).toEqual([])
  await audit.client.query(
    `update item set name = 'z', email = 'y' where id = 3; insert into part_eu values (2, 'eu')`,
  )
  const last = (await audit.entries.find({}, { limit: 2 })).entries
  expect(last.map(({ action, target }) => `${action} ${target!.model} ${target!.id}`)).toEqual(['CREATE part ["2","eu"]', 'UPDATE item 3']) // prettier-ignore
  // for replicas too, in its partitions as well
  await audit.client.query(
    `begin; set local session_replication_role = replica; update part set region = region; delete from part; commit`,
  )
  expect((await audit.entries.find({ model: 'part', action: 'DELETE' })).entries).toHaveLength(2)
  // a hash tells equal values from before and after
  const [before] = await audit.history('item', 1)
  expect(last[1]!.changes!['email']![1]).toEqual(before!.changes!['email']![1])
  // data alone, as pg_dump writes it, takes the triggers off and brings them back as any other
  const data = run('pg_dump', '--data-only', '--disable-triggers', '--table=item', '--dbname', database.url)
  await audit.client.query('delete from item')
  spawnSync('psql', ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', url], { input: data })
  expect((await audit.status()).tables).toMatchObject([{ state: 'drifted' }, { state: 'audited' }])
  expect((await audit.migrate()).done).toEqual(['enabled the capture of item'])
})
