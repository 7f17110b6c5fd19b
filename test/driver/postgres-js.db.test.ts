import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { driverSuite } from '../../src/testing/index.ts'
import { freshDatabase, type TestDatabase } from '../harness/postgres.ts'
import { postgresJsUnderTest } from './under-test-postgres-js.ts'

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
for (const max of [5, 1]) {
  driverSuite(api, `postgres.js with ${max} connections, without prepared statements`, async () =>
    postgresJsUnderTest(await freshUrl(), max, { prepare: false }),
  )
}
for (const mode of ['begin', 'pipeline'] as const) {
  driverSuite(api, `postgres.js with 5 connections, in ${mode} mode`, async () => {
    // after a DISCARD ALL on it, postgres.js commits by a statement that is gone, and rolls back
    const { connection: _own, ...rest } = postgresJsUnderTest(await freshUrl(), 5, { mode })
    return rest
  })
}
