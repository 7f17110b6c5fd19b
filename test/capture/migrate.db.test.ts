import { setTimeout as sleep } from 'node:timers/promises'
import { Client, Pool } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { createAudit, isAuditError } from '../../src/index.ts'
import { fromPg } from '../../src/database/postgres.ts'
import { hasPgbouncer, startPgbouncer } from '../driver/pgbouncer.ts'
import { freshDatabase } from '../harness/postgres.ts'
import { captureDatabase, short } from './fixture.ts'

const capture = captureDatabase()
const two = 'create table a (id int primary key, n int); create table b (id int primary key, n int)'
/** Everything that migrate could leave in the schemas of the application and of the trail, as one text. */
const everything = `select
  (select json_agg(row(tgrelid::regclass, tgname, tgenabled, tgfoid::regproc) order by tgrelid::regclass::text, tgname) from pg_trigger where not tgisinternal)::text
  || (select coalesce(json_agg(row(proname, prosrc, proconfig, proacl) order by proname), '[]') from pg_proc where pronamespace = to_regnamespace('whodunit'))::text
  || (select coalesce(json_agg(row(relname, relkind, coalesce(relacl, acldefault(case relkind when 'S' then 's' else 'r' end::"char", relowner))) order by relname), '[]') from pg_class where relnamespace = to_regnamespace('whodunit'))::text as all`

/** A database of its own, for what the trail of the file must not see. */
async function own(tables: string) {
  const database = await freshDatabase()
  await database.pool.query(tables)
  onTestFinished(async () => database.drop())
  const open = (policy = {}, url = database.url) => {
    const audit = createAudit({ ...policy, database: fromPg(new Pool({ connectionString: url, max: 3 })) })
    onTestFinished(async () => {
      await audit.close()
      await audit.client.end()
    })
    return audit
  }
  const state = async () => (await database.pool.query(everything)).rows[0].all as string
  return { ...database, open, state }
}

test('migrate twice changes nothing, adds no second trigger and no second entry [I5]', async () => {
  const { open, state, pool } = await own(two)
  const audit = open()
  const first = await audit.migrate()
  expect(first.done.join()).toContain('put capture on a')
  const before = await state()
  const second = await audit.migrate()
  expect(second.done).toEqual([])
  expect(await state()).toBe(before)
  await pool.query('insert into a values (1, 1)')
  const { entries } = await audit.entries.find()
  expect(entries.map(({ action }) => action)).toEqual(['CREATE', 'MIGRATE'])
})

test('several migrations at once, and writers meanwhile, end in one set-up and lose nothing', async () => {
  const { open, pool } = await own(two)
  const audits = Array.from({ length: 4 }, () => open())
  const stop = new AbortController()
  let written = 0
  const writing = (async () => {
    while (!stop.signal.aborted) {
      await pool.query('insert into a values ($1, 1)', [++written])
    }
  })()
  await Promise.all(audits.map(async (audit) => audit.migrate()))
  const from = written
  await sleep(50)
  stop.abort()
  await writing
  const { rows } = await pool.query(
    `select count(*)::int as n from pg_trigger where tgname like '!whodunit%' and not tgisinternal`,
  )
  expect(rows[0].n).toBe(4)
  let recorded = 0
  for await (const entry of audits[0]!.entries.stream({ model: 'a' }))
    if (Number(entry.target!.id) > from) recorded++
  expect(recorded).toBe(written - from)
  expect((await audits[0]!.migrate()).done).toEqual([])
})

test(
  'handing the trail to its owner under writers ends none of them, and loses nothing',
  { timeout: 60_000 },
  async () => {
    const { open, pool } = await own(`${two}; create table c (id int primary key, email text)`)
    const policy = { models: { c: { redact: { email: 'hash' as const } } } }
    await open(policy).migrate()
    const statements = ['insert into a values ($1)', `insert into c values ($1, 'x')`]
    let written = 0
    for (let round = 0; round < 2; round++) {
      await pool.query('reassign owned by whodunit_owner to postgres') // as where roles could not be made at first
      const handing = new AbortController()
      const writers = Array.from({ length: 2 }, async (_, writer) => {
        const client = await pool.connect()
        while (!handing.signal.aborted) {
          await client.query('begin')
          for (let n = 0; n < 2; n++) {
            await client.query(statements[writer % 2]!, [++written])
            await sleep(10)
          }
          await client.query('commit')
        }
        client.release()
      })
      await open(policy)
        .migrate()
        .finally(() => handing.abort())
      await Promise.all(writers)
      const { rows } = await pool.query(
        `select distinct pg_get_userbyid(relowner) as owner from pg_class where relnamespace = 'whodunit'::regnamespace and relkind in ('r', 'p')`,
      )
      expect(rows).toEqual([{ owner: 'whodunit_owner' }])
    }
    const { rows } = await pool.query(`select count(*)::int as n from whodunit.entry where action = 'CREATE'`)
    expect(rows).toEqual([{ n: written }])
  },
)

test('entries that came before their month was made do not stop any migration', async () => {
  const { open, pool } = await own(two)
  const audit = open()
  await audit.migrate()
  const { rows } = await pool.query(
    `select 'whodunit.event_' || to_char(now() + interval '2 months', 'YYYY_MM') as month, date_trunc('month', now()) + interval '2 months 3 days' as at`,
  )
  await pool.query(`drop table ${rows[0].month}`)
  await audit.logAuditEvent({ action: 'early', at: rows[0].at, durable: true })
  await audit.migrate()
  await audit.logAuditEvent({ action: 'later', at: rows[0].at, durable: true })
  expect((await audit.entries.find({ action: ['early', 'later'] })).entries).toHaveLength(2)
})

test('several databases of one server can be set up at once', async () => {
  const databases = await Promise.all([1, 2, 3, 4].map(async () => own(two)))
  const reports = await Promise.all(databases.map(async ({ open }) => open().migrate()))
  expect(reports.flatMap(({ warnings }) => warnings)).toEqual([])
  for (const { pool } of databases) {
    const { rows } = await pool.query(
      `select pg_get_userbyid(relowner) as owner from pg_class where oid = 'whodunit.entry'::regclass`,
    )
    expect(rows[0].owner).toBe('whodunit_owner')
  }
})

test.skipIf(!hasPgbouncer)('migrate works through PgBouncer in transaction mode, twice at once', async () => {
  const { open, url, pool } = await own(two)
  const bouncer = await startPgbouncer(url)
  onTestFinished(async () => bouncer.stop())
  await Promise.all([open({}, bouncer.url(url)).migrate(), open({}, bouncer.url(url)).migrate()])
  const audit = open({}, bouncer.url(url))
  expect((await audit.migrate()).done).toEqual([])
  expect(await audit.check()).toEqual([])
  await pool.query('insert into a values (1, 1)')
  expect((await audit.entries.find({ model: 'a' })).entries).toHaveLength(1)
})

test('a dry run says what would be done and changes nothing', async () => {
  const { open, state } = await own(two)
  const audit = open()
  const empty = await state()
  const dry = await audit.migrate({ dryRun: true })
  expect(dry.done.join()).toMatch(/made the trail.*put capture on a.*put capture on b/)
  expect(dry.tables).toMatchObject([{ state: 'missing' }, { state: 'missing' }])
  expect(await state()).toBe(empty)
  await audit.migrate()
  const before = await state()
  const other = open({ models: { a: false, b: { redact: { n: 'mask' } } } })
  expect((await other.migrate({ dryRun: true })).done).toMatchObject([
    expect.stringContaining('removed capture from a'),
    expect.stringContaining('capture of b'),
    expect.stringContaining('stored the policy'),
  ])
  expect(await state()).toBe(before)
  expect((await audit.entries.find()).entries).toHaveLength(1)
})

test.each([
  [{ models: { custmer: {} } }, 'AUDIT_POLICY_UNKNOWN_MODEL', 'customer'],
  [{ skipModels: ['customers'] }, 'AUDIT_POLICY_UNKNOWN_MODEL', 'customer'],
  [{ models: { customer: { redact: { emial: 'mask' as const } } } }, 'AUDIT_POLICY_UNKNOWN_COLUMN', 'email'],
  [{ models: { customer: { label: '{nmae}' } } }, 'AUDIT_POLICY_UNKNOWN_COLUMN', 'name'],
  [{ models: { customer: { subject: 'idd' } } }, 'AUDIT_POLICY_UNKNOWN_COLUMN', 'id'],
  [{ models: { customer: { ignore: ['updated_ad'] } } }, 'AUDIT_POLICY_UNKNOWN_COLUMN', 'updated_at'],
  [{ models: { customer: { softDelete: 'deleted' } } }, 'AUDIT_POLICY_UNKNOWN_COLUMN', ''],
  [{ actors: { user: { model: 'custoner', label: '{name}' } } }, 'AUDIT_POLICY_UNKNOWN_MODEL', 'customer'],
])(
  'a policy with the unknown name %j leaves the database as it is, and the error names the nearest',
  async (policy, code, nearest) => {
    const { open, state } = await own(
      'create table customer (id int primary key, name text, email text, updated_at timestamptz)',
    )
    const empty = await state()
    const failed = await open(policy)
      .migrate()
      .catch((error: unknown) => error)
    expect(isAuditError(failed, code as never), String(failed)).toBe(true)
    expect(String(failed)).toContain(nearest && `"${nearest}"`)
    expect(await state()).toBe(empty)
  },
)

test('a trigger that was disabled shows as off, and migrate enables it', async () => {
  const world = await capture.audited(two)
  for (const disable of [
    'alter table a disable trigger "!whodunit"',
    'alter table a disable trigger all',
    'alter table a disable trigger "!whodunit_truncate"',
    'alter table a enable replica trigger "!whodunit"',
  ]) {
    await world.sql(disable)
    expect(await world.status(), disable).toEqual({ a: 'off', b: 'audited' })
    expect((await world.audit.check()).map(({ model }) => model)).toEqual(['a'])
    expect((await world.audit.migrate()).done).toEqual(['enabled the capture of a'])
    expect(await world.status()).toEqual({ a: 'audited', b: 'audited' })
  }
  for (const reset of [
    'alter table a disable trigger all; alter table a enable trigger all',
    'alter table a enable trigger "!whodunit_truncate"',
  ]) {
    await world.sql(reset)
    expect(await world.status(), reset).toEqual({ a: 'drifted', b: 'audited' })
    expect((await world.audit.migrate()).done).toEqual(['enabled the capture of a'])
    expect(await world.status()).toEqual({ a: 'audited', b: 'audited' })
  }
  await world.sql('drop trigger "!whodunit" on a')
  expect(await world.status()).toEqual({ a: 'missing', b: 'audited' })
  await world.audit.migrate()
  await world.sql('insert into a values (1, 1); truncate a')
  expect(short(await world.entries())).toEqual(['CREATE a 1 id,n', 'TRUNCATE a'])
})

test('a trigger that was narrowed, replaced or dropped shows as missing, and migrate makes it again', async () => {
  const world = await capture.audited(two)
  const call = `execute function whodunit."capture ${world.schema}.a"()`
  const { rows } = await world.sql(
    `select prosrc as body from pg_proc where proname = 'capture ${world.schema}.a'`,
  )
  await world.sql(
    `create function impostor() returns trigger language plpgsql as $impostor$${rows[0].body}$impostor$`,
  )
  for (const tampered of [
    'drop trigger "!whodunit" on a',
    'drop trigger "!whodunit_truncate" on a',
    `create or replace trigger "!whodunit" after insert or update or delete on a for each row when (false) ${call}`,
    `create or replace trigger "!whodunit" after insert or update of n or delete on a for each row ${call}`,
    'create or replace trigger "!whodunit" after insert or update or delete on a for each row execute function impostor()',
    'create or replace trigger "!whodunit_truncate" after truncate on a execute function impostor()',
  ]) {
    await world.sql(tampered)
    expect(await world.status(), tampered).toEqual({ a: 'missing', b: 'audited' })
    expect((await world.audit.migrate()).done).toEqual(['put capture on a'])
    expect(await world.status()).toEqual({ a: 'audited', b: 'audited' })
  }
  await world.sql('insert into a values (1, 1); truncate a')
  expect(short(await world.entries())).toEqual(['CREATE a 1 id,n', 'TRUNCATE a'])
})

test('a table made after migrate shows as missing until the next one', async () => {
  const world = await capture.audited(two)
  await world.sql('create table c (id int primary key); insert into c values (1)')
  expect(await world.status()).toEqual({ a: 'audited', b: 'audited', c: 'missing' })
  await world.audit.migrate()
  await world.sql('insert into c values (2)')
  expect(short(await world.entries())).toEqual(['CREATE c 2 id'])
})

test('migrate waits for a table that others hold, and locks nobody out meanwhile', async () => {
  const { open, url, pool } = await own(two)
  const holder = new Client({ connectionString: url })
  await holder.connect()
  onTestFinished(async () => holder.end())
  await holder.query('begin; insert into a values (1, 1)')
  const audit = open()
  const migrating = audit.migrate()
  await sleep(300)
  await pool.query('insert into b values (1, 1)')
  await holder.query('commit')
  await migrating
  expect((await audit.status()).tables.map(({ state }) => state)).toEqual(['audited', 'audited'])
})

test('a policy that changed is replaced under open writers, without a lock on the table', async () => {
  const { open, url } = await own(two)
  await open().migrate()
  const writer = new Client({ connectionString: url })
  await writer.connect()
  onTestFinished(async () => writer.end())
  await writer.query('begin; insert into a values (1, 1)')
  // the writer ends only afterwards: to wait for its lock would be to fail
  await open({ models: { a: { redact: { n: 'mask' } } } }).migrate()
  await writer.query('insert into a values (2, 2); commit')
  const { entries } = await open().entries.find({ model: 'a' })
  expect(entries.map(({ changes }) => changes!['n'])).toEqual([
    [null, { $: 'masked' }],
    [null, 1],
  ])
})

test('uninstall removes capture and says so, keeps the trail, or removes it as well', async () => {
  const { open, pool, url } = await own(two)
  const audit = open()
  await audit.migrate()
  await pool.query('insert into a values (1, 1)')
  const database = fromPg(new Pool({ connectionString: url }))
  onTestFinished(async () => {
    await database.close()
    await database.client.end()
  })
  expect(await database.setup.uninstall()).toEqual([
    'removed capture from public.a',
    'removed capture from public.b',
  ])
  await pool.query('insert into a values (2, 2); truncate b')
  const { entries } = await audit.entries.find()
  expect(entries.map(({ action }) => action)).toEqual(['UNINSTALL', 'CREATE', 'MIGRATE'])
  expect((await audit.status()).tables).toMatchObject([{ state: 'missing' }, { state: 'missing' }])
  expect(await database.setup.uninstall()).toEqual([])
  await audit.migrate()
  expect(await database.setup.uninstall({ trail: true })).toContain('removed the trail with all its entries')
  const { rows } = await pool.query(
    `select to_regnamespace('whodunit') as schema, (select count(*)::int from pg_trigger where tgname like '!whodunit%') as triggers`,
  )
  expect(rows[0]).toEqual({ schema: null, triggers: 0 })
  await pool.query('insert into a values (3, 3)')
})
