import type { CaptureCases } from './capture-suite.ts'

const item = 'create table item (id integer primary key, n integer)'
const row = 'insert into item values (1, 1)'

/** Contexts that end in a signed-in user, as their text travels; the parts are held apart by U+001E, the lines by LF. */
const byHand: readonly (readonly [string, string, Record<string, unknown> | null])[] = [
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
    'quotes and emoji',
    `user:'"\\ 😀\u001e'\u001e"\u001e'\n"\n\\`,
    { type: 'user', id: `'"\\ 😀`, label: `'` },
  ],
  [
    'a huge one',
    `user:1\u001e${'r'.repeat(300_000)}\u001e${'t'.repeat(300_000)}\u001e${'x'.repeat(300_000)}`,
    { type: 'user', id: '1' },
  ],
]

/** Who an entry names: with a context, without one, with one put in by hand, and while capture is skipped. */
export function contextCases({ test, expect, sql }: CaptureCases): void {
  test('a write without a context is recorded, and names nobody [D11]', async ({ audited }) => {
    const world = await audited([item, row])
    await world.plain('update item set n = 2')
    await world.query('update item set n = 3')
    for (const entry of await world.changes())
      expect([entry.actor, entry.request, entry.tenant, entry.reason, entry.origin]).toEqual([
        null,
        null,
        null,
        null,
        'sql',
      ])
    expect((await world.recorded()).length).toEqual(2)
  })

  test('a context that comes or changes during a transaction lands on the right entries [D4, D11]', async ({
    audited,
  }) => {
    const world = await audited([item])
    const full = {
      actor: { id: 'ann', label: 'Ann' },
      request: { id: 'r1', ip: '192.0.2.1', userAgent: 'agent', path: '/x' },
      tenant: 't',
      reason: 'why',
      metadata: { a: [1, `'"\\`] },
    }
    await world.transaction(async (tx) => {
      await tx.query('insert into item (id) values (1)')
      await world.audit.withContext(full, async () => {
        await tx.query('insert into item (id) values (2)')
        world.audit.set({ reason: 'another' })
        await tx.query('insert into item (id) values (3)')
      })
      await tx.query('insert into item (id) values (4)')
    })
    const changes = await world.changes()
    expect(changes.map(({ actor, reason }) => [actor?.id ?? null, reason])).toEqual([
      [null, null],
      ['ann', 'why'],
      ['ann', 'another'],
      [null, null],
    ])
    const { actor, request, tenant, metadata, tx } = changes[1]!
    expect({ actor, request, tenant, metadata }).toEqual({
      actor: { type: 'user', id: 'ann', label: 'Ann' },
      request: full.request,
      tenant: 't',
      metadata: full.metadata,
    })
    expect(changes.map((entry) => entry.tx === tx)).toEqual([true, true, true, true])
  })

  for (const [name, text, actor] of byHand)
    test(`a context put in by hand, ${name}, fails no write and no reading [D11]`, async ({ audited }) => {
      const world = await audited([item, row])
      await world.byHand(text, 'update item set n = 2', 'delete from item')
      await world.plain('insert into item values (2, 2)')
      const changes = await world.changes()
      expect(changes.map(({ action }) => action)).toEqual(['UPDATE', 'DELETE', 'CREATE'])
      const seen = { ...changes[0]?.actor }
      if (actor)
        expect(Object.keys(actor).map((key) => seen[key as keyof typeof seen])).toEqual(Object.values(actor))
      else expect(changes[0]?.actor?.id ?? null).toEqual(null)
      expect([changes[2]?.actor, JSON.stringify(changes).length < 100_000]).toEqual([null, true])
      expect((await world.plain(`select * from ${sql.view} where kind = 'change'`)).length >= 3).toEqual(true)
    })

  test('the public view shows what the entries hold', async ({ audited }) => {
    const world = await audited([item], {
      models: { item: { label: 'no. {id}', subject: 'n', category: 'c' } },
    })
    const context = {
      actor: { id: 'ann', label: 'Ann' },
      request: { id: 'r', ip: '192.0.2.1' },
      reason: 'why',
      tenant: 't',
    }
    await world.audit.withContext(context, async () => world.query('insert into item values (1, 7)'))
    const [entry] = await world.changes()
    const columns = `kind, action, model, target_id, target_label, actor_type, actor_id, actor_label, subject, tenant,
      request_id, ip, user_agent, session_id, reason, category, severity, origin`
    const [seen] = await world.plain(`select ${columns} from ${sql.view} where id = ${entry?.id}`)
    expect({ ...seen }).toEqual({
      kind: 'change', action: 'CREATE', model: 'item', target_id: '1', target_label: 'no. 1', actor_type: 'user',
      actor_id: 'ann', actor_label: 'Ann', subject: '7', tenant: 't', request_id: 'r', ip: '192.0.2.1', user_agent: null,
      session_id: null, reason: 'why', category: 'c', severity: 'info', origin: entry?.origin,
    }) // prettier-ignore
    const rest = await world.plain(
      `select ref, at, changes, tx, context, details from ${sql.view} where id = ${entry?.id}`,
    )
    expect(rest.length).toEqual(1)
  })

  test('skipped work leaves one entry for each transaction and table, with the reason', async ({
    audited,
  }) => {
    const world = await audited([item, 'create table other (id integer primary key)'])
    await world.audit.withContext({ actor: { type: 'job', id: 'import' } }, async () =>
      world.audit.skip('a million rows', async () => {
        await world.query('insert into item values (1, 1), (2, 2), (3, 3)')
        await world.transaction(async (tx) => {
          for (let n = 0; n < 3; n++) {
            await tx.query('update item set n = n + 1')
            await tx.query(`insert into other values (${n})`)
            await tx.query(`delete from other where id = ${n - 1}`)
          }
        })
      }),
    )
    await world.query('update item set n = 0 where id = 1')
    expect(await world.short()).toEqual(['SKIPPED item', 'SKIPPED item', 'SKIPPED other', 'UPDATE item 1 n'])
    const [first] = await world.changes()
    expect([first?.actor?.id, first?.reason, first?.target?.id, first?.changes]).toEqual([
      'import',
      'a million rows',
      null,
      null,
    ])
  })

  test('a SKIPPED entry goes with a rolled-back savepoint, and the next write leaves one again', async ({
    audited,
  }) => {
    const world = await audited([item, row])
    const run = async (...statements: string[]): Promise<unknown> =>
      world.transaction(async (tx) => {
        for (const statement of statements) await tx.query(statement)
      })
    const update = 'update item set n = n + 1'
    await world.audit.skip('why not', async () => {
      await run('savepoint a', update, 'rollback to savepoint a', update, update)
      await run(update, 'savepoint a', update, 'rollback to savepoint a', update)
    })
    expect(await world.short()).toEqual(['SKIPPED item', 'SKIPPED item'])
  })

  test('where the policy forbids to skip, the database records the writes all the same', async ({
    audited,
  }) => {
    const world = await audited([item, row], { allowSkip: false })
    await world.byHand('-user:ann\u001e\u001e\u001e', 'update item set n = 2')
    const [entry] = await world.changes()
    expect([entry?.action, entry?.actor?.id, entry?.changes]).toEqual(['UPDATE', 'ann', { n: [1, 2] }])
  })

  test('addresses are not stored where the policy says so [E10]', async ({ audited }) => {
    const world = await audited([item, row], { addresses: false })
    await world.query('update item set n = 2')
    await world.audit.withContext({ actor: { id: 'ann' }, request: { ip: '192.0.2.7' } }, async () => {
      await world.query('update item set n = 3')
      await world.audit.logAuditEvent({ action: 'x', request: { ip: '192.0.2.8' }, durable: true })
    })
    expect(/127\.0\.0\.1|192\.0\.2/.test(JSON.stringify(await world.entries()))).toEqual(false)
  })
}
