import { Client } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { captureDatabase, short } from './fixture.ts'

const capture = captureDatabase()
const item =
  'create table item (id int primary key, n int, note text); insert into item values (1, 1), (2, 2)'

async function connect(url: string): Promise<Client> {
  const client = new Client({ connectionString: url })
  await client.connect()
  onTestFinished(async () => client.end())
  return client
}

/** A table that was changed while a transaction, which had not yet touched it, was open. */
async function changedUnder(isolation: string, ddl: string, writes: readonly string[]) {
  const world = await capture.audited(`${item}; create table other (id int primary key)`)
  const client = await connect(world.url)
  await client.query('update item set n = 10 where id = 1') // its plans know the table as it was
  await client.query(`begin isolation level ${isolation}; select count(*) from other`)
  await world.sql(ddl)
  for (const write of writes) await client.query(write)
  await client.query('commit')
  expect(await world.status()).toMatchObject({ item: 'drifted' })
  return (await world.recorded()).slice(1)
}

test.each(['read committed', 'repeatable read', 'serializable'])(
  'a transaction that began before the table changed records what it writes then: %s',
  async (isolation) => {
    const writes = [
      `update item set extra = 'x' where id = 1`,
      `insert into item (id, n, extra) values (3, 3, 'y')`,
      `delete from item where id = 3`,
    ]
    expect(await changedUnder(isolation, 'alter table item add extra text, drop note', writes)).toEqual([
      ['UPDATE', '1', { extra: [null, 'x'] }],
      ['CREATE', '3', { id: [null, 3], n: [null, 3], extra: [null, 'y'] }],
      ['DELETE', '3', { id: [3, null], n: [3, null], extra: ['y', null] }],
    ])
    const renamed = ['update item set n = 11 where item_id = 1', 'delete from item where item_id = 2']
    expect(await changedUnder(isolation, 'alter table item rename id to item_id', renamed)).toEqual([
      ['UPDATE', '1', { n: [10, 11] }],
      ['DELETE', '2', { item_id: [2, null], n: [2, null], note: [null, null] }],
    ])
  },
)

test('writers go on while the table is changed again and again under them, and no change is lost', async () => {
  const world = await capture.audited(
    'create table item (id int primary key, n int not null, c0 int default 0)',
  )
  await world.sql('insert into item select n, 0 from generate_series(1, 4) n')
  let changing = true
  let written = 0
  onTestFinished(() => void (changing = false))
  const writers = [1, 2, 3, 4].map(async (id) => {
    const client = await connect(world.url)
    while (changing) {
      await client.query({ name: 'write', text: 'update item set n = n + 1 where id = $1', values: [id] })
      written++
    }
  })
  for (let n = 0; n < 8; n++) {
    await world.sql(`alter table item add c${n + 1} int default ${n}`)
    await world.sql(`alter table item drop c${n}`)
    await world.sql(
      `alter table item rename c${n + 1} to d; alter table item alter d type bigint; alter table item rename d to c${n + 1}`,
    )
    if (n % 3 === 0) await world.audit.migrate()
  }
  changing = false
  await Promise.all(writers)
  const { rows } = await world.sql('select sum(n)::int as sum from item')
  const recorded = (await world.recorded()).filter(([action]) => action === 'UPDATE')
  expect([rows[0].sum, recorded.length]).toEqual([written, written])
})

test('a table moved to another schema is recorded until migrate says that it no longer is', async () => {
  const world = await capture.audited(item)
  await world.sql(
    `create schema ${world.schema}_archive; alter table item set schema ${world.schema}_archive`,
  )
  await world.sql(`update ${world.schema}_archive.item set n = 5 where id = 1`)
  expect(short(await world.entries())).toEqual(['UPDATE item 1 n'])
  const { done } = await world.audit.migrate()
  expect(done).toEqual([
    `removed capture from ${world.schema}_archive.item, which the policy no longer covers`,
  ])
  const wider = world.with({ schemas: [world.schema, `${world.schema}_archive`] })
  await wider.migrate()
  await world.sql(`update ${world.schema}_archive.item set n = 6 where id = 1`)
  expect(short(await world.entries()).at(-1)).toBe(`UPDATE ${world.schema}_archive.item 1 n`)
})

test('a context of the session, or one with characters that no text may hold, fails no write', async () => {
  const world = await capture.audited(item)
  const client = await connect(world.url)
  for (const context of ['user:9', '-', '--', '-user:9', '\u001e', `x'"\\`, '😀', '\n\n\n', 'user:9\u001er\u001e\u001e\n\n\n\n\n\n{"a":"\\u0000"}']) {
    await client.query(`select set_config('whodunit.context', $1, false)`, [context])
    await client.query('update item set n = n + 1 where id = 1')
  } // prettier-ignore
  await client.query('reset whodunit.context; update item set n = 0 where id = 1')
  const nul = {
    actor: { id: 'a\u0000b' },
    reason: 'x\u0000\ud800y',
    tenant: '\u0000',
    request: { id: '\u0000\u001e' },
  }
  await world.audit.withContext(nul, async () => world.client.query('update item set n = -1 where id = 1'))
  const entries = (await world.entries()).filter(({ kind }) => kind === 'change')
  expect(entries.map(({ action }) => action)).toEqual([
    'UPDATE', 'SKIPPED', 'SKIPPED', 'SKIPPED', 'UPDATE', 'UPDATE', 'UPDATE', 'UPDATE', 'UPDATE', 'UPDATE', 'UPDATE',
  ]) // prettier-ignore
  expect(entries.map(({ actor }) => actor?.id ?? null).filter(Boolean)).toHaveLength(4)
  await world.sql('select to_json(e) from whodunit.entries e')
})

test('a role that may only insert, or only delete, is recorded', async () => {
  const world = await capture.audited(item)
  const role = await capture.database.createRole()
  await world.sql(
    `grant usage on schema ${world.schema} to ${role.name}; grant insert on item to ${role.name}`,
  )
  await role.pool.query(`insert into ${world.schema}.item values (3, 3)`)
  await world.sql(`revoke insert on item from ${role.name}; grant delete on item to ${role.name}`)
  await role.pool.query(`delete from ${world.schema}.item`)
  expect(short(await world.entries()).toSorted()).toEqual([
    'CREATE item 3 id,n,note',
    'DELETE item 1 id,n,note',
    'DELETE item 2 id,n,note',
    'DELETE item 3 id,n,note',
  ])
})
