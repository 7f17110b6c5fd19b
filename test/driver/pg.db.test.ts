import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { driverSuite } from '../../src/testing/index.ts'
import { freshDatabase, type TestDatabase } from '../harness/postgres.ts'
import { clientUnderTest, poolUnderTest } from './under-test.ts'

const databases: TestDatabase[] = []
const freshUrl = async (): Promise<string> => {
  const database = await freshDatabase()
  databases.push(database)
  return database.url
}
afterAll(async () => {
  for (const database of databases) await database.drop()
})

const api = { describe, it, expect, beforeAll, afterAll }
// one size will do for earlier servers: it is the client's matter, not theirs
for (const max of process.env['POSTGRES_VERSION'] ? [3] : [5, 3, 1]) {
  driverSuite(api, `pg.Pool of ${max}`, async () => poolUnderTest(await freshUrl(), max))
}
driverSuite(api, 'pg.Client', async () => clientUnderTest(await freshUrl()))
