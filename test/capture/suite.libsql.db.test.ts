import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Client, createClient, type InArgs, type Transaction } from '@libsql/client'
import Database from 'better-sqlite3'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fromLibsql } from '../../src/database/sqlite.ts'
import { createAudit } from '../../src/index.ts'
import { captureSuite, type CaptureStatements } from '../../src/testing/index.ts'
import { byHand, sqliteSql, sqliteState } from './suite-sqlite.ts'

const folder = mkdtempSync(join(tmpdir(), 'whodunit-'))
afterAll(() => rmSync(folder, { recursive: true }))
let files = 0

const on = (client: Client | Transaction): CaptureStatements => ({
  query: async (sql, parameters = []) => {
    const { rows, rowsAffected, lastInsertRowid } = await client.execute({ sql, args: parameters as InArgs })
    const lastId =
      sql.startsWith('insert') && lastInsertRowid !== undefined ? { lastId: lastInsertRowid } : {}
    return { rows: rows.map((row) => ({ ...row })), changed: rowsAffected, ...lastId }
  },
})

captureSuite(
  { describe, it, expect, beforeAll, afterAll },
  'capture on SQLite, over @libsql/client, in a file',
  async (policy) => {
    const file = join(folder, `${++files}.db`)
    const client = createClient({ url: `file:${file}` })
    const other = new Database(file)
    for (const sql of ['pragma journal_mode = wal', 'pragma synchronous = off']) {
      await client.execute(sql)
      other.exec(sql)
    }
    const audits = [createAudit({ ...policy, database: fromLibsql(client) })]
    const [audit] = audits as [(typeof audits)[number]]
    const plain = (sql: string, parameters: readonly unknown[] = []): Record<string, unknown>[] => {
      const statement = other.prepare(sql)
      if (statement.reader) return statement.all(...parameters) as Record<string, unknown>[]
      statement.run(...parameters)
      return []
    }
    return {
      audit,
      database: fromLibsql(client),
      ...on(audit.client),
      transaction: async (fn) => {
        const transaction = await audit.client.transaction('write')
        try {
          const result = await fn(on(transaction))
          await transaction.commit()
          return result
        } finally {
          transaction.close()
        }
      },
      plain: async (...sql) => sql.map((one) => plain(one)).at(-1) ?? [],
      byHand: async (context, ...sql) => byHand(context, plain, sql),
      with: (given) => {
        const more = createAudit({ ...given, database: fromLibsql(client) })
        audits.push(more)
        return more
      },
      state: async () => String(plain(sqliteState)[0]!['everything']),
      close: async () => {
        for (const one of audits) await one.close()
        client.close()
        other.close()
      },
    }
  },
  sqliteSql,
)
