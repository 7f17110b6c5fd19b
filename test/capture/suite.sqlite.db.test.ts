import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import Database from 'better-sqlite3'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fromBetterSqlite3, fromNodeSqlite } from '../../src/database/sqlite.ts'
import { type AuditConfig, type AuditDatabase, createAudit } from '../../src/index.ts'
import { captureSuite, type CaptureAnswer, type CaptureUnderTest } from '../../src/testing/index.ts'
import { partsOf } from '../../src/driver/base/sqlite/carrier.ts'
import { byHand, sqliteSql, sqliteState } from './suite-sqlite.ts'

const api = { describe, it, expect, beforeAll, afterAll }
const folder = mkdtempSync(join(tmpdir(), 'whodunit-'))
afterAll(() => rmSync(folder, { recursive: true }))
let files = 0

type Query = (sql: string, parameters?: readonly unknown[]) => CaptureAnswer

/** A place over one connection that the application uses, and another that is not wrapped; in memory it is the same. */
function place(
  policy: AuditConfig,
  make: () => AuditDatabase,
  query: Query,
  plain: Query,
  close: () => void,
  setByHand?: (context: string) => void,
): CaptureUnderTest {
  const database = make()
  const audits = [createAudit({ ...policy, database })]
  const statements = { query: async (sql: string, parameters?: readonly unknown[]) => query(sql, parameters) }
  let last: Promise<unknown> = Promise.resolve()
  return {
    audit: audits[0]!,
    database,
    ...statements,
    // there is one connection: transactions take turns
    transaction: async (fn) => {
      const turn = last.then(async () => {
        query('begin')
        try {
          const result = await fn(statements)
          query('commit')
          return result
        } catch (error) {
          query('rollback')
          throw error
        }
      })
      last = turn.catch(() => {})
      return turn
    },
    plain: async (...sql) => sql.map((one) => plain(one).rows).at(-1) ?? [],
    byHand: async (context, ...sql) => {
      if (!setByHand) return byHand(context, plain, sql)
      setByHand(context)
      for (const one of sql) plain(one)
      return setByHand('')
    },
    with: (given) => {
      const other = createAudit({ ...given, database: make() })
      audits.push(other)
      return other
    },
    state: async () => String(plain(sqliteState).rows[0]!['everything']),
    close: async () => {
      for (const one of audits) await one.close()
      close()
    },
  }
}

const better =
  (client: Database.Database): Query =>
  (sql, parameters = []) => {
    const statement = client.prepare(sql)
    if (statement.reader) return { rows: statement.all(...parameters) as never[] }
    const { changes, lastInsertRowid } = statement.run(...parameters)
    return { rows: [], changed: changes, ...(sql.startsWith('insert') ? { lastId: lastInsertRowid } : {}) }
  }
const native =
  (client: DatabaseSync): Query =>
  (sql, given = []) => {
    const parameters = given as SQLInputValue[]
    const statement = client.prepare(sql)
    if (statement.columns().length > 0) return { rows: statement.all(...parameters) }
    const { changes, lastInsertRowid } = statement.run(...parameters)
    return {
      rows: [],
      changed: Number(changes),
      ...(sql.startsWith('insert') ? { lastId: lastInsertRowid } : {}),
    }
  }

for (const context of ['row', 'function'] as const) {
  const where = context === 'row' ? '' : ', with a function for the context'
  captureSuite(
    api,
    `capture on SQLite, over better-sqlite3, in a file${where}`,
    async (policy) => {
      const file = join(folder, `${++files}.db`)
      const [client, other] = [new Database(file), new Database(file)]
      for (const one of [client, other]) one.exec('pragma journal_mode = wal; pragma synchronous = off')
      let answer = '[]'
      if (context === 'function') other.function('whodunit_context', () => answer)
      const make = () => fromBetterSqlite3(client, { context })
      const close = () => {
        client.close()
        other.close()
      }
      const setByHand = (text: string) => (answer = JSON.stringify(partsOf(text)))
      return place(
        policy,
        make,
        better(client),
        better(other),
        close,
        context === 'function' ? setByHand : undefined,
      )
    },
    sqliteSql,
  )
}

captureSuite(
  api,
  'capture on SQLite, over better-sqlite3, in memory',
  async (policy) => {
    const client = new Database(':memory:')
    const make = () => fromBetterSqlite3(client)
    return place(policy, make, better(client), better(client), () => client.close())
  },
  sqliteSql,
)

captureSuite(
  api,
  'capture on SQLite, over node:sqlite, in a file',
  async (policy) => {
    const file = join(folder, `${++files}.db`)
    const [client, other] = [new DatabaseSync(file), new DatabaseSync(file)]
    for (const one of [client, other]) one.exec('pragma synchronous = off')
    const make = () => fromNodeSqlite(client)
    return place(policy, make, native(client), native(other), () => {
      client.close()
      other.close()
    })
  },
  sqliteSql,
)
