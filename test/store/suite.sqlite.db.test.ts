import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fromBetterSqlite3 } from '../../src/database/sqlite.ts'
import { createAudit } from '../../src/index.ts'
import { storeSuite } from '../../src/testing/index.ts'
import { sqliteSql } from '../capture/suite-sqlite.ts'

storeSuite(
  { describe, it, expect, beforeAll, afterAll },
  'the store on SQLite, over better-sqlite3',
  async (policy) => {
    const folder = mkdtempSync(join(tmpdir(), 'whodunit-'))
    const client = new Database(join(folder, 'store.db'))
    const other = new Database(join(folder, 'store.db'))
    const audit = createAudit({ ...policy, database: fromBetterSqlite3(client) })
    const run = (on: Database.Database, sql: string, parameters: readonly unknown[] = []) => {
      const statement = on.prepare(sql)
      if (statement.reader) return { rows: statement.all(...parameters) as never[] }
      return { rows: [], changed: statement.run(...parameters).changes }
    }
    return {
      audit,
      query: async (sql, parameters) => run(client, sql, parameters),
      plain: async (...statements) => statements.map((sql) => run(other, sql).rows).at(-1) ?? [],
      close: async () => {
        await audit.close()
        client.close()
        other.close()
        rmSync(folder, { recursive: true })
      },
    }
  },
  sqliteSql,
)
