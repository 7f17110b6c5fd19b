import { Pool } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { createAudit, isAuditError } from '../../src/index.ts'
import { fromPg } from '../../src/database/postgres.ts'
import { dropDatabase } from '../harness/postgres.ts'
import { captureDatabase, short } from './fixture.ts'

const capture = captureDatabase()
const tables = 'create table item (id int primary key, n int); insert into item values (1, 1)'

/** A role that may use the tables of a test, and what else is granted. */
async function roleIn(schema: string, ...granted: string[]) {
  const role = await capture.database.createRole()
  const { pool } = capture.database
  await pool.query(`grant usage on schema ${schema} to ${role.name}; grant all on all tables in schema ${schema} to ${role.name};
    grant all on all sequences in schema ${schema} to ${role.name}`)
  for (const grant of granted) await pool.query(`grant ${grant} to ${role.name}`)
  await role.pool.query(`alter role ${role.name} set search_path = ${schema}`)
  const sql = new Pool({ connectionString: role.url, max: 2 })
  onTestFinished(async () => sql.end())
  return { ...role, pool: sql }
}
const refused = async (work: Promise<unknown>): Promise<string> => work.then(() => 'done', (error: Error) => error.message) // prettier-ignore

test('a role without any right on the trail is recorded, and can neither read nor write it', async () => {
  const world = await capture.audited(tables)
  const role = await roleIn(world.schema)
  await role.pool.query('update item set n = 2')
  const entries = (await world.entries()).filter(({ kind }) => kind === 'change')
  expect(entries).toMatchObject([{ action: 'UPDATE', role: role.name, actor: null, origin: 'sql' }])
  for (const attempt of [
    'select * from whodunit.entry',
    'select * from whodunit.entries',
    'select key from whodunit.secret',
    `insert into whodunit.entry (kind, action) values ('change', 'CREATE')`,
    `select whodunit.record('[]', false)`,
    `select whodunit.hash('x')`,
    `select whodunit.capture_statement('TRUNCATE', 'item', '')`,
    `select whodunit."capture ${world.schema}.item"()`,
    'drop function whodunit.hash(text)',
  ]) {
    expect(await refused(role.pool.query(attempt)), attempt).toContain('permission denied')
  }
  expect(await refused(role.pool.query('alter table item disable trigger "!whodunit"'))).toContain(
    'must be owner',
  )
  expect(await refused(role.pool.query(`set session_replication_role = replica`))).toContain(
    'permission denied',
  )
})

test('no role can change, remove or empty the trail, the superuser included [I4]', async () => {
  const world = await capture.audited(tables)
  await world.sql('update item set n = 2')
  const writer = await roleIn(world.schema, 'whodunit_writer', 'whodunit_reader')
  const { rows } = await world.sql(
    `select relid::regclass::text as name from pg_partition_tree('whodunit.entry') order by 1`,
  )
  const names = rows.map(({ name }) => name)
  expect(names.length).toBeGreaterThan(24)
  for (const name of names) {
    for (const attempt of [`truncate ${name}`, `truncate ${name} cascade`]) {
      expect(await refused(world.sql(attempt)), attempt).toContain('append-only')
      expect(await refused(writer.pool.query(attempt)), attempt).toContain('permission denied')
    }
  }
  const { rows: filled } = await world.sql(
    `select distinct tableoid::regclass::text as name from whodunit.entry`,
  )
  for (const name of ['whodunit.entry', ...filled.map((row) => row.name)]) {
    for (const attempt of [`update ${name} set actor = 'user:1'`, `delete from ${name}`]) {
      expect(await refused(world.sql(attempt)), attempt).toContain('append-only')
      expect(await refused(writer.pool.query(attempt)), attempt).toContain('permission denied')
    }
  }
  if (capture.database.version >= 15)
    expect(
      await refused(
        world.sql(`merge into whodunit.entry e using (values (1)) v on true when matched then delete`),
      ),
    ).toContain('append-only')
  await world.sql('set role whodunit_owner; reset role')
})

test('a writer records its own events, and forges no row change', async () => {
  const world = await capture.audited(tables)
  const writer = await roleIn(world.schema, 'whodunit_writer')
  const audit = createAudit({ database: fromPg(writer.pool) })
  const { ref } = await audit.withContext({ actor: { id: 'ann' } }, async () =>
    audit.logAuditEvent({ action: 'mail.sent', durable: true }),
  )
  expect(await world.audit.entries.get(ref)).toMatchObject({ actor: { id: 'ann' }, role: writer.name })
  for (const kind of ['change', 'CHANGE', 'changes', '', null]) {
    const entry = JSON.stringify([{ kind, action: 'CREATE', model: 'item', target_id: '1' }])
    expect(
      await refused(writer.pool.query(`select whodunit.record($1, false)`, [entry])),
      String(kind),
    ).toContain('row changes are written by triggers alone')
  }
  // names in the JSON that are no fields of an entry have no effect
  const sneaky = JSON.stringify([
    {
      kind: 'event',
      action: 'x',
      ref: 'sneaky',
      id: 1,
      xid: 1,
      role: 'somebody',
      moved_to: 'y',
      application: 'z',
    },
  ])
  await writer.pool.query('select whodunit.record($1, true)', [sneaky])
  expect(await world.audit.entries.get('sneaky')).toMatchObject({ role: writer.name })
  expect(await refused(writer.pool.query('select * from whodunit.entries'))).toContain('permission denied')
  const denied = await audit.entries.find().catch((error: unknown) => error)
  expect(isAuditError(denied, 'AUDIT_DATABASE_RIGHTS'), String(denied)).toBe(true)
  await audit.close()
})

test('entries that nobody could read are refused, and do not take others with them', async () => {
  const world = await capture.audited(tables)
  const writer = await roleIn(world.schema, 'whodunit_writer')
  for (const bad of [
    { kind: 'event', action: 'x', changes: '{bad' },
    { kind: 'event', action: 'x', changes: '[1]' },
    { kind: 'event', action: 'x', details: '"text"' },
    { kind: 'event', action: 'x', at: 'infinity' },
    { kind: 'event', action: null },
    { kind: 'event', action: 'x', at: 'never' },
  ]) {
    expect(
      await refused(writer.pool.query(`select whodunit.record($1, false)`, [JSON.stringify([bad])])),
      JSON.stringify(bad),
    ).not.toBe('done')
  }
  // odd, but readable
  for (const odd of [
    { severity: 'x' },
    { context: '\n\n\n\n\n\n{bad json' },
    { actor: 'nobody' },
    { details: '{"a":"\\u0000"}' },
    { context: '\u001e'.repeat(9) },
  ]) {
    await writer.pool.query(`select whodunit.record($1, false)`, [
      JSON.stringify([{ kind: 'system', action: 'ERROR', model: 'odd', ...odd }]),
    ])
  }
  expect((await world.audit.entries.find({ model: 'odd' })).entries).toHaveLength(5)
  for (const view of ['entries', 'login_attempts', 'data_exports', 'system_events', 'requests']) {
    await world.sql(`select to_json(v) from whodunit.${view} v`)
  }
})

test('a reader reads the trail and its views, and writes nothing', async () => {
  const world = await capture.audited(tables)
  await world.sql('update item set n = 2')
  const reader = await roleIn(world.schema, 'whodunit_reader')
  const audit = createAudit({ database: fromPg(reader.pool) })
  expect((await audit.entries.find({ limit: undefined } as never, { limit: 1 }).catch((error: Error) => error.message)) as string).toContain('limit') // prettier-ignore
  expect((await audit.entries.find({ model: 'item' }, { limit: 1 })).entries).toHaveLength(1)
  expect((await audit.history('item', 1)).length).toBeGreaterThan(0)
  expect((await audit.getAuditSummary()).total).toBeGreaterThan(0)
  expect((await audit.status()).installed).toBe(true)
  for (const view of ['entries', 'login_attempts', 'data_exports', 'system_events', 'requests']) {
    await reader.pool.query(`select to_json(v) from whodunit.${view} v limit 1`)
  }
  for await (const _ of audit.entries.stream({ model: 'item' })) break
  for (const attempt of [
    `select whodunit.record('[]', false)`,
    `select key from whodunit.secret`,
    `select whodunit.hash('guess')`,
    'select whodunit.prepare_months()',
  ]) {
    expect(await refused(reader.pool.query(attempt)), attempt).toContain('permission denied')
  }
  await audit.close()
})

test('operators and functions of a writer on its search path do not blind the trigger', async () => {
  const world = await capture.audited(
    'create table item (id int primary key, n int, t text, j jsonb); insert into item values (1, 1, $$a$$, $${}$$)',
  )
  const evil = await roleIn(world.schema)
  await world.sql(`create schema ${world.schema}_evil authorization ${evil.name}`)
  const client = await evil.pool.connect()
  onTestFinished(() => client.release(true))
  await client.query(`set search_path = ${world.schema}_evil, ${world.schema}, pg_catalog`)
  await client.query(`
    create function yes(int, int) returns bool language sql as 'select true'; create operator = (leftarg = int, rightarg = int, function = yes);
    create function yes(text, text) returns bool language sql as 'select true'; create operator = (leftarg = text, rightarg = text, function = yes);
    create function no(record, record) returns bool language plpgsql as 'begin return false; end'; create operator *<> (leftarg = record, rightarg = record, function = no);
    create function to_json(text) returns json language sql as $$ select '"forged"'::json $$;
    create function current_setting(text, bool) returns text language sql as $$ select 'user:forged' $$;
    create function left(text, int) returns text language sql as $$ select 'forged' $$`)

  await client.query(`update ${world.schema}.item set n = 2, t = 'b', j = '{"a":1}'`)
  await client.query(
    `set search_path = pg_temp, ${world.schema}_evil; create temp table entry (id int); create function pg_temp.nextval(text) returns bigint language sql as 'select 1::bigint'`,
  )
  await client.query(`update ${world.schema}.item set n = 3`)
  expect(await world.recorded()).toEqual([
    ['UPDATE', '1', { n: [1, 2], t: ['a', 'b'], j: ['{}', '{"a": 1}'] }],
    ['UPDATE', '1', { n: [2, 3] }],
  ])
  expect((await world.entries()).filter(({ kind }) => kind === 'change').map(({ actor }) => actor)).toEqual([
    null,
    null,
  ])
})

test('the trail belongs to a role that cannot sign in, and migrate needs only its membership', async () => {
  const world = await capture.audited(tables)
  const { rows } =
    await world.sql(`select distinct pg_get_userbyid(relowner) as owner from pg_class where relnamespace = 'whodunit'::regnamespace and relkind in ('r','p','v','S')
    union select distinct pg_get_userbyid(proowner) from pg_proc where pronamespace = 'whodunit'::regnamespace`)
  expect(rows).toEqual([{ owner: 'whodunit_owner' }])
  expect((await world.sql(`select rolcanlogin from pg_roles where rolname like 'whodunit%'`)).rows).toEqual([
    { rolcanlogin: false },
    { rolcanlogin: false },
    { rolcanlogin: false },
  ])
})

test('a role that may not make roles sets up capture of its own tables, with a warning', async () => {
  const { database } = capture
  const owner = await database.createRole()
  const other = `${owner.name}_db`
  await database.pool.query(`create database ${other} owner ${owner.name}`)
  const pool = new Pool({ connectionString: owner.url.replace(/\/[^/]*$/, `/${other}`), max: 2 })
  onTestFinished(async () => {
    await pool.end()
    await dropDatabase(database.pool, other)
  })
  await pool.query('create table item (id int primary key, n int)')
  const audit = createAudit({ database: fromPg(pool) })
  const { warnings, tables: states } = await audit.migrate()
  expect(warnings.join()).toContain('CREATEROLE')
  expect(states).toMatchObject([{ model: 'item', state: 'audited' }])
  await pool.query('insert into item values (1, 1)')
  await audit.logAuditEvent({ action: 'x', durable: true })
  expect(short((await audit.entries.find()).entries)).toEqual(['CREATE item 1 id,n'])
  expect((await audit.migrate()).done).toEqual([])
  await audit.close()
})

test('a role that may make roles, and is no superuser, parts the trail from itself', async () => {
  const { database } = capture
  await capture.audited(tables)
  const owner = await database.createRole('createrole')
  // what it would have of roles made by itself: before 16, all that it wants
  if (database.version >= 16) {
    for (const role of ['owner', 'writer', 'reader'])
      await database.pool.query(
        `grant whodunit_${role} to ${owner.name} with admin true, inherit false, set false`,
      )
  }
  const other = `${owner.name}_db`
  await database.pool.query(`create database ${other} owner ${owner.name}`)
  const pool = new Pool({ connectionString: owner.url.replace(/\/[^/]*$/, `/${other}`), max: 2 })
  onTestFinished(async () => {
    await pool.end()
    await dropDatabase(database.pool, other)
  })
  await pool.query('create table item (id int primary key, n int)')
  const audit = createAudit({ database: fromPg(pool) })
  const { warnings } = await audit.migrate()
  expect(warnings).toEqual([])
  await pool.query('insert into item values (1, 1)')
  expect(short((await audit.entries.find()).entries)).toEqual(['CREATE item 1 id,n'])
  expect((await audit.migrate()).done).toEqual([])
  await audit.close()
})
