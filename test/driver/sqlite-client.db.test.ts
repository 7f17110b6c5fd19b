import { setTimeout as sleep } from 'node:timers/promises'
import { DatabaseSync } from 'node:sqlite'
import { createClient } from '@libsql/client'
import Database from 'better-sqlite3'
import { expect, onTestFinished, test } from 'vitest'
import { fromBetterSqlite3, fromLibsql, fromNodeSqlite } from '../../src/database/sqlite.ts'
import { type AuditDatabase, createAudit, isAuditError } from '../../src/index.ts'
import { sqliteWorld } from '../harness/sqlite.ts'

const item = 'create table item (id integer primary key, n integer unique, note text)'
const row = 'select skip, actor, request_id, tenant, context, tx, skipped from whodunit_context'
const empty = {
  skip: null,
  actor: null,
  request_id: null,
  tenant: null,
  context: null,
  tx: null,
  skipped: '',
}
const ann = { actor: { id: 'ann' } }

const code = (work: () => unknown): unknown => {
  try {
    work()
  } catch (error) {
    return isAuditError(error) ? error.code : error
  }
  return undefined
}

test('every way of committing leaves the row of the context empty', async () => {
  const world = await sqliteWorld(item)
  const { client, audit } = world
  const commits: [string, () => void][] = [
    ['exec', () => client.exec(`begin; insert into item (note) values ('exec'); commit`)],
    ['end', () => client.exec(`begin; insert into item (note) values ('end'); end transaction`)],
    [
      'prepare',
      () => {
        client.prepare('BEGIN').run()
        client.prepare(`insert into item (note) values ('prepare')`).run()
        client.prepare('/* done */ COMMIT').run()
      },
    ],
    [
      'release',
      () => {
        client.exec('savepoint a; savepoint b')
        client.prepare(`insert into item (note) values ('release')`).run()
        client.exec('release b')
        client.prepare(`insert into item (note) values ('release')`).run()
        client.prepare('release a').run()
      },
    ],
    ['transaction', () => client.transaction(() => client.exec(`insert into item (note) values ('t')`))()],
    [
      'immediate',
      () =>
        client
          .transaction((note) => client.prepare('insert into item (note) values (?)').run(note))
          .immediate('i'),
    ],
    [
      'nested',
      () =>
        client.transaction(() => {
          client.exec(`insert into item (note) values ('outer')`)
          const inner = client.transaction(() => client.exec(`insert into item (note) values ('inner')`))
          inner.exclusive()
          expect(() =>
            client.transaction(() => {
              client.exec(`insert into item (note) values ('gone')`)
              throw new Error('undone')
            })(),
          ).toThrow('undone')
          client.exec(`insert into item (note) values ('after')`)
        })(),
    ],
    ['alone', () => client.exec(`insert into item (note) values ('alone')`)],
    ['failed', () => expect(() => client.exec('insert into item (id) values (1)')).toThrow('UNIQUE')],
  ]
  for (const [name, commit] of commits) {
    audit.withContext(ann, commit)
    expect(client.inTransaction, name).toBe(false)
    expect(world.other.prepare(row).get(), name).toEqual(empty)
    world.other.exec(`insert into item (note) values ('foreign')`)
  }
  const changes = await world.changes()
  const seen = changes.map(({ actor, changes: columns }) => [columns!['note']![1], actor?.id ?? null])
  expect(seen.filter(([note, actor]) => (note === 'foreign') !== (actor === null))).toEqual([])
  expect(changes).toHaveLength(11 + commits.length)
})

test('results, counts, keys and modes are those without the wrapper [D3]', async () => {
  const world = await sqliteWorld(item)
  const { client } = world
  const insert = client.prepare('insert into item (n, note) values (?, ?)')
  expect(insert).toBeInstanceOf(Object.getPrototypeOf(world.other.prepare('select 1')).constructor)
  expect(insert.run(1, 'a')).toEqual({ changes: 1, lastInsertRowid: 1 })
  expect(client.prepare('insert into item (n) values (2), (3) returning id').all()).toEqual([
    { id: 2 },
    { id: 3 },
  ])
  expect(client.prepare('update item set n = n + 10 returning id').pluck().all()).toEqual([1, 2, 3])
  expect(client.prepare('update item set n = n + 10 returning id, n').raw().get()).toEqual([1, 21])
  expect([...client.prepare('delete from item where id > 1 returning id').iterate()]).toEqual([
    { id: 2 },
    { id: 3 },
  ])
  expect(client.prepare('insert into item (n) values (@n)').run({ n: 5 }).lastInsertRowid).toBe(2)
  expect(client.prepare('insert into item (n) values (?)').bind(6).run().changes).toBe(1)
  expect(client.prepare('update item set n = ?').columns).toBeTypeOf('function')
  expect(client.prepare('select last_insert_rowid()').pluck().get()).toBe(3)
  client.exec('update item set note = note where id = 99')
  expect(client.prepare('select changes()').pluck().get()).toBe(0)
  client.exec(`update item set note = 'b' where id = 1`)
  expect(client.prepare('select changes()').pluck().get()).toBe(1)
  client.exec(`begin; update item set note = 'c'`)
  expect(client.prepare('select changes()').pluck().get()).toBe(3)
  client.exec('update item set note = note where id = 99; commit')
  expect(client.prepare('select changes()').pluck().get()).toBe(0)
  client.defaultSafeIntegers(true)
  expect(client.prepare('update item set n = n').run().changes).toBe(3)
  client.defaultSafeIntegers(false)
})

test('errors are the same objects, and leave no transaction open', async () => {
  const world = await sqliteWorld(`${item}; create table child (p integer references item deferrable initially deferred)`)
  const { client, other, audit } = world
  client.exec('insert into item (id, n) values (1, 1)')
  for (const sql of ['insert into item (id) values (1)', 'insert into nowhere values (1)', 'selec 1', 'insert into child values (9)', `insert into item (n) values ('a'), (1)`]) {
    const [without, within] = [other, client].map((database) => code(() => audit.withContext(ann, () => database.exec(sql))) as Error)
    expect(within!.constructor, sql).toBe(without!.constructor)
    expect(Object.entries(within!)).toEqual(Object.entries(without!))
    expect(within!.message).toBe(without!.message)
    expect(client.inTransaction).toBe(false)
  }
  audit.withContext(ann, () => {
    client.exec('begin; insert into child values (9)')
    expect(() => client.exec('commit')).toThrow('FOREIGN KEY')
    expect(client.inTransaction).toBe(true)
    client.exec('insert into item (id) values (9); commit')
  })
  const changes = await world.changes()
  expect(changes.slice(1).map(({ actor, target, tx }) => [actor?.id, target!.model, tx === changes[1]!.tx])).toEqual([
    ['ann', 'child', true],
    ['ann', 'item', true],
  ])
  expect(other.prepare(row).get()).toEqual(empty)
}) // prettier-ignore

test('what cannot run in a transaction runs, and scripts with triggers in them', async () => {
  const world = await sqliteWorld(item)
  world.audit.withContext(ann, () => {
    world.client.exec(
      `vacuum; pragma foreign_keys = off; attach ':memory:' as more; create table more.x (a); insert into more.x values (1); detach more; analyze`,
    )
    world.client.exec(
      `create table log (a); create trigger t after insert on item begin insert into log values (';'); insert into log values ('end;'); end; insert into item (n) values (1);`,
    )
  })
  expect((await world.changes()).map(({ actor }) => actor?.id)).toEqual(['ann'])
})

test('a context that changes between the statements of one transaction, over several turns of the loop', async () => {
  const world = await sqliteWorld(item)
  const { client, audit } = world
  client.exec('begin')
  await Promise.all(
    ['a', 'b', 'c'].map(async (id) =>
      audit.withContext({ actor: { id } }, async () => {
        for (let n = 0; n < 3; n++) {
          client.prepare('insert into item (note) values (?)').run(id)
          await sleep(1)
        }
      }),
    ),
  )
  client.exec(`insert into item (note) values (null); commit`)
  const changes = await world.changes()
  expect(
    changes.filter(({ actor, changes: columns }) => (actor?.id ?? null) !== columns!['note']![1]),
  ).toEqual([])
  expect([changes.length, new Set(changes.map(({ tx }) => tx)).size]).toEqual([10, 1])
})

test('before there is a trail, and after it was taken away, writes go on', async () => {
  const client = new Database(':memory:')
  const database = fromBetterSqlite3(client)
  const audit = createAudit({ database })
  client.exec(item)
  audit.withContext(ann, () =>
    client.exec('insert into item (n) values (1); begin; insert into item (n) values (2); commit'),
  )
  await audit.migrate()
  audit.withContext(ann, () => client.exec('insert into item (n) values (3)'))
  expect((await audit.entries.find({ kind: 'change' })).entries.map(({ actor }) => actor?.id)).toEqual([
    'ann',
  ])
  await database.setup.uninstall({ trail: true })
  audit.withContext(ann, () => client.exec('insert into item (n) values (4)'))
  expect(client.prepare('select count(*) from item').pluck().get()).toBe(4)
  await audit.close()
})

test.each([
  ['in a file', async () => sqliteWorld(item)],
  [
    'in memory',
    async () => {
      const client = new Database(':memory:')
      client.exec(item)
      const audit = createAudit({ database: fromBetterSqlite3(client) })
      await audit.migrate()
      onTestFinished(async () => audit.close())
      return { client, audit: audit as never as Awaited<ReturnType<typeof sqliteWorld>>['audit'] }
    },
  ],
])('%s, what the library writes waits for the transaction of the application, which waits for nothing', async (_, open) => {
  const { client, audit } = await open()
  client.exec('begin; insert into item (n) values (1)')
  await expect(audit.logAuditEvent({ action: 'x', durable: true })).rejects.toMatchObject({ code: 'AUDIT_WRITE_DEADLOCK' })
  await audit.in(client as never).logAuditEvent({ action: 'joined' })
  await audit.logAuditEvent({ action: 'later' })
  await sleep(200)
  client.exec('commit')
  await audit.flush()
  const { entries } = await audit.entries.find({ kind: 'event', action: ['joined', 'later'] })
  expect(entries.map(({ action, tx }) => [action, tx === null]).toSorted(([a], [b]) => String(a).localeCompare(String(b)))).toEqual([['joined', false], ['later', true]])
  const [change] = (await audit.entries.find({ kind: 'change' })).entries
  expect(change!.tx).toBe(entries.find(({ action }) => action === 'joined')!.tx)
  client.exec('begin; insert into item (n) values (2)')
  await audit.in(client as never).logAuditEvent({ action: 'undone' })
  client.exec('rollback')
  expect((await audit.entries.find({ action: 'undone' })).entries).toEqual([])
}) // prettier-ignore

test('a migration gives way to the application, and comes to its end', async () => {
  const tables = Array.from({ length: 20 }, (_, n) => `create table t${n} (id integer primary key)`).join(';')
  const world = await sqliteWorld(`${item}; ${tables}`, { skipModels: [] })
  const migrating = createAudit({
    database: fromBetterSqlite3(world.client),
    models: { '*': { ignore: [] } },
  })
  let done = false
  const end = migrating.migrate().finally(() => (done = true))
  let writes = 0
  while (!done) {
    world.client.exec(`begin; insert into item (n) values (null)`)
    world.client.exec('commit')
    writes++
    await (writes % 3 === 0 ? sleep(1) : Promise.resolve())
  }
  await end
  expect((await world.changes()).length).toBe(writes)
  expect((await migrating.migrate()).done).toEqual([])
  await migrating.close()
})

test('the context arrives, and check proves it, through each client', async () => {
  for (const database of [
    fromBetterSqlite3(new Database(':memory:')),
    fromBetterSqlite3(new Database(':memory:'), { context: 'function' }),
    fromNodeSqlite(new DatabaseSync(':memory:')),
    fromNodeSqlite(new DatabaseSync(':memory:'), { context: 'function' }),
    fromLibsql(createClient({ url: ':memory:' })),
  ] as AuditDatabase[]) {
    const audit = createAudit({ database })
    await audit.migrate()
    expect(await audit.check()).toEqual([])
    await audit.close()
  }
})

test('triggers that read the row, and an application that answers by a function, do not fit, and check says so', async () => {
  const client = new Database(':memory:')
  client.exec(item)
  await createAudit({ database: fromBetterSqlite3(client) }).migrate()
  const copy = new Database(client.serialize())
  const audit = createAudit({ database: fromBetterSqlite3(copy, { context: 'function' }) })
  await expect(audit.check()).rejects.toMatchObject({ code: 'AUDIT_CONTEXT_LOST' })
})

test('tag stores of node:sqlite carry the context', async () => {
  const client = new DatabaseSync(':memory:')
  client.exec(item)
  const audit = createAudit({ database: fromNodeSqlite(client) })
  await audit.migrate()
  const sql = client.createTagStore()
  audit.withContext(ann, () => {
    expect(sql.run`insert into item (n) values (${1})`).toMatchObject({ changes: 1 })
    expect(sql.all`update item set n = ${2} returning n`).toEqual([{ n: 2 }])
    expect([...sql.iterate`delete from item returning n`]).toEqual([{ n: 2 }])
    expect(sql.get`select count(*) as n from item`).toEqual({ n: 0 })
  })
  const { entries } = await audit.entries.find({ kind: 'change' })
  expect(entries.map(({ actor }) => actor?.id)).toEqual(['ann', 'ann', 'ann'])
})

test('other objects, remote databases and what SQLite cannot do are refused', async () => {
  for (const odd of [null, {}, { prepare() {} }]) {
    expect(code(() => fromBetterSqlite3(odd as never))).toBe('AUDIT_CLIENT_UNKNOWN')
    expect(code(() => fromNodeSqlite(odd as never))).toBe('AUDIT_CLIENT_UNKNOWN')
    expect(code(() => fromLibsql(odd as never))).toBe('AUDIT_CLIENT_UNKNOWN')
  }
  expect(code(() => fromLibsql(createClient({ url: 'http://127.0.0.1:1' })))).toBe('AUDIT_DATABASE_UNSUPPORTED')
  const database = fromBetterSqlite3(new Database(':memory:'))
  expect(code(() => createAudit({ database, onCaptureError: 'report' }))).toBe('AUDIT_POLICY_INVALID')
  const audit = createAudit({ database })
  expect(code(() => audit.in(new Database(':memory:')))).toBeUndefined()
  await audit.migrate()
  await expect(audit.in(new Database(':memory:')).logAuditEvent({ action: 'x' })).rejects.toMatchObject({ code: 'AUDIT_CLIENT_UNKNOWN' })
  await expect(
    database.write([{ ref: 'r', at: new Date(), kind: 'change' as never, action: 'UPDATE', context: { actor: '', request: '', tenant: '', rest: '' } }]),
  ).rejects.toMatchObject({ code: 'AUDIT_ENTRY_INVALID' })
}) // prettier-ignore

test('a batch of libsql is one transaction, with errors that count as the application does', async () => {
  const client = createClient({ url: ':memory:' })
  await client.execute(item)
  const audit = createAudit({ database: fromLibsql(client) })
  await audit.migrate()
  await audit.withContext(ann, async () => {
    const results = await audit.client.batch(['insert into item (n) values (1)', { sql: 'insert into item (n) values (?) returning id', args: [2] }])
    expect(results.map(({ rowsAffected, rows }) => [rowsAffected, rows.length])).toEqual([[1, 0], [0, 1]])
    const failing = ['insert into item (n) values (3)', 'insert into item (n) values (1)']
    await expect(audit.client.batch(failing)).rejects.toMatchObject({ statementIndex: 1 })
    const [without, within] = await Promise.all([client, audit.client].map(async (one) => one.execute(failing[1]!).catch((error: unknown) => error as Error)))
    expect(Object.entries(within!)).toEqual(Object.entries(without!))
    expect((within as Error).message).toBe((without as Error).message)
    expect((within as Error).constructor).toBe((without as Error).constructor)
    await audit.client.executeMultiple(`begin; insert into item (n) values (5); commit; insert into item (n) values (6) -- end`)
  })
  await client.execute('insert into item (n) values (9)')
  const { entries } = await audit.entries.find({ kind: 'change' })
  expect(entries.map(({ actor }) => actor?.id)).toEqual([undefined, 'ann', 'ann', 'ann', 'ann'])
}) // prettier-ignore
