import { once } from 'node:events'
import { spawn, spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { captureDatabase, short } from './fixture.ts'

const capture = captureDatabase()
const item = 'create table item (id int primary key, n int); insert into item values (1, 1)'

test('a write without a context is recorded with role, application and address, and no actor [D11]', async () => {
  const world = await capture.audited(item)
  await world.sql('update item set n = 2')
  const [entry] = (await world.entries()).filter(({ kind }) => kind === 'change')
  expect(entry).toMatchObject({
    actor: null,
    request: null,
    tenant: null,
    reason: null,
    origin: 'sql',
    role: 'postgres',
    app: null,
  })
  expect(entry!.details).toEqual({ application: 'a plain client', address: '127.0.0.1' })
  const { rows } = await world.sql(
    `select actor_type, actor_id, origin, context, details from whodunit.entries where id = $1`,
    [entry!.id],
  )
  expect(rows[0]).toEqual({
    actor_type: null,
    actor_id: null,
    origin: 'sql',
    context: null,
    details: { role: 'postgres', application: 'a plain client', address: '127.0.0.1' },
  })
})

test.skipIf(spawnSync('psql', ['--version']).status !== 0)('a change made in psql is recorded', async () => {
  const world = await capture.audited(item)
  const psql = spawn('psql', ['-X', '-q', '-d', world.url, '-c', `update item set n = 3`], {
    stdio: 'ignore',
  })
  await once(psql, 'exit')
  const [entry] = (await world.entries()).filter(({ kind }) => kind === 'change')
  expect(entry).toMatchObject({ action: 'UPDATE', actor: null, details: { application: 'psql' } })
})

test('an entry with a context holds neither application nor address of the connection', async () => {
  const world = await capture.audited(item)
  await world.audit.withContext({ actor: { id: 'ann' } }, async () =>
    world.client.query('update item set n = 2'),
  )
  const [entry] = (await world.entries()).filter(({ kind }) => kind === 'change')
  expect(entry!.details).toEqual({})
  expect(entry!.role).toBe('postgres')
})

test('addresses are not stored where the policy says so [E10]', async () => {
  const world = await capture.audited(item, { addresses: false })
  await world.sql('update item set n = 2')
  await world.audit.withContext({ actor: { id: 'ann' }, request: { ip: '192.0.2.7' } }, async () => {
    await world.client.query('update item set n = 3')
    await world.audit.logAuditEvent({ action: 'x', request: { ip: '192.0.2.8' }, durable: true })
  })
  const all = JSON.stringify(await world.entries())
  expect(all).not.toContain('127.0.0.1')
  expect(all).not.toContain('192.0.2')
})

test('a context set by hand in SQL is recorded', async () => {
  const world = await capture.audited(item)
  await world.sql(`begin; select whodunit.set_context(actor => 'user:42', label => 'Ann', reason => 'ticket 7', tenant => 't', request => 'r');
    update item set n = 2; commit; update item set n = 3`)
  const [first, second] = (await world.entries()).filter(({ kind }) => kind === 'change')
  expect(first).toMatchObject({
    actor: { type: 'user', id: '42', label: 'Ann' },
    reason: 'ticket 7',
    tenant: 't',
    request: { id: 'r' },
    origin: 'sql',
  })
  expect(second).toMatchObject({ actor: null, reason: null })
})

test.each([
  ['plain text', 'ann', null],
  ['JSON', '{"actor": {"id": 1}}', null],
  ['only separators', '\u001e\u001e\u001e', null],
  ['too many parts', Array.from({ length: 50 }, () => 'x').join('\u001e'), null],
  ['an unknown type of actor', 'wizard:7\u001er', null],
  ['a colon alone', ':', null],
  ['an actor without an id', 'user:', { type: 'user', id: null }],
  ['an actor of a known type', 'job:nightly', { type: 'job', id: 'nightly' }],
  [
    'broken JSON in the last line',
    'user:1\u001er\u001et\u001elabel\n\n\n\nwhy\nhttp\n{"metadata": ',
    { type: 'user', id: '1', label: 'label' },
  ],
  ['JSON that is no object', 'user:1\u001e\u001e\u001e\n\n\n\n\n\n[1]', { type: 'user', id: '1' }],
  ['an odd origin', 'user:1\u001e\u001e\u001e\n\n\n\n\nelsewhere\n', { type: 'user', id: '1' }],
  [
    'a huge one',
    `user:1\u001e${'r'.repeat(1_000_000)}\u001e${'t'.repeat(1_000_000)}\u001e${'x'.repeat(1_000_000)}`,
    { type: 'user', id: '1' },
  ],
])('a malformed context, %s, fails no write and no reading', async (_, text, actor) => {
  const world = await capture.audited(item)
  const client = await world.client.connect()
  try {
    await client.query('begin')
    await client.query(`select set_config('whodunit.context', $1, true)`, [text])
    await client.query('update item set n = 2')
    await client.query('truncate item')
    await client.query('commit')
  } finally {
    client.release()
  }
  const entries = (await world.entries()).filter(({ kind }) => kind === 'change')
  expect(short(entries)).toEqual(['UPDATE item 1 n', 'TRUNCATE item'])
  if (actor) expect(entries[0]!.actor).toMatchObject(actor)
  else expect(entries[0]!.actor?.id ?? null).toBeNull()
  expect(JSON.stringify(entries).length).toBeLessThan(100_000)
  const { rows } = await world.sql('select to_json(e) as entry from whodunit.entries e where id = $1', [
    entries[0]!.id,
  ])
  expect(rows).toHaveLength(1)
})

test('metadata of any content can be read in SQL as well', async () => {
  const world = await capture.audited(item)
  const metadata = {
    nul: 'a\u0000b',
    half: '\ud800',
    quote: `'"\\`,
    list: [1, null, { deep: true }],
    'odd key\u0000': 1,
  }
  await world.audit.withContext({ actor: { id: 'ann' }, metadata }, async () => {
    await world.client.query('update item set n = 2')
    await world.audit.logAuditEvent({ action: 'x', metadata, durable: true })
  })
  for (const { id, metadata: read } of (await world.entries()).filter(({ actor }) => actor)) {
    expect(read).toMatchObject({ quote: `'"\\`, list: [1, null, { deep: true }] })
    const { rows } = await world.sql('select context -> $2 as metadata from whodunit.entries where id = $1', [
      id,
      'metadata',
    ])
    expect(rows[0].metadata).toMatchObject({ quote: `'"\\`, list: [1, null, { deep: true }] })
  }
})

test('skipped work leaves one entry for each transaction and table, with the reason', async () => {
  const world = await capture.audited(`${item}; create table other (id int primary key)`)
  const { audit, client } = world
  await audit.withContext({ actor: { type: 'job', id: 'import' } }, async () =>
    audit.skip('a million rows', async () => {
      await client.query('insert into item select n, n from generate_series(2, 100) n')
      const held = await client.connect()
      await held.query('begin')
      for (let n = 0; n < 3; n++)
        await held.query(`update item set n = n + 1; insert into other values (${n}); truncate other`)
      await held.query('commit')
      held.release()
    }),
  )
  await client.query('update item set n = 0 where id = 1')
  const entries = (await world.entries()).filter(({ kind }) => kind === 'change')
  expect(short(entries)).toEqual(['SKIPPED item', 'SKIPPED item', 'SKIPPED other', 'UPDATE item 1 n'])
  expect(entries[0]).toMatchObject({
    actor: { type: 'job', id: 'import' },
    reason: 'a million rows',
    target: { id: null },
    changes: null,
  })
})

test('a SKIPPED entry goes with a rolled-back savepoint, and the next write leaves one again', async () => {
  const world = await capture.audited(item)
  const client = await world.client.connect()
  await world.audit.skip('why not', async () => {
    await client.query(
      'begin; savepoint a; update item set n = 2; rollback to a; update item set n = 3; update item set n = 4; commit',
    )
    await client.query(
      'begin; update item set n = 5; savepoint a; update item set n = 6; rollback to a; update item set n = 7; commit',
    )
    await client.query('begin; update item set n = 8; rollback')
  })
  client.release()
  expect(short(await world.entries())).toEqual(['SKIPPED item', 'SKIPPED item'])
})

test('where the policy forbids to skip, the database records the writes all the same', async () => {
  const world = await capture.audited(item, { allowSkip: false })
  expect(() => world.audit.skip('why not', () => 1)).toThrow('forbidden by the policy')
  const careless = world.with({})
  await careless.withContext({ actor: { id: 'ann' } }, async () =>
    careless.skip('why not', async () => careless.client.query('update item set n = 2')),
  )
  const entries = (await world.entries()).filter(({ kind }) => kind === 'change')
  expect(entries).toMatchObject([{ action: 'UPDATE', actor: { id: 'ann' }, changes: { n: [1, 2] } }])
})

test('a change without a required reason is refused, and so is none of its transaction kept [E14]', async () => {
  const world = await capture.audited(`${item}; create table free (id int primary key)`, {
    models: { item: { reason: 'required' } },
  })
  const { audit, client } = world
  await expect(client.query('insert into item values (2, 2)')).rejects.toThrow(
    'a change of item needs a reason',
  )
  await expect(
    audit.withContext({ actor: { id: 1 } }, async () => client.query('delete from item')),
  ).rejects.toThrow('needs a reason')
  await expect(client.query('insert into free values (1); update item set n = 2')).rejects.toMatchObject({
    code: '23514',
    hint: expect.stringContaining('audit.withContext'),
  })
  await audit.withContext({ reason: 'ticket 7' }, async () => client.query('update item set n = 2'))
  await client.query('update item set n = n; insert into free values (2)')
  await audit.skip('bulk', async () => client.query('update item set n = 3'))
  expect(short(await world.entries())).toEqual(['UPDATE item 1 n', 'CREATE free 2 id', 'SKIPPED item'])
})
