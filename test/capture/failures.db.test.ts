import { Client } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { fromPg } from '../../src/database/postgres.ts'
import { type AuditError, createAudit } from '../../src/index.ts'
import { type Audited, captureDatabase } from './fixture.ts'

const capture = captureDatabase()
const item = `create table item (id int primary key, note text, n int); insert into item values (1, 'hidden', 1), (2, 'hidden', 1)`
const report = { onCaptureError: 'report' } as const

/** Tables whose failures are let through, with what `onError` hears of them. */
async function reporting(ddl = item, policy = {}) {
  const heard: AuditError[] = []
  const onError = (error: unknown) => void heard.push(error as AuditError)
  const world = await capture.audited(ddl, { ...report, ...policy, onError })
  return { ...world, heard, causes: () => heard.splice(0).map(({ code, message }) => `${code} ${/\((\w+)/.exec(message)?.[1]}`) }
} // prettier-ignore

/** Breaks the trail until the end of the test, or until it is called. */
async function broken(
  { sql }: Pick<Audited, 'sql'>,
  does: string,
  mends: string,
): Promise<() => Promise<void>> {
  let mended = false
  const mend = async () => {
    if (mended) return
    mended = true
    await sql(mends)
    await sql('delete from whodunit.unrecorded')
  }
  onTestFinished(mend)
  await sql(does)
  return mend
}

/** As a trigger of the trail that refuses all entries, with this SQLSTATE. */
function refusing(world: Audited, state: string): Promise<() => Promise<void>> {
  const raise = `begin raise exception 'a disk, a lock, a value: hidden' using errcode = '${state}'; end`
  return broken(
    world,
    `create function public.fault() returns trigger language plpgsql as '${raise.replaceAll("'", "''")}';
     create trigger fault before insert on whodunit.change for each row execute function public.fault()`,
    'drop function public.fault() cascade',
  )
}

const lost = async ({ audit }: Pick<Audited, 'audit'>): Promise<string[]> =>
  (await audit.status()).unrecorded.map(
    ({ model, changes, causes }) => `${model} ${changes} ${causes.join()}`,
  )
const numbers = async ({ sql }: Audited): Promise<number[]> =>
  (await sql('select n from item order by id')).rows.map(({ n }) => n)
const codeOf = async (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'done',
    (error: { code: string }) => error.code,
  )

for (const [title, does, mends, cause, canEnter] of [
  [
    'the half of row changes was renamed',
    'alter table whodunit.change rename to gone',
    'alter table whodunit.gone rename to change',
    '42P01',
    false,
  ],
  [
    'the owner lost the right to insert',
    'revoke insert on whodunit.change from whodunit_owner',
    'grant insert on whodunit.change to whodunit_owner',
    '42501',
    false,
  ],
  [
    'the sequence of ids has ended',
    "alter sequence whodunit.entry_id maxvalue 1000000 restart 1000000; select nextval('whodunit.entry_id')",
    'alter sequence whodunit.entry_id no maxvalue',
    '2200H',
    false,
  ],
  [
    'a month takes none of these rows',
    `alter table whodunit.change add constraint no_labels check (label is null) not valid`,
    'alter table whodunit.change drop constraint no_labels',
    '23514',
    true,
  ],
  [
    'a column of the trail is gone',
    'alter table whodunit.entry rename column label to gone',
    'alter table whodunit.entry rename column gone to label',
    '42703',
    true,
  ],
] as const)
  // prettier-ignore
  test(`a change goes through while ${title}, and onError, status and log say so`, async () => {
    const world = await reporting(item, { models: { item: { label: '{note}' } } })
    await world.client.query('update item set n = 2 where id = 1') // plans are cached before it breaks
    const mend = await broken(world, does, mends)
    await world.client.query('update item set n = 3')
    await world.client.query('delete from item where id = 2')
    const told = `AUDIT_CAPTURE_FAILED ${cause}`
    expect([world.causes(), await numbers(world)]).toEqual([[told, told], [3]])
    expect((await lost(world))[0]).toContain(`item 3 ${cause}`)
    await mend()
    expect((await world.recorded()).map(([action, id]) => `${action} ${id}`).toSorted()).toEqual([
      ...(canEnter ? ['UNRECORDED 1', 'UNRECORDED 2', 'UNRECORDED 2'] : []),
      'UPDATE 1',
    ])
  })

test('no value of the row is in what is counted, told or kept of a failure', async () => {
  const world = await reporting()
  await refusing(world, '22P02')
  await world.client.query(`update item set note = 'hidden 2'`)
  expect(world.heard).toHaveLength(1)
  const { rows } = await world.sql('select json_agg(u) as all from whodunit.unrecorded u')
  expect(JSON.stringify([world.heard[0]!.message, rows, await world.audit.status()])).not.toContain('hidden')
})

test('onError hears once a transaction, table and cause, of its own client alone, and nothing after close', async () => {
  const world = await reporting(`${item}; create table other (id int primary key)`)
  const elsewhere: unknown[] = []
  const other = world.with({ ...report, onError: (error) => elsewhere.push(error) })
  await refusing(world, '58030')
  const client = await world.client.connect()
  await client.query('begin')
  for (let n = 0; n < 5; n++) await client.query('update item set n = n + 1')
  await client.query('insert into other select generate_series(1, 3)')
  await client.query('commit')
  client.release()
  expect(world.heard.map(({ message }) => /of (\w+) was/.exec(message)![1])).toEqual(['item', 'other'])
  expect(world.heard[0]!.hint).toContain('npx whodunit migrate')
  expect(elsewhere).toEqual([])
  await other.client.query('update item set n = 0')
  expect([world.heard.length, elsewhere.length]).toEqual([2, 1])
  expect(await lost(world)).toEqual(['item 12 58030', 'other 3 58030'])
  await other.close()
  await other.client.query('update item set n = 1')
  expect(elsewhere).toHaveLength(1)
})

test('several audits over one lone client each hear, and put no more than one listener on it', async () => {
  const world = await reporting()
  await refusing(world, '58030')
  const client = new Client(world.url)
  await client.connect()
  onTestFinished(async () => client.end())
  const heard = [0, 0, 0]
  const audits = heard.map((_, n) =>
    createAudit({ ...report, database: fromPg(client), onError: () => void (heard[n]! += 1) }),
  )
  expect(client.listenerCount('notice')).toBe(1)
  await client.query('update item set n = 2')
  await audits[0]!.close()
  await client.query('update item set n = 3')
  expect(heard).toEqual([1, 2, 2])
})

for (const state of ['53100', '55P03', '58030', 'XX001', '22003', '54000', '0A000'])
  test(`a failure of SQLSTATE ${state} is let through`, async () => {
    const world = await reporting()
    await refusing(world, state)
    expect(await codeOf(world.client.query('update item set n = 2'))).toBe('done')
    expect([await lost(world), world.causes()]).toEqual([
      [`item 2 ${state}`],
      [`AUDIT_CAPTURE_FAILED ${state}`],
    ])
  })

for (const state of ['40001', '40P01', '53200', '57014', '57P01', '57P05'])
  test(`SQLSTATE ${state} ends the write as without us, in the entry and in the counting alike`, async () => {
    const world = await reporting()
    const mend = await refusing(world, state)
    expect(await codeOf(world.client.query('update item set n = 2'))).toBe(state)
    await mend()
    expect([await numbers(world), await lost(world), world.heard]).toEqual([[1, 1], [], []])
  })

test('a statement that is cancelled while it waits for the trail is cancelled; one that only gives up a lock goes on', async () => {
  const world = await reporting()
  const locker = new Client(world.url)
  await locker.connect()
  onTestFinished(async () => locker.end())
  await locker.query('begin; lock table whodunit.change in exclusive mode')
  const writer = await world.client.connect()
  await writer.query(`set statement_timeout = '200ms'`)
  expect(await codeOf(writer.query('update item set n = 2'))).toBe('57014')
  await writer.query(`set statement_timeout = 0; set lock_timeout = '50ms'`)
  expect(await codeOf(writer.query('update item set n = 3 where id = 1'))).toBe('done')
  writer.release(true)
  await locker.query('rollback')
  expect([await numbers(world), await lost(world)]).toEqual([[3, 1], ['item 1 55P03']])
  await world.sql('delete from whodunit.unrecorded')
})

test('a deadlock over the trail ends the transaction that the server has chosen', async () => {
  const world = await reporting()
  const [locker, writer] = [new Client(world.url), new Client(world.url)]
  for (const client of [locker, writer]) await client.connect()
  onTestFinished(async () => {
    for (const client of [locker, writer]) await client.end()
  })
  await locker.query(`set deadlock_timeout = '30s'; begin; lock table whodunit.change in exclusive mode`)
  await writer.query(`set deadlock_timeout = '300ms'; begin`)
  const waiting = codeOf(writer.query('update item set n = 2 where id = 1'))
  await locker.query(`set local lock_timeout = '10s'`)
  for (;;) {
    const { rows } = await world.sql(
      `select from pg_locks where relation = 'whodunit.change'::regclass and not granted`,
    )
    if (rows.length > 0) break
  }
  const second = locker.query('update item set n = 3 where id = 1')
  expect(await waiting).toBe('40P01')
  await second
  await locker.query('commit')
  await writer.query('rollback')
  expect([await numbers(world), await lost(world)]).toEqual([[3, 1], []])
})

test('captured by statement, the rows of a failed statement are counted', async () => {
  const world = await reporting(item, { models: { item: { bulk: true } } })
  const mend = await refusing(world, '53100')
  await world.client.query(`insert into item select n, 'hidden', n from generate_series(3, 102) n`)
  await world.client.query('update item set n = 0 where id = 1')
  await world.client.query('delete from item where id > 90')
  await world.client.query('delete from item where id > 90')
  expect(await lost(world)).toEqual(['item 113 53100'])
  await world.client.query('truncate item')
  expect(await lost(world)).toEqual(['item 114 53100'])
  await mend()
  await world.client.query(`insert into item values (1, 'x', 1), (2, 'x', 1)`)
  expect((await world.recorded()).map(([action]) => action)).toEqual(['CREATE', 'CREATE'])
})

test('what is counted makes no writer wait, and what is committed later is counted later', async () => {
  const world = await reporting()
  const mend = await refusing(world, '53100')
  const client = await world.client.connect()
  await client.query('begin')
  await client.query('update item set n = 2 where id = 1')
  await world.sql(`set lock_timeout = '200ms'; update item set n = 3 where id = 2`)
  expect(await lost(world)).toEqual(['item 1 53100'])
  await world.sql('alter table whodunit.change disable trigger fault')
  expect((await world.audit.migrate()).done.filter((what) => what.includes('unrecorded'))).toHaveLength(1)
  expect(await lost(world)).toEqual([])
  await client.query('commit')
  client.release()
  expect(await lost(world)).toEqual(['item 1 53100'])
  await mend()
})

test('where not even the count can be kept, the write goes on and onError hears of it', async () => {
  const world = await reporting()
  const mend = await refusing(world, '53100')
  await world.sql('alter table whodunit.unrecorded rename to uncounted')
  await world.client.query('update item set n = 2')
  await world.sql('alter table whodunit.uncounted rename to unrecorded')
  await world.sql(`alter function whodunit.let_through rename to gone`)
  await world.client.query('update item set n = 3 where id = 1')
  await world.sql(`alter function whodunit.gone rename to let_through`)
  expect([await numbers(world), await lost(world)]).toEqual([[3, 2], []])
  expect(world.causes()).toEqual(['AUDIT_CAPTURE_FAILED 53100', 'AUDIT_CAPTURE_FAILED 53100'])
  await mend()
})

test('a write that is undone takes its warning no further than onError, and the next transaction is told anew', async () => {
  const world = await reporting()
  await refusing(world, '53100')
  const client = await world.client.connect()
  await client.query('begin; savepoint a')
  await client.query('update item set n = 2')
  await client.query('rollback to a')
  await client.query('update item set n = 3')
  await client.query('commit')
  await client.query('update item set n = 4')
  client.release()
  expect([world.causes().length, await lost(world)]).toEqual([3, ['item 4 53100']])
})

test('each change is a savepoint of its own, and its entry belongs to the transaction all the same', async () => {
  const world = await reporting()
  await world.sql(`begin; update item set n = 2; insert into item values (3, 'x', 1); commit`)
  const entries = (await world.entries()).filter(({ kind }) => kind === 'change')
  expect(entries.map(({ action }) => action)).toEqual(['UPDATE', 'UPDATE', 'CREATE'])
  expect(new Set(entries.map(({ tx }) => tx)).size).toBe(1)
})

test('a reader and a writer see what is missing, and neither can make it look otherwise', async () => {
  const world = await reporting()
  const mend = await refusing(world, '53100')
  await world.client.query('update item set n = 2')
  const role = await capture.database.createRole()
  await capture.database.pool.query(
    `grant usage on schema ${world.schema} to ${role.name}; grant whodunit_writer to ${role.name}`,
  )
  expect((await role.pool.query('select changes from whodunit.unrecorded')).rows).toHaveLength(2)
  for (const attempt of [
    'delete from whodunit.unrecorded',
    'update whodunit.unrecorded set changes = 0',
    'truncate whodunit.unrecorded',
    `select whodunit.let_through('item', 'UPDATE', 'x', 1, '', '', '', '', '')`,
  ])
    expect(await codeOf(role.pool.query(attempt)), attempt).toBe('42501')
  await mend()
})
