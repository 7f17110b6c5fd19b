import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fromPg } from '../../src/database/postgres.ts'
import { captureSuite, type CaptureStatements } from '../../src/testing/index.ts'
import { captureDatabase } from './fixture.ts'
import { postgresSql, postgresState, quiet } from './suite-postgres.ts'

const capture = captureDatabase()
const api = { describe, it, expect, beforeAll, afterAll }

captureSuite(
  api,
  'capture on PostgreSQL, over pg',
  async (policy) => {
    const world = await capture.tables(' ', { ...quiet, ...policy })
    const on = (client: { query(sql: string, values?: unknown[]): Promise<unknown> }): CaptureStatements => ({
      query: async (sql, parameters) => {
        const { rows, rowCount } = (await client.query(sql, parameters as unknown[])) as {
          rows: never[]
          rowCount: number | null
        }
        return { rows, changed: rowCount ?? 0 }
      },
    })
    return {
      audit: world.audit,
      database: fromPg(world.client),
      ...on(world.client),
      transaction: async (fn) => {
        const client = await world.client.connect()
        try {
          await client.query('begin')
          const result = await fn(on(client))
          await client.query('commit')
          return result
        } catch (error) {
          await client.query('rollback')
          throw error
        } finally {
          client.release()
        }
      },
      plain: async (...statements) => {
        let rows: never[] = []
        for (const sql of statements) ({ rows } = (await world.sql(sql)) as unknown as { rows: never[] })
        return rows
      },
      byHand: async (context, ...statements) => {
        const quoted = `E'${context.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
        return world.sql(
          ['begin', `set local whodunit.context = ${quoted}`, ...statements, 'commit'].join(';\n'),
        )
      },
      with: (given) => world.with({ ...quiet, ...given }),
      state: async () => String((await world.sql(postgresState)).rows[0].all),
      close: async () => {},
    }
  },
  postgresSql,
)
