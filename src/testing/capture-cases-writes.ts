import { type CaptureCases, refusal } from './capture-suite.ts'

const item = 'create table item (id integer primary key, n integer, name varchar(50))'
const stop = new Error('rolled back on purpose')

/** Which rows of which writes are recorded, and that the writes themselves are as without capture. */
export function writeCases({ test, expect, sql }: CaptureCases): void {
  test('one entry for each row created, changed and deleted [A1, A2, A3]', async ({ audited }) => {
    const world = await audited([item], { models: { item: { label: '{name}' } } })
    await world.query(`insert into item (id, n, name) values (1, 1, 'a')`)
    await world.query('update item set n = 2')
    await world.query('delete from item')
    expect(await world.recorded()).toEqual([
      ['CREATE', '1', { id: [null, 1], n: [null, 1], name: [null, 'a'] }],
      ['UPDATE', '1', { n: [1, 2] }],
      ['DELETE', '1', { id: [1, null], n: [2, null], name: ['a', null] }],
    ])
    expect((await world.changes()).map(({ target }) => target?.label)).toEqual(['a', 'a', 'a'])
  })

  test('a write that changes nothing leaves no entry [A4, A5, A9, A12, A13]', async ({ audited }) => {
    const world = await audited([item, `insert into item values (1, 0, 'a'), (2, null, null)`])
    await world.query('update item set n = n, name = name')
    await world.query(`update item set n = '0', name = 'a' where id = 1`)
    await world.query('update item set n = 7 where id = 3')
    await world.query('delete from item where id = 3')
    expect(await world.recorded()).toEqual([])
  })

  test('swapped columns are both listed, and expressions by their values [A7, A8, A17]', async ({
    audited,
  }) => {
    const world = await audited([
      'create table item (id integer primary key, a integer, b integer, c integer, d integer)',
      'insert into item values (1, 1, 2, 3, 4)',
    ])
    await world.query(sql.swap ?? 'update item set a = b, b = a, c = c * 10 + 1, d = d')
    expect(await world.recorded()).toEqual([['UPDATE', '1', { a: [1, 2], b: [2, 1], c: [3, 31] }]])
  })

  test('a copied row is a new one, and one key may be deleted many times [A10, A11]', async ({ audited }) => {
    const world = await audited([item, `insert into item values (1, 5, 'a')`])
    await world.query('insert into item select id + 1, n, name from item')
    for (let round = 0; round < 3; round++) {
      await world.query('delete from item where id = 2')
      await world.query('insert into item (id) values (2)')
    }
    expect((await world.recorded()).map(([action, id]) => `${action} ${id}`)).toEqual([
      'CREATE 2',
      ...Array.from({ length: 3 }, () => ['DELETE 2', 'CREATE 2']).flat(),
    ])
  })

  test('what the database fills in is recorded [A16]', async ({ audited }) => {
    const world = await audited([
      `create table item (${sql.autoKey}, n integer default 5, twice integer generated always as (n * 2) stored, name varchar(50))`,
    ])
    await world.query(`insert into item (name) values ('a')`)
    await world.query('update item set n = 6')
    expect(await world.recorded()).toEqual([
      ['CREATE', '1', { id: [null, 1], n: [null, 5], twice: [null, 10], name: [null, 'a'] }],
      ['UPDATE', '1', { n: [5, 6], twice: [10, 12] }],
    ])
  })

  test('a failed insert leaves no entry, and its retry exactly one [A19]', async ({ audited }) => {
    const world = await audited([item, `insert into item values (1, 1, 'a')`])
    expect((await refusal(world.query(`insert into item (id) values (2), (1)`))) === null).toEqual(false)
    await world.query(`insert into item (id) values (2)`)
    expect(await world.short()).toEqual(['CREATE item 2 id,n,name'])
  })

  test('a statement of many rows leaves one entry a row, of one transaction [C7, D4]', async ({
    audited,
  }) => {
    const world = await audited([item])
    const rows = Array.from({ length: 500 }, (_, n) => `(${n}, ${n}, 'a')`).join(', ')
    await world.query(`insert into item values ${rows}`)
    await world.query('update item set n = n + 1')
    await world.query('delete from item')
    const changes = await world.changes()
    for (const action of ['CREATE', 'UPDATE', 'DELETE']) {
      const of = changes.filter((entry) => entry.action === action)
      expect([of.length, new Set(of.map(({ target }) => target?.id)).size]).toEqual([500, 500])
      expect(new Set(of.map(({ tx }) => tx)).size).toEqual(1)
    }
  })

  test('upserts record what they did to each row, and nothing where they did nothing [C2, C10]', async ({
    audited,
  }) => {
    const world = await audited([
      'create table item (id integer primary key, n integer unique)',
      'insert into item values (1, 1)',
    ])
    const upsert = sql.upsert ?? 'on conflict (id) do update set n = excluded.n'
    const ignoring = sql.ignoring ?? ((into: string) => `insert ${into} on conflict do nothing`)
    await world.query(`insert into item (id, n) values (1, 5), (2, 2) ${upsert}`)
    await world.query(ignoring('into item (id, n) values (1, 9), (3, 3), (4, 2)'))
    await world.query(`insert into item (id, n) values (1, 5) ${upsert}`)
    expect(await world.short()).toEqual(['UPDATE item 1 n', 'CREATE item 2 id,n', 'CREATE item 3 id,n'])
  })

  test(
    'what a foreign key cascades is recorded, each with the context of the statement [C12]',
    async ({ audited }) => {
      const world = await audited([
        'create table parent (id integer primary key)',
        'create table owned (id integer primary key, parent_id integer, foreign key (parent_id) references parent (id) on delete cascade on update cascade)',
        'create table linked (id integer primary key, parent_id integer, foreign key (parent_id) references parent (id) on delete set null)',
        'insert into parent values (1), (2)',
        'insert into owned values (1, 1), (2, 2)',
        'insert into linked values (1, 1)',
      ])
      await world.as('ann', async () => {
        await world.query('update parent set id = 3 where id = 2')
        await world.query('delete from parent where id = 1')
      })
      expect((await world.short()).toSorted()).toEqual(
        [
          'UPDATE parent 2 id',
          'UPDATE owned 2 parent_id',
          'DELETE parent 1 id',
          'DELETE owned 1 id,parent_id',
          'UPDATE linked 1 parent_id',
        ].toSorted(),
      )
      expect(new Set((await world.changes()).map(({ actor }) => actor?.id))).toEqual(new Set(['ann']))
    },
    sql.can.recordCascades,
  )

  test('a rolled-back transaction leaves nothing, a committed one everything [D1, D2, D4]', async ({
    audited,
  }) => {
    const world = await audited([item])
    const rolledBack = world.transaction(async (tx) => {
      await tx.query('insert into item (id) values (1)')
      throw stop
    })
    expect(await refusal(rolledBack)).toEqual(stop.message)
    for (const base of [10, 20]) {
      await world.as('ann', async () =>
        world.transaction(async (tx) => {
          await tx.query(`insert into item (id) values (${base})`)
          await tx.query(`update item set n = 1 where id = ${base}`)
        }),
      )
    }
    const changes = await world.changes()
    expect(changes.map(({ action, target }) => `${action} ${target?.id}`)).toEqual([
      'CREATE 10',
      'UPDATE 10',
      'CREATE 20',
      'UPDATE 20',
    ])
    const [a, b, c, d] = changes.map(({ tx }) => tx)
    expect([a === b, c === d, a === c, a === null]).toEqual([true, true, false, false])
    expect(changes[0]?.request?.id === changes[1]?.request?.id).toEqual(true)
  })

  test('a rollback to a savepoint takes away what came after it, and no more [D1, D11]', async ({
    audited,
  }) => {
    const world = await audited([item])
    await world.as('ann', async () =>
      world.transaction(async (tx) => {
        await tx.query('insert into item (id) values (1)')
        await tx.query('savepoint a')
        await tx.query('insert into item (id) values (2)')
        await world.as('bob', async () => tx.query('insert into item (id) values (3)'))
        await tx.query('savepoint b')
        await tx.query('insert into item (id) values (4)')
        await tx.query('rollback to savepoint a')
        await tx.query('insert into item (id) values (5)')
        await tx.query('savepoint c')
        await world.as('bob', async () => tx.query('insert into item (id) values (6)'))
        await tx.query('release savepoint c')
        await tx.query('insert into item (id) values (7)')
      }),
    )
    expect((await world.changes()).map(({ target, actor }) => `${target?.id} ${actor?.id}`)).toEqual([
      '1 ann',
      '5 ann',
      '6 bob',
      '7 ann',
    ])
  })

  test('row counts, returned rows and new keys are those without capture [D3]', async ({ audited }) => {
    const columns = `(${sql.autoKey}, n integer)`
    const world = await audited([`create table item ${columns}`, `create table other ${columns}`], {
      skipModels: ['other'],
    })
    for (const statement of [
      'insert into # (n) values (1)',
      'insert into # (n) values (2), (3)',
      'insert into # (n) values (4) returning id',
      'update # set n = n',
      'update # set n = n + 1 where id > 1',
      'update # set n = 0 where id = 99',
      'delete from # where id = 99',
      'delete from # where id = 1',
      'select count(*) as n from #',
    ]) {
      const [audits, plain] = [
        await world.query(statement.replace('#', 'item')),
        await world.query(statement.replace('#', 'other')),
      ]
      expect([statement, audits]).toEqual([statement, plain])
      const inside = await world.transaction(async (tx) => [
        await tx.query(statement.replace('#', 'item')),
        await tx.query(statement.replace('#', 'other')),
      ])
      expect([statement, inside[0]]).toEqual([statement, inside[1]])
    }
  })

  test('concurrent writers of one row and of others are all recorded, and none fails [D10]', async ({
    audited,
  }) => {
    const world = await audited([item, 'insert into item (id, n) values (1, 0), (2, 0), (3, 0), (4, 0)'])
    await Promise.all(
      Array.from({ length: 40 }, async (_, n) =>
        world.as(`a${n}`, async () => {
          await world.query('update item set n = n + 1 where id = 1')
          await world.query(`update item set n = n + 1 where id = ${2 + (n % 3)}`)
        }),
      ),
    )
    const changes = await world.changes()
    const first = changes.filter(({ target }) => target?.id === '1')
    expect(first.map(({ changes: columns }) => columns?.['n'])).toEqual(
      Array.from({ length: 40 }, (_, n) => [n, n + 1]),
    )
    expect([changes.length, new Set(first.map(({ actor }) => actor?.id)).size]).toEqual([80, 40])
  })

  test(
    'what a TRUNCATE empties leaves one entry',
    async ({ audited }) => {
      const world = await audited([item, 'insert into item (id) values (1), (2)'])
      await world.as('ann', async () => world.query('truncate table item'))
      expect(await world.short()).toEqual(['TRUNCATE item'])
    },
    sql.can.truncate,
  )
}
