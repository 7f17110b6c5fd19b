import { PGlite, type PGliteInterface, type Transaction } from '@electric-sql/pglite'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fromPglite } from '../../src/database/postgres.ts'
import { createAudit } from '../../src/index.ts'
import { captureSuite, type CaptureStatements } from '../../src/testing/index.ts'
import { postgresSql, postgresState, quiet } from './suite-postgres.ts'

let pglite: PGlite
let places = 0
beforeAll(async () => {
  pglite = await PGlite.create()
})
afterAll(async () => pglite.close())

const on = (client: Pick<PGliteInterface | Transaction, 'query'>): CaptureStatements => ({
  query: async (sql, parameters) => {
    const { rows, affectedRows } = await client.query(sql, parameters as unknown[])
    return { rows: rows as never[], changed: affectedRows ?? 0 }
  },
})

captureSuite(
  { describe, it, expect, beforeAll, afterAll },
  'capture on PostgreSQL, over PGlite',
  async (policy) => {
    const schema = `place_${++places}`
    await pglite.exec(`create schema ${schema}; set search_path to ${schema}`)
    const audits = [createAudit({ ...quiet, ...policy, database: fromPglite(pglite) })]
    const [audit] = audits as [(typeof audits)[number]]
    return {
      audit,
      database: fromPglite(pglite),
      ...on(audit.client),
      transaction: async (fn) => audit.client.transaction(async (transaction) => fn(on(transaction))),
      plain: async (...statements) => {
        let rows: unknown[] = []
        for (const sql of statements) ({ rows } = await pglite.query(sql))
        return rows as never[]
      },
      byHand: async (context, ...statements) =>
        pglite.transaction(async (transaction) => {
          await transaction.query(`select set_config('whodunit.context', $1, true)`, [context])
          for (const sql of statements) await transaction.query(sql)
        }),
      with: (given) => {
        const other = createAudit({ ...quiet, ...given, database: fromPglite(pglite) })
        audits.push(other)
        return other
      },
      state: async () => String((await pglite.query<{ all: string }>(postgresState)).rows[0]!.all),
      close: async () => {
        for (const one of audits) await one.close()
      },
    }
  },
  postgresSql,
)
