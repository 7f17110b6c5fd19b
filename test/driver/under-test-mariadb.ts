import * as mariadb from 'mariadb'
import * as mariadbCallback from 'mariadb/callback'
import mysql, { type Pool } from 'mysql2'
import mysqlPromise from 'mysql2/promise'
import { createAudit } from '../../src/index.ts'
import { fromMariadb, fromMysql2 } from '../../src/database/mariadb.ts'
import type { DriverUnderTest, StatementsUnderTest, TransactionUnderTest } from '../../src/testing/index.ts'
import { type MariadbDatabase } from '../harness/mariadb.ts'

const held = `select convert(concat(ifnull(@whodunit_context, ''), ifnull(@whodunit_transaction, '')) using utf8mb4) as value`
type Done = (error?: unknown) => void
type Promised = mysqlPromise.Pool | mysqlPromise.Connection

const shared = (place: MariadbDatabase): Pick<DriverUnderTest, 'placeholder' | 'setUp' | 'chains'> => ({
  placeholder: () => '?',
  chains: true,
  setUp: (sql) => place.sql(sql),
})

/** The suite's operations over a pool of `mysql2/promise`, or the promises of one of `mysql2`. */
export function mysql2PoolUnderTest(
  place: MariadbDatabase,
  max: number,
  api: 'promise' | 'callback',
  extra: object = {},
): DriverUnderTest {
  const options = { uri: place.url, connectionLimit: max, multipleStatements: true, ...extra }
  const created = api === 'promise' ? mysqlPromise.createPool(options) : mysql.createPool(options)
  const audit = createAudit({ database: fromMysql2(created) })
  const pool = (api === 'promise' ? audit.client : (audit.client as Pool).promise()) as mysqlPromise.Pool
  const core = (api === 'promise' ? (audit.client as unknown as { pool: Pool }).pool : audit.client) as Pool
  const withConnection = async <T>(
    fn: (connection: mysqlPromise.PoolConnection) => Promise<T>,
  ): Promise<T> => {
    const connection = await pool.getConnection()
    try {
      return await fn(connection)
    } finally {
      connection.release()
    }
  }
  return {
    ...shared(place),
    ...mysql2Statements(pool),
    audit,
    connection: async (fn) => withConnection(async (connection) => fn(mysql2Statements(connection))),
    transaction: async (fn) => withConnection(async (connection) => inMysql2Transaction(connection, fn)),
    callbacks: [
      (sql, parameters, done) => core.query(sql, [...parameters], done as never),
      (sql, parameters, done) => core.execute(sql, [...parameters] as never, done as never),
      (sql, parameters, done) => core.query({ sql, values: [...parameters] }, done as never),
      (sql, parameters, done) =>
        core.getConnection((error, connection) => {
          if (error) return done(error)
          return connection.query(sql, [...parameters], (failed) => {
            connection.release()
            done(failed ?? undefined)
          })
        }),
    ],
    leftovers: async () => {
      const connections = await Promise.all(Array.from({ length: max }, async () => pool.getConnection()))
      const values = await Promise.all(
        connections.map(async (connection) => ((await connection.query(held)) as never)[0][0]['value']),
      )
      for (const connection of connections) connection.release()
      return values
    },
    close: async () => pool.end(),
  }
}

/** The same over one lone connection, on which everything takes turns. */
export async function mysql2ConnectionUnderTest(place: MariadbDatabase): Promise<DriverUnderTest> {
  const audit = createAudit({
    database: fromMysql2(mysql.createConnection({ uri: place.url, multipleStatements: true })),
  })
  const connection = audit.client.promise()
  const inTurn = turns()
  const alone = mysql2Statements(connection)
  return {
    ...shared(place),
    query: async (sql, parameters) => inTurn(async () => alone.query(sql, parameters)),
    text: async (sql) => inTurn(async () => alone.text!(sql)),
    prepared: async (name, sql, parameters) => inTurn(async () => alone.prepared!(name, sql, parameters)),
    audit,
    takesTurns: true,
    connection: async (fn) => inTurn(async () => fn(alone)),
    transaction: async (fn) => inTurn(async () => inMysql2Transaction(connection, fn)),
    leftovers: async () => [((await connection.query(held)) as never)[0][0]['value']],
    close: async () => connection.end(),
  }
}

function mysql2Statements(on: Promised): StatementsUnderTest {
  return {
    query: async (sql, parameters = []) => on.query(sql, [...parameters]),
    text: async (sql) => on.query(sql),
    prepared: async (_name, sql, parameters) => on.execute(sql, [...parameters] as never),
  }
}

async function inMysql2Transaction<T>(
  connection: mysqlPromise.Connection,
  fn: (transaction: TransactionUnderTest) => Promise<T>,
): Promise<T> {
  await connection.beginTransaction()
  try {
    const result = await fn({ ...mysql2Statements(connection), handle: connection })
    await connection.commit()
    return result
  } catch (error) {
    await connection.rollback()
    throw error
  }
}

/** Over a pool of MariaDB's connector; the library has a pool of its own where the pool is small. */
export function mariadbPoolUnderTest(
  place: MariadbDatabase,
  max: number,
  extra: object = {},
): DriverUnderTest {
  const options = { ...connectorOptions(place.url), connectionLimit: max, multipleStatements: true, ...extra }
  const own = mariadb.createPool({ ...options, connectionLimit: 2 })
  const audit = createAudit({ database: fromMariadb(mariadb.createPool(options), own) })
  const pool = audit.client
  const withConnection = async <T>(fn: (connection: mariadb.PoolConnection) => Promise<T>): Promise<T> => {
    const connection = await pool.getConnection()
    try {
      return await fn(connection)
    } finally {
      await connection.release()
    }
  }
  return {
    ...shared(place),
    ...mariadbStatements(pool),
    audit,
    connection: async (fn) => withConnection(async (connection) => fn(mariadbStatements(connection))),
    transaction: async (fn) =>
      withConnection(async (connection) => {
        await connection.beginTransaction()
        try {
          const result = await fn({ ...mariadbStatements(connection), handle: connection })
          await connection.commit()
          return result
        } catch (error) {
          await connection.rollback()
          throw error
        }
      }),
    leftovers: async () => {
      const connections = await Promise.all(Array.from({ length: max }, async () => pool.getConnection()))
      const values = await Promise.all(
        connections.map(async (connection) => (await connection.query(held))[0].value),
      )
      for (const connection of connections) await connection.release()
      return values
    },
    close: async () => {
      await pool.end()
      await own.end()
    },
  }
}

function mariadbStatements(on: mariadb.Pool | mariadb.Connection): StatementsUnderTest {
  return {
    query: async (sql, parameters = []) => on.query(sql, [...parameters]),
    text: async (sql) => on.query(sql),
    prepared: async (_name, sql, parameters) => on.execute(sql, [...parameters]),
  }
}

/** Over a pool of the connector's API of callbacks. */
export function mariadbCallbackUnderTest(place: MariadbDatabase, max: number): DriverUnderTest {
  const options = { ...connectorOptions(place.url), connectionLimit: max, multipleStatements: true }
  const own = mariadb.createPool({ ...options, connectionLimit: 2 })
  const audit = createAudit({ database: fromMariadb(mariadbCallback.createPool(options), own) })
  const pool = audit.client
  const call = async <T>(work: (done: (error: unknown, answer?: T) => void) => void): Promise<T> =>
    new Promise((resolve, reject) => work((error, answer) => (error ? reject(error) : resolve(answer as T))))
  const statements = (on: mariadbCallback.Pool | mariadbCallback.Connection): StatementsUnderTest => ({
    query: async (sql, parameters = []) => call((done) => on.query(sql, [...parameters], done as never)),
    text: async (sql) => call((done) => on.query(sql, done as never)),
    prepared: async (_name, sql, parameters) =>
      call((done) => on.execute(sql, [...parameters], done as never)),
  })
  const withConnection = async <T>(
    fn: (connection: mariadbCallback.PoolConnection) => Promise<T>,
  ): Promise<T> => {
    const connection = await call<mariadbCallback.PoolConnection>((done) => pool.getConnection(done))
    try {
      return await fn(connection)
    } finally {
      await call((done) => connection.release(done as never))
    }
  }
  return {
    ...shared(place),
    ...statements(pool),
    audit,
    connection: async (fn) => withConnection(async (connection) => fn(statements(connection))),
    transaction: async (fn) =>
      withConnection(async (connection) => {
        await call((done) => connection.beginTransaction(done as never))
        try {
          const result = await fn({ ...statements(connection), handle: connection })
          await call((done) => connection.commit(done as never))
          return result
        } catch (error) {
          await call((done) => connection.rollback(done as never))
          throw error
        }
      }),
    callbacks: [
      (sql, parameters, done: Done) => pool.query(sql, [...parameters], done as never),
      (sql, parameters, done: Done) =>
        pool.getConnection((error, connection) => {
          if (error || !connection) return done(error)
          return connection.query(sql, [...parameters], (failed: unknown) => {
            connection.release(() => {})
            done(failed ?? undefined)
          })
        }),
    ],
    close: async () => {
      await call((done) => pool.end(done as never))
      await own.end()
    },
  }
}

function connectorOptions(url: string): { host: string; port: number; user: string; database: string } {
  const { hostname, port, username, pathname } = new URL(url)
  return { host: hostname, port: Number(port), user: username, database: pathname.slice(1) }
}

function turns(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve()
  return async (work) => {
    const before = last
    let done = (): void => {}
    last = new Promise<void>((resolve) => (done = resolve))
    await before
    return work().finally(done)
  }
}
