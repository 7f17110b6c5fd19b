import { Pool } from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fromPg } from '../../src/database/postgres.ts'
import { createAudit } from '../../src/index.ts'
import { type CaptureAnswer, storeSuite } from '../../src/testing/index.ts'
import { postgresSql } from '../capture/suite-postgres.ts'
import { freshDatabase } from '../harness/postgres.ts'

storeSuite(
  { describe, it, expect, beforeAll, afterAll },
  'the store on PostgreSQL, over pg',
  async (policy) => {
    const place = await freshDatabase()
    const audit = createAudit({
      ...policy,
      database: fromPg(new Pool({ connectionString: place.url, max: 3 })),
    })
    return {
      audit,
      query: async (sql, parameters) => {
        const { rows, rowCount } = await audit.client.query(sql, parameters as unknown[])
        return { rows, changed: rowCount ?? 0 }
      },
      plain: async (...statements) => {
        let rows: CaptureAnswer['rows'] = []
        for (const sql of statements) ({ rows } = await place.pool.query(sql))
        return rows
      },
      close: async () => {
        await audit.close()
        await audit.client.end()
        await place.drop()
      },
    }
  },
  postgresSql,
)
