import { type CaptureCases, refusal } from './capture-suite.ts'

const masked = { $: 'masked' }
const item = `create table item (id integer primary key, name varchar(50), n integer, updated_at varchar(30),
  deleted_at varchar(30), owner_id integer, notes varchar(300))`
const row = `insert into item values (1, 'a', 1, '2024', null, 7, 'x')`

/** What the policy leaves out, hides and classifies. */
export function policyCases({ test, expect, sql }: CaptureCases): void {
  test('an ignored column alone writes no entry, and is listed beside others [A14]', async ({ audited }) => {
    const world = await audited(
      [item, row, 'create table other (id integer primary key, updated_at varchar(30), n integer)'],
      { models: { '*': { ignore: ['updated_at'] }, item: { ignore: ['n'] } } },
    )
    await world.query(`insert into other values (1, '2024', 1)`)
    await world.query(`update item set updated_at = '2025', n = 5`)
    await world.query(`update other set updated_at = '2025'`)
    await world.query(`update item set n = 6, updated_at = '2026', name = 'b'`)
    await world.query(`update other set n = 2, updated_at = '2026'`)
    expect(
      (await world.recorded()).map(([action, id, changes]) => [
        action,
        id,
        new Set(Object.keys(changes ?? {})),
      ]),
    ).toEqual([
      ['CREATE', '1', new Set(['id', 'updated_at', 'n'])],
      ['UPDATE', '1', new Set(['name', 'n', 'updated_at'])],
      ['UPDATE', '1', new Set(['n', 'updated_at'])],
    ])
  })

  test('only included columns are recorded, or all but the excluded ones [F1, F2, F4]', async ({
    audited,
  }) => {
    const world = await audited(
      [item, row, 'create table other (id integer primary key, a integer, b integer)'],
      { models: { '*': { exclude: ['notes', 'b'] }, item: { include: ['name', 'n'] } } },
    )
    await world.query(`update item set notes = 'y', owner_id = 8`)
    await world.query(`update item set name = 'b', notes = 'z'`)
    await world.query('delete from item')
    await world.query('insert into other values (1, 1, 1)')
    await world.query('update other set b = 2')
    await world.query('update other set a = 2, b = 3')
    await world.query('delete from other')
    expect(await world.short()).toEqual([
      'UPDATE item 1 name',
      'DELETE item 1 name,n',
      'CREATE other 1 id,a',
      'UPDATE other 1 a',
      'DELETE other 1 id,a',
    ])
  })

  test('include and exclude together are refused [F3]', async ({ tables }) => {
    const both = { models: { item: { include: ['n'], exclude: ['name'] } } }
    const message = await refusal(tables([item], both))
    expect(message?.includes('both include and exclude')).toEqual(true)
  })

  test('label, subject, category, severity and tags stand on each entry of the table', async ({
    audited,
  }) => {
    const tags = ['a', `it's "b" \\ 😀`]
    const world = await audited([item, row], {
      models: {
        item: {
          label: `{name} no. {n} {}'%s\\`,
          subject: 'owner_id',
          category: `st'ock\\`,
          severity: 'high',
          tags,
        },
      },
    })
    await world.query(`update item set name = 'it''s "b"', n = 2`)
    await world.query('update item set owner_id = 8, name = null')
    await world.query('delete from item')
    const changes = await world.changes()
    expect(changes.map(({ target, subject }) => [target?.label, subject])).toEqual([
      [`it's "b" no. 2 {}'%s\\`, '7'],
      [` no. 2 {}'%s\\`, '8'],
      [` no. 2 {}'%s\\`, '8'],
    ])
    for (const { category, severity, tags: seen } of changes)
      expect([category, severity, seen]).toEqual([`st'ock\\`, 'high', tags])
    expect((await world.audit.entries.find({ subject: 8, model: 'item' })).entries.length).toEqual(2)
  })

  test('a very long label or subject is cut, and the write goes on', async ({ audited }) => {
    const world = await audited(['create table item (id integer primary key, name text)'], {
      models: { item: { label: '{name}', subject: 'name' } },
    })
    await world.query(`insert into item values (1, ${world.at(1)})`, ['é'.repeat(10_000)])
    const [entry] = await world.changes()
    expect([entry?.target?.label?.length, entry?.subject?.length]).toEqual([200, 200])
  })

  test('a soft delete and its undoing have actions of their own', async ({ audited }) => {
    const world = await audited([item, row], { models: { item: { softDelete: 'deleted_at' } } })
    for (const set of [`deleted_at = '2024'`, `deleted_at = '2025'`, 'deleted_at = null, n = 2', 'n = 3'])
      await world.query(`update item set ${set}`)
    await world.query('delete from item')
    expect((await world.recorded()).map(([action]) => action)).toEqual([
      'SOFT_DELETE',
      'UPDATE',
      'RESTORE',
      'UPDATE',
      'DELETE',
    ])
  })

  test('actions that the policy leaves out are not recorded, each by its own name', async ({ audited }) => {
    const every = ['UPDATE', 'CREATE', 'SOFT_DELETE', 'RESTORE', 'DELETE']
    for (const left of every) {
      const world = await audited([item, row], {
        skipActions: [left],
        models: { item: { softDelete: 'deleted_at' } },
      })
      await world.query('update item set n = 2')
      await world.query('insert into item (id) values (2)')
      await world.query(`update item set deleted_at = '2024' where id = 1`)
      await world.query('update item set deleted_at = null where id = 1')
      await world.query('delete from item where id = 1')
      expect((await world.recorded()).map(([action]) => action)).toEqual(
        every.filter((action) => action !== left),
      )
    }
  })

  test('tables that the policy leaves out, and books of migration tools, are not recorded', async ({
    audited,
  }) => {
    const world = await audited(
      [
        item,
        'create table sessions (id integer primary key)',
        'create table caches (id integer primary key)',
        'create table _prisma_migrations (id varchar(36) primary key)',
        'create table __drizzle_migrations (id integer primary key)',
        'create table migrations (id integer primary key, timestamp bigint, name varchar(50))',
      ],
      { models: { sessions: false }, skipModels: ['caches'] },
    )
    for (const table of [
      'sessions',
      'caches',
      '_prisma_migrations',
      '__drizzle_migrations',
      'migrations',
      'item',
    ])
      await world.query(`insert into ${table} (id) values ('1')`)
    expect((await world.recorded()).length).toEqual(1)
    const states = await world.states()
    expect(Object.keys(states).filter((model) => states[model] === 'audited')).toEqual(['item'])
  })

  test('a secret column is masked before and after, and listed only when it changed [F5, F6, F8]', async ({
    audited,
  }) => {
    const world = await audited(
      [
        `create table item (id integer primary key, password varchar(50), email varchar(50), note varchar(50), phone varchar(50),
           api_token varchar(50), plain_token varchar(50))`,
      ],
      { models: { item: { redact: { email: 'hash', phone: 'omit', plain_token: 'keep' } } } },
    )
    await world.query(`insert into item values (1, 's3cret', 'a@b.c', 'n', '555', 's3cret', 'open')`)
    await world.query(`update item set note = 'm', password = password`)
    await world.query(
      `update item set password = 's3cret 2', email = 'd@e.f', phone = '556', api_token = null, plain_token = 'open 2'`,
    )
    await world.query(`insert into item (id, email) values (2, 'd@e.f')`)
    const [created, noted, changed, second] = (await world.recorded()).map(([, , changes]) => changes)
    expect([created?.['password'], created?.['api_token'], created?.['plain_token']]).toEqual([
      [null, masked],
      [null, masked],
      [null, 'open'],
    ])
    expect(noted).toEqual({ note: ['n', 'm'] })
    expect(Object.keys(changed ?? {})).toEqual(['password', 'email', 'api_token', 'plain_token'])
    expect([changed?.['password'], changed?.['api_token']]).toEqual([
      [masked, masked],
      [masked, null],
    ])
    expect([second?.['password'], second?.['email']?.[1]]).toEqual([[null, null], changed?.['email']?.[1]])
    const all = JSON.stringify(await world.changes())
    for (const secret of ['s3cret', 'a@b.c', 'd@e.f', '555', '556'])
      expect(all.includes(secret)).toEqual(false)
  })

  test('a hash tells equal from unequal, or is a mask, and migrate says so [F8]', async ({ tables }) => {
    const world = await tables(['create table item (id integer primary key, email varchar(50))'], {
      models: { item: { redact: { email: 'hash' } } },
    })
    const { warnings } = await world.audit.migrate()
    expect(warnings.some((warning) => warning.includes('email'))).toEqual(!sql.can.hash)
    for (const [id, email] of ['a@b.c', 'd@e.f', 'a@b.c'].entries())
      await world.query(`insert into item values (${id}, '${email}')`)
    const seen = (await world.recorded()).map(([, , changes]) => changes?.['email']?.[1] as { $: string })
    expect(seen.map(({ $ }) => $)).toEqual(seen.map(() => (sql.can.hash ? 'hash' : 'masked')))
    expect(seen[0]).toEqual(seen[2])
    expect(JSON.stringify(seen[0]) === JSON.stringify(seen[1])).toEqual(!sql.can.hash)
  })

  test('a masked key, label or subject does not give the value away', async ({ audited }) => {
    const world = await audited(
      [
        'create table item (ssn varchar(20) primary key, name varchar(20))',
        'create table pair (ssn varchar(20), n integer, primary key (ssn, n))',
      ],
      { models: { item: { label: '{name} {ssn}', subject: 'ssn' } } },
    )
    await world.query(`insert into item values ('s3cret', 'ann')`)
    await world.query(`insert into pair values ('s3cret', 1)`)
    await world.query(`update item set ssn = 's3cret 2'`)
    const [first, second] = await world.changes()
    expect([first?.target, first?.subject]).toEqual([{ model: 'item', id: '***', label: 'ann ***' }, '***'])
    expect(second?.target?.id).toEqual('["***","1"]')
    expect(JSON.stringify(await world.changes()).includes('s3cret')).toEqual(false)
  })

  for (const json of [
    '{"user": "ann", "password": "s3cret"}',
    '{"headers": [{"x-api-key": "s3cret"}]}',
    '{"a": {"b": {"sessionId": {"c": "s3cret"}}}}',
    '{"pass\\u0077ord": "s3cret"}',
    '{"deep": [{"Nickname": "s3cret"}]}',
  ])
    test(`a secret inside JSON is masked: ${json}`, async ({ audited }) => {
      const world = await audited(['create table item (id integer primary key, j json)'], {
        redact: ['**.nickname'],
      })
      await world.query(`insert into item values (1, ${world.at(1)})`, [json])
      await world.query('update item set j = null')
      const all = JSON.stringify(await world.recorded())
      expect([(await world.recorded()).length, all.includes('s3cret'), all.includes('masked')]).toEqual([
        2,
        false,
        true,
      ])
    })

  test('a change without a required reason is refused, and none of its transaction is kept [E14]', async ({
    audited,
  }) => {
    const world = await audited([item, row, 'create table free (id integer primary key)'], {
      models: { item: { reason: 'required' } },
    })
    const refused = async (work: Promise<unknown>): Promise<unknown> =>
      expect((await refusal(work))?.includes('needs a reason')).toEqual(true)
    await refused(world.query('insert into item (id) values (2)'))
    await refused(world.as('ann', async () => world.query('delete from item')))
    await refused(
      world.transaction(async (tx) => {
        await tx.query('insert into free values (1)')
        await tx.query('update item set n = 2')
      }),
    )
    await world.audit.withContext({ reason: 'ticket 7' }, async () => world.query('update item set n = 2'))
    await world.query('update item set n = n')
    await world.query('insert into free values (2)')
    await world.audit.skip('bulk', async () => world.query('update item set n = 3'))
    expect(await world.short()).toEqual(['UPDATE item 1 n', 'CREATE free 2 id', 'SKIPPED item'])
    expect((await world.changes())[0]?.reason).toEqual('ticket 7')
  })

  test('a policy can follow the policy before it: masked, left out or recorded at once', async ({
    audited,
  }) => {
    const world = await audited([item, row])
    await world.query(`update item set notes = 'open'`)
    await world.with({ models: { item: { redact: { notes: 'mask' } } } }).migrate()
    await world.query(`update item set notes = 'hidden 1'`)
    await world.with({ models: { item: { exclude: ['notes'] } } }).migrate()
    await world.query(`update item set notes = 'hidden 2'`)
    await world.with({ models: { item: false } }).migrate()
    await world.query('update item set n = 50')
    await world.with({}).migrate()
    await world.query(`update item set notes = 'open again'`)
    expect((await world.recorded()).map(([, , changes]) => changes)).toEqual([
      { notes: ['x', 'open'] },
      { notes: [masked, masked] },
      { notes: ['hidden 2', 'open again'] },
    ])
  })

  test('check refuses an application that hides more than the database does, and warns of less', async ({
    audited,
  }) => {
    const world = await audited([item], { models: { item: { redact: { name: 'mask' } } } })
    for (const policy of [{ redact: { notes: 'mask' as const, name: 'mask' as const } }, false as const])
      expect((await refusal(world.with({ models: { item: policy } }).check()))?.includes('item')).toEqual(
        true,
      )
    const warnings = await world.with({}).check()
    expect(warnings.map(({ message }) => message.includes('item.name is hidden by the database'))).toEqual([
      true,
    ])
    expect(await world.audit.check()).toEqual([])
  })
}
