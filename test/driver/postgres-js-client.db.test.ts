import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { eq } from 'drizzle-orm'
import { integer, pgTable, text, timestamp } from 'drizzle-orm/pg-core'
import { drizzle } from 'drizzle-orm/postgres-js'
import postgres from 'postgres'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { type AuditEntry, createAudit, isAuditError } from '../../src/index.ts'
import { fromPostgresJs } from '../../src/database/postgres.ts'
import { freshDatabase, type TestDatabase } from '../harness/postgres.ts'
import { type CountingProxy, countingProxy } from './proxy.ts'

let database: TestDatabase
let proxy: CountingProxy
const open = (options: postgres.Options<{}> = {}, mode: 'begin' | 'pipeline' = 'begin') => {
  const original = postgres(proxy.url, { max: 1, onnotice() {}, ...options })
  const audit = createAudit({ database: fromPostgresJs(original, { mode }) })
  return { original, audit, sql: audit.client }
}
let { original, audit, sql } = {} as ReturnType<typeof open>

beforeAll(async () => {
  database = await freshDatabase()
  proxy = await countingProxy(database.url)
  await database.pool.query(`create table item (id int primary key, note text, at timestamptz, data jsonb);
    create table child (item int references item deferrable initially deferred);
    create procedure add_two(a int) language plpgsql as $$ begin insert into item values (a); commit; insert into item values (a + 1); end $$`)
  ;({ original, audit, sql } = open())
  await audit.migrate()
})
afterAll(async () => {
  await audit.close()
  await original.end()
  await proxy.close()
  await database.drop()
})
let newest = 0n
beforeEach(async () => {
  await database.pool.query('delete from child; delete from item')
  const { entries } = await audit.entries.find({}, { limit: 1 })
  newest = BigInt(entries[0]?.id ?? 0)
})

const as = async <T>(id: string, work: () => T | PromiseLike<T>): Promise<T> =>
  audit.withContext({ actor: { id } }, async () => work())
const written = async (): Promise<AuditEntry[]> => {
  const { entries } = await audit.entries.find({ model: 'item', action: 'CREATE' }, { limit: 50 })
  const { rows } = await database.pool.query('select id from item')
  return entries.filter(
    ({ id: of, target }) => BigInt(of) > newest && rows.some(({ id }) => String(id) === target?.id),
  )
}
const actors = async (): Promise<unknown[]> =>
  (await written())
    .toSorted((a, b) => Number(a.target!.id) - Number(b.target!.id))
    .map(({ actor }) => actor?.id ?? null)

test('fragments, helpers and values in lists make one statement, which carries the context', async () => {
  await as('ann', async () => {
    const rows = [
      { id: 1, note: 'a' },
      { id: 2, note: 'b' },
    ]
    const returned =
      await sql`${sql`insert`} into ${sql('item')} ${sql(rows, 'id', 'note')} returning ${sql(['id', 'note'])}`
    expect([...returned]).toEqual(rows)
    expect(returned.count).toBe(2)
    const where = sql`where id in ${sql([1, 2])} ${[sql`and true`, sql`and id > ${0}`]}`
    await sql`update item set ${sql({ note: 'c' })} ${where}`
    expect([...(await sql`select note from item ${where}`.values())]).toEqual([['c'], ['c']])
  })
  expect(await actors()).toEqual(['ann', 'ann'])
})

test('a query has the context of where it was made, wherever it is awaited', async () => {
  const made = await as('ann', () => ({ later: sql`insert into item ${sql({ id: 1 })}` }))
  await as('ben', () => made.later)
  const none = { later: sql`insert into item values (2)` }
  await as('ben', () => none.later)
  expect(await actors()).toEqual(['ann', null])
})

test('each way to read the answer gives what it gives without the wrapper', async () => {
  await original`insert into item select n, 'n' || n, null, '{"a":1}' from generate_series(1, 5) n`
  const ways: ((on: postgres.Sql) => Promise<unknown>)[] = [
    async (on) => on`select * from item where id > ${2}`,
    async (on) => on`select * from item`.values(),
    async (on) => on`select note from item where id = ${1}`.raw(),
    async (on) => (await on`select id, note from item`.describe()).columns.map(({ name }) => name),
    async (on) => on`select 1 as a; select 2 as b`.simple(),
    async (on) => on.unsafe('\n select 1 as a; select 2 as b; select note from item'),
    async (on) => on.unsafe('-- first\nselect 1 as a'),
    async (on) => on.unsafe(`set local application_name = 'x'; select 1 as a`),
    async (on) => on.unsafe('update item set note = note; select count(*) from item'),
    async (on) => on.unsafe('select $1::int[] as list', [on.array([1, 2])] as never),
    async (on) => on`select ${on.json({ a: [1] })}::jsonb as j, ${on.typed(new Date(0), 1184)} as t`,
    async (on) => (await on`update item set note = 'x' where id < ${3}`).count,
    async (on) => on.unsafe('select 1 as a').then((rows) => rows.statement?.string),
    async (on) => {
      const found: unknown[] = []
      await on`select id from item order by id`.forEach(({ id }) => void found.push(id))
      return found
    },
    async (on) => {
      const found: unknown[] = []
      for await (const rows of on`select id from item order by id`.cursor(2))
        found.push(rows.map(({ id }) => id))
      return found
    },
    async (on) => {
      const found: unknown[] = []
      for await (const rows of on`select id from item order by id`.cursor(2)) {
        found.push(rows.length)
        break
      }
      return [found, await on`select 1 as one`]
    },
    async (on) => {
      const found: unknown[] = []
      await on`select id from item where id > ${1} order by id`.cursor(3, (rows) => void found.push(...rows))
      return found
    },
    async (on) => {
      const chunks: string[] = []
      for await (const chunk of await on`copy item (id) to stdout`.readable()) chunks.push(String(chunk))
      return chunks.join('')
    },
  ]
  for (const way of ways) {
    const plain = await way(original)
    expect(await as('ann', async () => way(sql)), String(way)).toEqual(plain)
    expect(await as('ann', async () => sql.begin(async (tx) => way(tx as never))), String(way)).toEqual(plain)
  }
})

test('COPY from a stream, a file of SQL, and several statements in a text carry the context', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'whodunit-file-'))
  onTestFinished(async () => rm(folder, { recursive: true }))
  const [one, two] = [join(folder, 'one.sql'), join(folder, 'two.sql')]
  await writeFile(one, `insert into item values (2); insert into item values (3)`)
  await writeFile(two, `insert into item values ($1)`)
  await as('ann', async () => {
    await pipeline(Readable.from(['1\ta\n']), await sql`copy ${sql('item')} (id, note) from stdin`.writable())
    await sql.file(one)
    await sql.file(two, [4])
    await sql.unsafe(
      `insert into item values (5); delete from item where id = 5; insert into item values (6)`,
    )
    await sql`insert into item values (7); insert into ${sql('item')} values (8)`.simple()
    await sql.begin(async (tx) => tx.file(two, [9]))
  })
  expect(await actors()).toEqual(Array.from({ length: 8 }, () => 'ann'))
})

test('savepoints, and transactions of several results, carry it', async () => {
  await as('ann', async () => {
    const results = await sql.begin('isolation level serializable', (tx) => [
      tx`insert into item values (1)`,
      tx`select ${1}::int as one`,
    ])
    expect(results[1]).toEqual([{ one: 1 }])
    await sql.begin(async (tx) => {
      await tx
        .savepoint('s', async (inner) => {
          await as('ben', () => inner`insert into item values (${2})`)
          throw new Error('undo')
        })
        .catch(() => {})
      await tx`insert into item values (${3})`
      await as('ben', () => tx.savepoint((inner) => inner`insert into item values (${4})`))
      await tx.savepoint((inner) => inner`insert into item values (${5})`)
    })
  })
  expect(await actors()).toEqual(['ann', 'ann', 'ben', 'ann'])
})

test('a statement is done when its transaction is: what only COMMIT refuses is its own error', async () => {
  const failure = async (on: postgres.Sql): Promise<Record<string, unknown>> =>
    on`insert into child values (${7})`.then(
      () => ({}),
      (error) => error,
    )
  const [plain, carried] = [await failure(original), await as('ann', async () => failure(sql))]
  expect(plain['code']).toBe('23503')
  for (const part of ['code', 'query', 'parameters']) expect(carried[part]).toEqual(plain[part])
  expect(await sql`select 1 as one`).toEqual([{ one: 1 }])
})

test('an error is that of the statement, with its text, its parameters and where it was made', async () => {
  const failures: ((on: postgres.Sql) => Promise<unknown>)[] = [
    async (on) => on`insert into nowhere values (${1})`,
    async (on) => on`select ${'é'}, nowhere`,
    async (on) => on.unsafe('insert into nowhere values (1)'),
    async (on) => on.unsafe('insert into item values ($1)', ['x']),
  ]
  for (const fail of failures) {
    const of = async (on: postgres.Sql): Promise<Record<string, unknown>> =>
      fail(on).then(
        () => ({}),
        (error) => error,
      )
    const plain = await of(original)
    for (const error of [
      await as('ann', async () => of(sql)),
      await as('ann', async () => sql.begin(async (tx) => of(tx as never)).catch((e) => e)),
    ]) {
      const parts = ({ code, position, query, parameters, message }: Record<string, unknown>) => ({
        code,
        position,
        query,
        parameters,
        message,
      })
      expect(parts(error)).toEqual(parts(plain))
      expect(String(error['stack']).includes('postgres-js-client.db.test')).toBe(
        String(plain['stack']).includes('postgres-js-client.db.test'),
      )
    }
  }
})

test('a value that cannot be sent fails its statement, and nothing after it', async () => {
  const prepared = (on: postgres.Sql | postgres.TransactionSql, at: unknown) =>
    on`insert into item (id, at) values (${1}, ${at as Date})`
  for (const value of [undefined, new Date(Number.NaN)]) {
    await as('ann', async () => {
      await expect(prepared(sql, value)).rejects.toThrow(/Undefined|Invalid/)
      await sql`delete from item`
      await prepared(sql, new Date(0)) // now prepared
      await expect(prepared(sql, value)).rejects.toThrow(/Undefined|Invalid/)
      expect(await sql`select 1 as one`).toEqual([{ one: 1 }])
      await expect(sql.begin(async (tx) => prepared(tx, value))).rejects.toThrow(/Undefined|Invalid/)
      await expect(
        sql.begin(async (tx) => {
          await prepared(tx, value).catch(() => {})
          return tx`select 2 as two`
        }),
      ).rejects.toThrow(/Undefined|Invalid/)
      expect(await sql`select 3 as three`).toEqual([{ three: 3 }])
      await sql`delete from item`
      await prepared(sql, new Date(0))
    })
    expect(new Set(await actors())).toEqual(new Set(['ann']))
    await sql`delete from item`
  }
})

test('a statement that the server has to plan anew is sent again, with its context', async () => {
  await original`create table changing (id int)`
  onTestFinished(async () => void (await original`drop table changing`))
  const read = async () => sql`select * from changing where id >= ${0}`
  await as('ann', async () => {
    await sql`insert into changing values (${1})`
    expect(await read()).toEqual([{ id: 1 }])
    await original`alter table changing add note text`
    expect(await read()).toEqual([{ id: 1, note: null }])
    expect(await read()).toEqual([{ id: 1, note: null }])
  })
})

test('a query can be cancelled, before and while it runs', async () => {
  await as('ann', async () => {
    for (const wait of [0, 200]) {
      const query = sql`select pg_sleep(${10})`
      const failed = expect(query).rejects.toMatchObject({ code: '57014' })
      await new Promise((resolve) => setTimeout(resolve, wait))
      query.cancel()
      await failed
    }
    await sql`insert into item values (1)`
  })
  expect(await actors()).toEqual(['ann'])
})

test('a connection that breaks fails what it was doing, and a later one carries the context', async () => {
  const terminate = `select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep%' and pid <> pg_backend_pid()`
  await as('ann', async () => {
    const broken = expect(sql`select pg_sleep(${10})`).rejects.toThrow(/terminat|CONNECTION_CLOSED/)
    await expect.poll(async () => (await database.pool.query(terminate)).rowCount).toBeGreaterThan(0)
    await broken
    await sql`select 1`.catch(() => {}) // postgres.js tells the next query, too
    await sql`insert into item values (${1})`
  })
  expect(await actors()).toEqual(['ann'])
})

test('the library connects by the postgres that it is given, with the settings of the sql', async () => {
  const bundled = postgres(`${proxy.url}?application_name=bundled`, { max: 1 })
  const made: unknown[] = []
  const given = (options: never) => {
    made.push((options as { max: number }).max)
    return postgres(options)
  }
  const other = createAudit({ database: fromPostgresJs(bundled, { postgres: given }) })
  await other.logAuditEvent({ action: 'mail.sent', durable: true })
  await other.entries.find()
  const { rows } = await database.pool.query(
    `select count(*)::int as n from pg_stat_activity where application_name = 'bundled'`,
  )
  expect({ made, ...rows[0] }).toEqual({ made: [1, 2], n: 2 })
  await other.close()
  await bundled.end()
})

test('transactions begun by hand carry it, on a reserved connection and on the only one', async () => {
  const other = open({ max: 2 })
  const reserved = await other.sql.reserve()
  await as('ann', async () => {
    for (const [n, on] of [sql, reserved].entries()) {
      await on.unsafe(`insert into item values (${n}1)`)
      await on.unsafe('begin')
      await on.unsafe(`insert into item values (${n}2)`)
      await as('ben', async () => on`insert into item values (${`${n}3`})`)
      await on`insert into item values (${`${n}4`})`
      await on.unsafe('commit')
      await on`insert into item values (${`${n}5`})`
      await on.unsafe(`begin; insert into item values (${n}6)`)
      await on.unsafe(`insert into item values (${n}7)`)
      await on.unsafe('rollback')
      await on.unsafe(`begin; insert into item values (${n}8); commit; insert into item values (${n}9)`)
    }
  })
  reserved.release()
  await other.original.end()
  const each = ['ann', 'ann', 'ben', 'ann', 'ann', 'ann', 'ann']
  expect(await actors()).toEqual([...each, ...each])
})

test('under pressure, with connections that take nothing more, each keeps its own', async () => {
  for (const max_pipeline of [1, 2, 100]) {
    const other = open({ max: 2, max_pipeline } as object)
    await Promise.all(
      Array.from({ length: 60 }, async (_, n) => {
        const note = `${n}${'x'.repeat(n % 3 === 0 ? 200_000 : 10)}`
        const insert = async () => other.sql`insert into item values (${1000 * max_pipeline + n}, ${note})`
        if (n % 4 === 0) return insert()
        return audit.withContext({ actor: { id: `a${n}` } }, insert)
      }),
    )
    await other.original.end()
  }
  const { entries } = await audit.entries.find({ model: 'item', action: 'CREATE' }, { limit: 200 })
  const fresh = entries.filter(({ id }) => BigInt(id) > newest)
  expect(fresh.length).toBe(180)
  const owner = (id: number): string | null => (id % 4 === 0 ? null : `a${id}`)
  expect(
    fresh.filter(({ actor, target }) => (actor?.id ?? null) !== owner(Number(target!.id) % 1000)),
  ).toEqual([])
})

test('end() ends, and what comes later fails', async () => {
  const other = open()
  await audit.withContext({ actor: { id: 'ann' } }, async () => {
    await other.sql`insert into item values (1)`
    const last = other.sql`insert into item values (2)`.execute()
    await other.sql.end()
    await last
    await expect(other.sql`insert into item values (3)`).rejects.toMatchObject({ code: 'CONNECTION_ENDED' })
  })
  expect(await actors()).toEqual(['ann', 'ann'])
})

test('what is not a query is that of the original: options, notify, listen, types', async () => {
  expect(sql.options).toBe(original.options)
  expect(sql.parameters).toBe(original.parameters)
  expect(sql.CLOSE).toBe(original.CLOSE)
  const heard = new Promise(
    (resolve) => void sql.listen('whodunit', resolve).then(async () => sql.notify('whodunit', 'now')),
  )
  expect(await heard).toBe('now')
})

test('an event joins a transaction, whatever the types and transforms of the application', async () => {
  const other = open({
    transform: postgres.toPascal,
    types: { text: { to: 25, from: [25], serialize: String, parse: String } },
  })
  onTestFinished(async () => {
    await other.audit.close()
    await other.original.end()
  })
  drizzle(other.sql)
  await other.audit.check()
  const event = {
    action: 'mail.sent',
    target: { model: 'item', id: 1 },
    changes: { note: [null, 'a'] as const },
  }
  const kept = await other.sql.begin(async (tx) => other.audit.in(tx).logAuditEvent(event))
  let lost = ''
  await other.sql
    .begin(async (tx) => {
      lost = (await other.audit.in(tx).logAuditEvent(event)).ref
      throw new Error('undo')
    })
    .catch(() => {})
  expect(await audit.entries.get(kept.ref)).toMatchObject({ action: 'mail.sent' })
  expect(await audit.entries.get(lost)).toBeUndefined()
  const error = await audit
    .in({} as never)
    .logAuditEvent(event)
    .catch((failure: unknown) => failure)
  expect(isAuditError(error, 'AUDIT_CLIENT_UNKNOWN')).toBe(true)
})

test('anything but a sql of postgres.js is refused', () => {
  for (const odd of [undefined, {}, database.pool]) {
    expect(() => fromPostgresJs(odd as never)).toThrow(/no sql of postgres\.js/)
  }
  expect(() => fromPostgresJs(original, { mode: 'session' as never })).toThrow(/no mode "session"/)
})

test('Drizzle over audit.client is attributed, its transactions and savepoints too', async () => {
  const item = pgTable('item', {
    id: integer().primaryKey(),
    note: text(),
    at: timestamp({ withTimezone: true }),
  })
  const db = drizzle(sql)
  await as('ann', async () => {
    await db.insert(item).values({ id: 1, note: 'a', at: new Date(0) })
    await db.update(item).set({ note: 'b' }).where(eq(item.id, 1))
    await db.transaction(async (tx) => {
      await tx.insert(item).values({ id: 2 })
      await tx
        .transaction(async (inner) => {
          await inner.insert(item).values({ id: 3 })
          inner.rollback()
        })
        .catch(() => {})
      await tx.insert(item).values({ id: 4 })
    })
    const add = db.insert(item).values({ id: 5 }).prepare('add')
    await add.execute()
  })
  expect(await actors()).toEqual(['ann', 'ann', 'ann', 'ann'])
  expect(await db.select().from(item).where(eq(item.id, 1))).toEqual([{ id: 1, note: 'b', at: new Date(0) }])
})

describe('round trips until the answer, more than without the wrapper', () => {
  const insert = (on: postgres.Sql | postgres.TransactionSql) =>
    on`insert into item (note, id) values (${'a'}, ${next++})`
  let next = 100
  const cases: [string, Record<'begin' | 'pipeline', number>, (on: postgres.Sql) => Promise<unknown>][] = [
    ['a prepared write', { begin: 0, pipeline: 0 }, async (on) => insert(on)],
    [
      'a write without parameters',
      { begin: 0, pipeline: 0 },
      async (on) => on.unsafe(`insert into item values (${next++})`),
    ],
    [
      'a write whose parameters are described first',
      { begin: 1, pipeline: 0 },
      async (on) => on.unsafe('insert into item values ($1)', [next++]),
    ],
    ['a read', { begin: 0, pipeline: 0 }, async (on) => on`select * from item where id = ${1}`],
    [
      'a CALL that commits inside',
      { begin: 0, pipeline: 0 },
      async (on) => on.unsafe(`call add_two(${(next += 2)})`),
    ],
    [
      'a transaction with savepoints',
      { begin: 0, pipeline: 0 },
      async (on) =>
        on.begin(async (tx) => {
          await insert(tx)
          await tx.savepoint(async (inner) => insert(inner))
          await insert(tx)
        }),
    ],
  ]
  for (const mode of ['begin', 'pipeline'] as const) {
    test.each(cases)(`%s, in ${mode} mode`, async (_, extra, work) => {
      const other = open({}, mode)
      const plain = postgres(proxy.url, { max: 1, onnotice() {} })
      onTestFinished(async () => {
        await other.original.end()
        await plain.end()
      })
      const measure = async (on: postgres.Sql) => {
        await work(on)
        await work(on)
        await new Promise((resolve) => setTimeout(resolve, 20)) // what is behind the answer
        proxy.take()
        await work(on)
        return proxy.take().roundTrips
      }
      const without = await measure(plain)
      expect(without).toBeGreaterThan(0)
      expect(await measure(other.sql)).toBe(without)
      expect((await as('ann', async () => measure(other.sql))) - without).toBe(extra[mode])
    })
  }
})
