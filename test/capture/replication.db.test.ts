import pg from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { type AuditConfig, createAudit } from '../../src/index.ts'
import { fromPg } from '../../src/database/postgres.ts'
import { dropDatabase, freshDatabase } from '../harness/postgres.ts'
import { captureDatabase, short } from './fixture.ts'

const capture = captureDatabase()
const item = 'create table item (id int primary key, n int, note text)'
const parted = `create table part (id int, region text, primary key (id, region)) partition by list (region);
  create table part_eu partition of part for values in ('eu')`

test('what a session that plays a replica writes is recorded, statement by statement where bulk asks for it', async () => {
  const world = await capture.audited(`${item}; create table many (id int primary key); ${parted}`, {
    models: { many: { bulk: true } },
  })
  await world.sql(`begin; set local session_replication_role = replica; insert into item values (1, 1); update item set n = 2;
    insert into many values (1), (2); insert into part values (1, 'eu'); insert into part_eu values (2, 'eu'); delete from item; truncate many; commit`)
  expect(short(await world.entries())).toEqual([
    'CREATE item 1 id,n,note',
    'UPDATE item 1 n',
    'CREATE many 1 id',
    'CREATE many 2 id',
    'CREATE part ["1","eu"] id,region',
    'CREATE part ["2","eu"] id,region',
    'DELETE item 1 id,n,note',
    'TRUNCATE many',
  ])
  // by a session of somebody's, not by a subscription
  expect((await world.entries()).at(-1)).toMatchObject({ origin: 'sql', actor: null })
})

test('partitions fire for replicas as their parent does, whenever they came; status sees those that do not', async () => {
  const world = await capture.audited(parted)
  const asReplica = async (statement: string) =>
    world.sql(`begin; set local session_replication_role = replica; ${statement}; commit`)
  await world.sql(`create table part_us partition of part for values in ('us');
    create table part_au (like part including all); alter table part attach partition part_au for values in ('au')`)
  await asReplica(`insert into part values (1, 'eu'), (2, 'us'), (3, 'au')`)
  expect(await world.recorded()).toHaveLength(3)
  expect(await world.status()).toEqual({ part: 'audited' })
  for (const [statement, state] of [
    ['alter table part_eu disable trigger "!whodunit"', 'off'],
    ['alter table part_eu enable trigger "!whodunit"', 'drifted'],
    ['alter table part disable trigger all', 'off'],
    ['alter table part enable trigger all', 'drifted'],
  ] as const) {
    await world.sql(statement)
    expect(await world.status(), statement).toEqual({ part: state })
    if (state === 'off') continue
    expect((await world.audit.migrate()).done).toEqual(['enabled the capture of part'])
    expect(await world.status(), statement).toEqual({ part: 'audited' })
  }
  await asReplica(`delete from part`)
  expect(await world.recorded()).toHaveLength(6)
})

test('what a subscription applies is recorded, from its first copy on, as of no known actor and origin replication', async () => {
  const tables = `${item}; ${parted}; create table many (id int primary key)`
  const policy: AuditConfig = { models: { item: { reason: 'required' }, many: { bulk: true } } }
  const { source, target, audit, subscribe } = await replicated(tables, policy, 'item, part, many')
  await source.query(`insert into item values (1, 1), (2, 2); insert into part values (1, 'eu')`)
  await subscribe()
  const recorded = async () =>
    (await audit.entries.find({ kind: 'change' }, { limit: 100 })).entries.toReversed()
  await expect.poll(async () => short(await recorded()).toSorted(), { timeout: 20_000 }).toEqual([
    'CREATE item 1 id,n,note',
    'CREATE item 2 id,n,note',
    'CREATE part ["1","eu"] id,region',
  ]) // prettier-ignore

  await expect.poll(async () => (await target.query(`select from pg_subscription_rel where srsubstate <> 'r'`)).rowCount, { timeout: 20_000 }).toBe(0) // prettier-ignore

  // apply fires no trigger of statements, so a table that a subscription writes to has no use for one
  expect((await audit.status()).tables.find(({ model }) => model === 'many')!.state).toBe('drifted')
  expect((await audit.migrate()).warnings.join()).toContain(
    'many is captured row by row, in spite of bulk: a subscription writes to it',
  )
  await source.query(`begin; insert into item values (3, 3); update item set n = 30 where id = 3; delete from item where id = 1; commit;
    insert into many values (1), (2); insert into part_eu values (2, 'eu'); truncate item; insert into item values (9, 9)`) // prettier-ignore
  await expect.poll(async () => (await target.query('select from item where id = 9')).rowCount, { timeout: 20_000 }).toBe(1) // prettier-ignore
  const applied = (await recorded()).slice(3)
  expect(short(applied)).toEqual([
    'CREATE item 3 id,n,note',
    'UPDATE item 3 n',
    'DELETE item 1 id,n,note',
    'CREATE many 1 id',
    'CREATE many 2 id',
    'CREATE part ["2","eu"] id,region',
    'TRUNCATE item',
    'CREATE item 9 id,n,note',
  ])
  for (const entry of await recorded())
    expect(entry).toMatchObject({ actor: null, origin: 'replication', reason: null })
  // the transaction of the source is one here too
  expect(new Set(applied.slice(0, 3).map(({ tx }) => tx)).size).toBe(1)
})

test('where a subscription brings the trail too, as in an upgrade of a whole database, no change is recorded twice', async () => {
  const { source, target, audit, subscribe, original } = await replicated(item, {})
  await subscribe()
  await original.withContext({ actor: { id: 'ann' } }, async () =>
    original.client.query('insert into item values (1, 1)'),
  )
  await source.query('update item set n = 2; insert into item values (9, 9)')
  const changes = async (of: typeof audit) => (await of.entries.find({ kind: 'change' })).entries
  await expect.poll(async () => (await target.query('select from item where id = 9')).rowCount, { timeout: 20_000 }).toBe(1) // prettier-ignore
  await expect.poll(async () => changes(audit), { timeout: 20_000 }).toEqual(await changes(original))
  expect(short(await changes(audit))).toHaveLength(3)

  const note = expect.stringContaining('a subscription brings the entries of the trail')
  expect((await audit.status()).warnings).toEqual([note])
  expect((await audit.migrate()).warnings).toEqual([note])
  // what is written here by anybody else is recorded as ever, and all of it once the subscription is gone
  await target.query(`insert into item values (20, 20)`)
  expect((await changes(audit))[0]).toMatchObject({ action: 'CREATE', target: { id: '20' }, origin: 'sql' })
  await target.query('alter subscription sub disable')
  await target.query('alter subscription sub set (slot_name = none)')
  await target.query('drop subscription sub')
  expect((await audit.status()).warnings).toEqual([])
})

/** Two databases of one server, with these tables to be replicated; or the second a copy of the first, and all of it. */
async function replicated(tables: string, policy: AuditConfig, published?: string) {
  const copied = !published
  const database = await freshDatabase()
  const name = new URL(database.url).pathname.slice(1)
  const other = `${name}_subscriber`
  const url = database.url.replace(/[^/]*$/, other)
  const admin = capture.database.pool
  const opened = (at: string) => createAudit({ ...policy, database: fromPg(new pg.Pool({ connectionString: at, max: 2 })) }) // prettier-ignore
  const connect = async (at: string) => {
    const client = new pg.Client(at)
    await client.connect()
    return client
  }
  const first = await connect(database.url)
  await first.query(tables)
  if (copied) {
    const before = opened(database.url)
    await before.migrate()
    await before.close()
    await before.client.end()
  }
  // before the slot, which sees the catalogue as it was then
  await first.query(`create publication pub for ${published ? `table ${published}` : 'all tables'}`)
  await first.query(`select pg_create_logical_replication_slot('${other}', 'pgoutput')`)
  await first.end()
  await expect.poll(async () => (await admin.query('select from pg_stat_activity where datname = $1', [name])).rowCount).toBe(0) // prettier-ignore
  await admin.query(`create database ${other} ${copied ? `template ${name}` : ''}`)
  const [source, target] = [await connect(database.url), await connect(url)]
  if (!copied) await target.query(tables)
  const [original, audit] = [opened(database.url), opened(url)]
  if (!copied) await audit.migrate()
  onTestFinished(async () => {
    for (const one of [original, audit]) {
      await one.close()
      await one.client.end()
    }
    const { rows } = await target.query(`select subname from pg_subscription where subdbid = (select oid from pg_database where datname = current_database())`) // prettier-ignore
    if (rows.length > 0) await target.query('drop subscription sub')
    else await source.query('select pg_drop_replication_slot($1)', [other])
    await target.end()
    await source.end()
    await dropDatabase(admin, other)
    await database.drop()
  })
  return {
    source,
    target,
    original,
    audit,
    // a subscription within one server would wait for itself to make its slot
    subscribe: async () =>
      target.query(`create subscription sub connection '${database.url.replace('postgres://', 'postgresql://')}' publication pub
        with (create_slot = false, slot_name = '${other}', copy_data = ${!copied})`),
  }
}
