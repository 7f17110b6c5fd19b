import type Database from 'better-sqlite3'
import type { DatabaseSync } from 'node:sqlite'
import { fromBetterSqlite3, fromNodeSqlite, type SqliteOptions } from '../../src/database/sqlite.ts'
import { type AuditDatabase, createAudit } from '../../src/index.ts'
import type { DriverUnderTest, StatementsUnderTest } from '../../src/testing/index.ts'

const leftover =
  'select coalesce(skip, actor, request_id, tenant, context, tx) as value from whodunit_context'

export function betterSqlite3UnderTest(client: Database.Database, options?: SqliteOptions): DriverUnderTest {
  const statements: StatementsUnderTest = {
    query: async (sql, parameters = []) => {
      const statement = client.prepare(sql)
      return statement.reader ? statement.all(...parameters) : statement.run(...parameters)
    },
    text: async (sql) => client.exec(sql),
    prepared: async (name, sql, parameters) => {
      const known = prepared.get(name) ?? client.prepare(sql)
      prepared.set(name, known)
      return known.run(...parameters)
    },
  }
  const prepared = new Map<string, Database.Statement>()
  return underTest(fromBetterSqlite3(client, options), statements, () => client.pragma('user_version'), {
    leftovers: async () => [client.prepare(leftover).pluck().get()],
    close: async () => void client.close(),
  })
}

export function nodeSqliteUnderTest(client: DatabaseSync, options?: SqliteOptions): DriverUnderTest {
  const statements: StatementsUnderTest = {
    query: async (sql, parameters = []) => client.prepare(sql).all(...(parameters as never[])),
    text: async (sql) => client.exec(sql),
    prepared: async (_name, sql, parameters) => client.prepare(sql).run(...(parameters as never[])),
  }
  return underTest(fromNodeSqlite(client, options), statements, () => {}, {
    leftovers: async () => [client.prepare(leftover).get()!['value']],
    close: async () => client.close(),
  })
}

/** A client of one connection, on which everything takes turns, as it does in an application that has one. */
function underTest(
  database: AuditDatabase,
  statements: StatementsUnderTest,
  touch: () => unknown,
  rest: Pick<DriverUnderTest, 'leftovers' | 'close'>,
): DriverUnderTest {
  let last: Promise<unknown> = Promise.resolve()
  const inTurn = async <T>(work: () => Promise<T>): Promise<T> => {
    const turn = last.then(work)
    last = turn.catch(() => {})
    return turn
  }
  touch()
  return {
    query: async (sql, parameters) => inTurn(async () => statements.query(sql, parameters)),
    text: async (sql) => inTurn(async () => statements.text!(sql)),
    prepared: async (name, sql, parameters) =>
      inTurn(async () => statements.prepared!(name, sql, parameters)),
    audit: createAudit({ database }),
    takesTurns: true,
    placeholder: () => '?',
    setUp: async (sql) => statements.query(sql),
    connection: async (fn) => inTurn(async () => fn(statements)),
    transaction: async (fn) =>
      inTurn(async () => {
        await statements.query('begin')
        try {
          const result = await fn({ ...statements, handle: database.client })
          // another turn of the event loop, with a transaction open
          await new Promise((resolve) => setImmediate(resolve))
          await statements.query('commit')
          return result
        } catch (error) {
          await statements.query('rollback')
          throw error
        }
      }),
    ...rest,
  }
}
