import { AsyncLocalStorage } from 'node:async_hooks'
import { once } from 'node:events'
import pg from 'pg'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { createAudit, isAuditError } from '../../src/index.ts'
import { fromPg } from '../../src/database/postgres.ts'
import { freshDatabase, type TestDatabase } from '../harness/postgres.ts'

let database: TestDatabase
let plain: pg.Pool
const openAudit = (options: pg.PoolConfig = {}) =>
  createAudit({ database: fromPg(new pg.Pool({ connectionString: database.url, max: 2, ...options })) })
let audit: ReturnType<typeof openAudit>

beforeAll(async () => {
  database = await freshDatabase()
  plain = new pg.Pool({ connectionString: database.url, max: 1 })
  audit = openAudit()
  await plain.query(`create table item (id int primary key, note text, at timestamptz default now())`)
  await plain.query(`insert into item (id, note) select n, 'row ' || n from generate_series(1, 20) n`)
  await audit.migrate()
})
afterAll(async () => {
  await audit.close()
  await audit.client.end()
  await plain.end()
  await database.drop()
})

const asAnn = <T>(work: () => Promise<T>): Promise<T> => audit.withContext({ actor: { id: 'ann' } }, work)
const lastActor = async () =>
  (await audit.entries.find({ model: 'item' }, { limit: 1 })).entries[0]?.actor?.id
/** One connection of the pool, released when the test ends. */
async function connect(of = audit.client) {
  const client = await of.connect()
  onTestFinished(() => client.release(true))
  return client
}

test('a Query object emits rows, end and errors, and carries the context', async () => {
  const client = await connect()
  await asAnn(async () => {
    const query = client.query(new pg.Query('insert into item values (101), (102) returning id'))
    const rows: unknown[] = []
    query.on('row', (row) => rows.push(row))
    await once(query, 'end')
    expect(rows).toEqual([{ id: 101 }, { id: 102 }])
    const failing = client.query(new pg.Query('selec'))
    await once(failing, 'end').catch((error: Error) => expect(error.message).toContain('syntax error'))
  })
  expect(await lastActor()).toBe('ann')
})

/** As pg-cursor does it: Parse, Bind, Describe and Flush at once; Execute for each page; Sync at the end. */
class Cursor {
  readonly #text: string
  #connection: any
  #rows: string[][] = []
  #page = Promise.withResolvers<string[][]>()
  constructor(text: string) {
    this.#text = text
  }
  submit(connection: any) {
    this.#connection = connection
    connection.parse({ text: this.#text }, true)
    connection.bind({ portal: 'c', values: [] }, true)
    connection.describe({ type: 'P', name: 'c' }, true)
    connection.flush()
  }
  read(rows: number): Promise<string[][]> {
    this.#page = Promise.withResolvers()
    this.#connection.execute({ portal: 'c', rows }, true)
    this.#connection.flush()
    return this.#page.promise
  }
  close() {
    this.#connection.sync()
  }
  handleRowDescription() {}
  handleDataRow(message: { fields: string[] }) {
    this.#rows.push(message.fields)
  }
  handlePortalSuspended = () => this.#page.resolve(this.#rows.splice(0))
  handleCommandComplete = () => this.#page.resolve(this.#rows.splice(0))
  handleReadyForQuery() {}
  handleError(error: Error) {
    this.#page.reject(error)
  }
}

test('a cursor reads page by page and carries the context, in and outside of a transaction', async () => {
  const client = await connect()
  for (const [begin, end] of [
    ['select 1', 'select 1'],
    ['begin', 'commit'],
  ] as const) {
    await client.query(begin)
    await asAnn(async () => {
      const cursor = client.query(new Cursor(`update item set note = note || '!' where id <= 5 returning id`))
      expect(await cursor.read(3)).toHaveLength(3)
      expect(await cursor.read(3)).toHaveLength(2)
      cursor.close()
    })
    await client.query(`update item set note = 'nobody' where id = 20`)
    await client.query(end)
    const { entries } = await audit.entries.find({ model: 'item' }, { limit: 6 })
    expect(entries.map(({ actor }) => actor?.id)).toEqual([undefined, 'ann', 'ann', 'ann', 'ann', 'ann'])
    await plain.query(`update item set note = 'row ' || id`)
  }
})

test('queries sent in pipeline mode each keep their own', async () => {
  const piped = openAudit({ pipeline: true, max: 1 })
  onTestFinished(async () => {
    await piped.close()
    await piped.client.end()
  })
  const client = await piped.client.connect()
  onTestFinished(() => client.release())
  const write = (id: number, actor?: string) =>
    piped.withContext(actor ? { actor: { id: actor } } : {}, async () =>
      client.query('insert into item values ($1, $2)', [id, actor ?? null]),
    )
  const plainWrite = async (id: number) => client.query('insert into item (id) values ($1)', [id])
  await Promise.all([write(201, 'a'), plainWrite(202), write(203, 'b'), plainWrite(204)])
  await Promise.all([
    client.query('begin'),
    write(205, 'a'),
    plainWrite(206),
    write(207, 'b'),
    plainWrite(208),
    client.query('commit'),
  ])
  await Promise.all([
    client.query('begin'), write(209, 'a'), client.query('savepoint s'), write(210, 'b'), client.query('rollback to s'), plainWrite(211), write(212, 'c'), client.query('commit'),
  ]) // prettier-ignore
  await plainWrite(213)
  const failed = await Promise.allSettled([write(214, 'a'), write(214, 'b'), write(215, 'c')])
  expect(failed.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  const { entries } = await audit.entries.find({ model: 'item', action: 'CREATE' }, { limit: 100 })
  const ours = entries.filter(({ target }) => Number(target?.id) > 200)
  expect(ours).toHaveLength(14)
  expect(ours.filter(({ actor, changes }) => (actor?.id ?? null) !== changes?.['note']?.[1])).toEqual([])
})

test('a callback runs in the async context of its caller, also of other storages', async () => {
  const storage = new AsyncLocalStorage<number>()
  const single = openAudit({ max: 1 })
  onTestFinished(async () => {
    await single.close()
    await single.client.end()
  })
  const seen = await Promise.all(
    [1, 2, 3, 4].map((n) =>
      storage.run(
        n,
        () => new Promise((resolve) => single.client.query('select 1', () => resolve(storage.getStore()))),
      ),
    ),
  )
  expect(seen).toEqual([1, 2, 3, 4])
})

test('a query that times out gives way to the next', async () => {
  const client = await connect()
  await asAnn(async () => {
    await expect(client.query({ text: 'select pg_sleep(0.3)', query_timeout: 20 } as never)).rejects.toThrow(
      'timeout',
    )
    expect((await client.query('select 1 as n')).rows).toEqual([{ n: 1 }])
  })
})

test('a CALL that is cancelled, or whose session ends, leaves nothing behind', async () => {
  const client = await connect()
  const { rows } = await client.query('select pg_backend_pid() as pid')
  const running = asAnn(async () => client.query(`do $$ begin perform pg_sleep(10); commit; end $$`)).then(
    () => 'done',
    (error: Error) => error.message,
  )
  await expect
    .poll(
      async () =>
        (await plain.query(`select count(*)::int as n from pg_stat_activity where query like 'do %'`)).rows[0]
          .n,
    )
    .toBe(1)
  await plain.query('select pg_cancel_backend($1)', [rows[0].pid])
  expect(await running).toContain('canceling statement')
  expect(
    (await client.query(`select current_setting('whodunit.context', true) as value`)).rows[0].value,
  ).toBe('')
  client.on('error', () => {})
  await plain.query('select pg_terminate_backend($1)', [rows[0].pid])
  await expect(asAnn(async () => client.query('call nothing()'))).rejects.toThrow()
})

test('notifications arrive as without the wrapper', async () => {
  const client = await connect()
  await asAnn(async () => client.query('listen news'))
  const heard = once(client, 'notification')
  await asAnn(async () => audit.client.query(`notify news, 'hello'`))
  expect((await heard)[0]).toMatchObject({ channel: 'news', payload: 'hello' })
})

test('a client of another kind is refused before it connects', () => {
  class NativeClient {
    query() {}
  }
  const pool = new pg.Pool({ Client: NativeClient as never })
  expect(() => fromPg(pool)).toThrow('pg-native')
  for (const odd of [{}, { query() {} }, null]) {
    try {
      fromPg(odd as never)
      expect.unreachable()
    } catch (error) {
      expect(isAuditError(error, 'AUDIT_CLIENT_UNKNOWN'), String(error)).toBe(true)
    }
  }
})

test('wrapping a pool twice, or one with open clients, changes nothing', async () => {
  const pool = new pg.Pool({ connectionString: database.url, max: 1 })
  onTestFinished(async () => pool.end())
  await pool.query('select 1')
  const [first, second] = [createAudit({ database: fromPg(pool) }), createAudit({ database: fromPg(pool) })]
  await second.withContext({ actor: { id: 'both' } }, async () =>
    first.client.query('insert into item values (301)'),
  )
  expect(await lastActor()).toBe('both')
})
