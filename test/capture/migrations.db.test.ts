import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { drizzle } from 'drizzle-orm/node-postgres'
import { migrate as migrateByDrizzle } from 'drizzle-orm/node-postgres/migrator'
import { Kysely, PostgresDialect, sql } from 'kysely'
import { type Migration, Migrator } from 'kysely/migration'
import pg from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { type Audited, captureDatabase, short } from './fixture.ts'

const capture = captureDatabase()
const item = 'create table item (id int primary key, n int); insert into item values (1, 1), (2, 2)'
const update = 'update item set n = n + 1'

const shown = async (world: Audited) =>
  (await world.entries())
    .filter(({ kind }) => kind === 'change')
    .map(({ action, target, origin, reason, actor }) => [action, target?.id ?? null, origin, reason, actor])
const changed = (origin: string, reason: string | null = null) =>
  ['1', '2'].map((id) => ['UPDATE', id, origin, reason, null])
const skipped = ['SKIPPED', null, 'migration', 'a migration of Kysely', null]

async function connect(url: string) {
  const client = new pg.Client(url)
  await client.connect()
  onTestFinished(async () => client.end())
  return client
}

/** Kysely's own migrator over a client that is not wrapped. */
async function kysely(
  world: Audited,
  up: Migration['up'][],
  options: { disableTransactions?: boolean } = {},
) {
  const pool = new pg.Pool({ connectionString: world.url, max: 1 })
  const db = new Kysely<never>({ dialect: new PostgresDialect({ pool }) })
  const steps = up.map((step, place) => [`step ${place}`, { up: step }] as const)
  const migrator = new Migrator({ db, provider: { getMigrations: async () => Object.fromEntries(steps) }, migrationTableSchema: world.schema, ...options }) // prettier-ignore
  const { error } = await migrator.migrateToLatest()
  await db.destroy()
  if (error) throw error as Error
}

const step = async (db: Kysely<never>) =>
  sql
    .raw(update)
    .execute(db)
    .then(() => {})

test("what Kysely's migrator writes leaves one SKIPPED entry a transaction and table, or is recorded as a migration's", async () => {
  const tables = `${item}; create table other (id int primary key)`
  const both = async (db: Kysely<never>) => {
    await step(db)
    await sql.raw('insert into other values (1)').execute(db)
    await step(db)
  }
  const world = await capture.tables(tables)
  await kysely(world, [async () => {}]) // makes its books
  await world.audit.migrate()
  await kysely(world, [async () => {}, both])
  const entries = (await world.entries()).filter(({ kind }) => kind === 'change')
  expect(short(entries)).toEqual(['SKIPPED item', 'SKIPPED other'])
  expect(await shown(world)).toEqual([skipped, skipped])
  expect(new Set(entries.map(({ tx }) => tx)).size).toBe(1)
  // and nothing that anybody else writes, before, after or meanwhile
  await world.sql(update)
  expect((await shown(world)).slice(2)).toEqual(changed('sql'))

  for (const policy of [{ migrations: 'record' as const }, { allowSkip: false }]) {
    const recording = await capture.tables(item, policy)
    await kysely(recording, [async () => {}])
    await recording.audit.migrate()
    await kysely(recording, [async () => {}, step])
    expect(await shown(recording)).toEqual(changed('migration', 'a migration of Kysely'))
  }
})

test('a lock of the session leaves nothing unrecorded by itself, since a pooler may have handed it to an application', async () => {
  const world = await capture.tables(item)
  await kysely(world, [async () => {}])
  await world.audit.migrate()
  await kysely(world, [async () => {}, step], { disableTransactions: true })
  const held = 'the session holds the lock of Kysely'
  expect(await shown(world)).toEqual(changed('migration', held))

  // a tool that died behind a pooler, and an application that got its session
  const session = await connect(world.url)
  await session.query('select pg_advisory_lock(3853314791062309107)')
  await session.query(`begin; ${update}; ${update}; commit`)
  expect((await shown(world)).slice(2)).toEqual([
    ...changed('migration', held),
    ...changed('migration', held),
  ])
  // a context is proof of an application
  await session.query(`begin; select whodunit.set_context(actor => 'user:7'); ${update}; commit`)
  expect((await shown(world)).slice(6).map(([action, , origin]) => [action, origin])).toEqual([['UPDATE', 'sql'], ['UPDATE', 'sql']]) // prettier-ignore
  // nor does reading the books make a migration of it without the lock
  await session.query('select pg_advisory_unlock(3853314791062309107)')
  await session.query(`begin; select from kysely_migration; ${update}; commit`)
  expect((await shown(world)).slice(8)).toEqual(changed('sql'))
})

test("the lock of another session, of another kind or another database makes nobody's write a migration", async () => {
  const world = await capture.tables(`${item}; create table kysely_migration (name text primary key)`)
  await world.audit.migrate()
  const [mine, other] = [await connect(world.url), await connect(world.url)]
  await other.query('select pg_advisory_lock(3853314791062309107)')
  await mine.query('select pg_advisory_lock(72707369), pg_advisory_lock_shared(1)') // Prisma's, but its books are not here
  await mine.query(`begin; select from kysely_migration; ${update}; commit`)
  expect(await shown(world)).toEqual(changed('sql'))
})

test('a transaction is a migration for as long as its session holds the lock', async () => {
  const world = await capture.tables(`${item}; create table kysely_migration (name text primary key)`)
  await world.audit.migrate()
  const client = await connect(world.url)
  await client.query('begin')
  await client.query('select pg_advisory_lock(3853314791062309107)')
  await client.query('select from kysely_migration')
  await client.query(update)
  await client.query('savepoint s')
  await client.query(update)
  await client.query('rollback to s')
  await client.query('select pg_advisory_unlock(3853314791062309107)')
  await client.query(update)
  await client.query('commit')
  expect(await shown(world)).toEqual([skipped, ...changed('sql')])
})

// Its schema engine is no package of npm: these are the statements of its session, on one connection, by pg
test("what a session with Prisma's lock writes is recorded, as a migration's", async () => {
  const world = await capture.tables(
    `${item}; create table _prisma_migrations (id varchar(36) primary key, checksum varchar(64) not null, finished_at timestamptz,
      migration_name varchar(255) not null, logs text, rolled_back_at timestamptz, started_at timestamptz not null default now(), applied_steps_count int not null default 0)`,
    { models: { item: { reason: 'required' } } },
  )
  await world.audit.migrate()
  const engine = await connect(world.url)
  await engine.query('SELECT pg_advisory_lock(72707369)')
  await engine.query(
    `insert into _prisma_migrations (id, checksum, migration_name) values ('a', '', 'first')`,
  )
  await engine.query(`alter table item add column extra text; ${update}`)
  await engine.query(`update _prisma_migrations set finished_at = now()`)
  expect(await shown(world)).toEqual(changed('migration', 'the session holds the lock of Prisma Migrate'))
  expect((await world.entries()).at(-1)!.request).toMatchObject({ id: '', ip: '127.0.0.1' })
  await engine.end()
})

test("Drizzle's migrator leaves no mark before it writes: recorded like any other", async () => {
  const world = await capture.tables(item)
  const folder = await mkdtemp(join(tmpdir(), 'whodunit-drizzle-'))
  onTestFinished(async () => rm(folder, { recursive: true }))
  await mkdir(join(folder, 'meta'))
  const journal = { version: '7', dialect: 'postgresql', entries: [{ idx: 0, version: '7', when: 1, tag: '0000_first', breakpoints: true }] } // prettier-ignore
  await writeFile(join(folder, 'meta', '_journal.json'), JSON.stringify(journal))
  await writeFile(join(folder, '0000_first.sql'), update)
  await world.audit.migrate()
  const client = await connect(world.url)
  await migrateByDrizzle(drizzle(client), { migrationsFolder: folder, migrationsSchema: world.schema })
  expect(await shown(world)).toEqual(changed('sql'))
  expect((await world.status())['__drizzle_migrations']).toBe('skipped')
})

test('settings that anybody made by hand fail no write', async () => {
  const world = await capture.tables(`${item}; create table kysely_migration (name text primary key)`)
  await world.audit.migrate()
  const client = await connect(world.url)
  for (const value of ['', 'x', '1e999', '99999999999999', '-1', 'no']) {
    await client.query(`select set_config('whodunit.asked', $1, false), set_config('whodunit.migration', $1, false)`, [value]) // prettier-ignore
    await client.query(update)
  }
  expect(await world.recorded()).toHaveLength(12)
})
