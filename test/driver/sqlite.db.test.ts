import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import Database from 'better-sqlite3'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { driverSuite } from '../../src/testing/index.ts'
import { betterSqlite3UnderTest, nodeSqliteUnderTest } from './under-test-sqlite.ts'

const folder = mkdtempSync(join(tmpdir(), 'whodunit-'))
afterAll(() => rmSync(folder, { recursive: true }))
/** Files are kept by nobody, so nothing has to reach the disk. */
const quick = 'pragma synchronous = off'
const api = { describe, it, expect, beforeAll, afterAll }

for (const file of [':memory:', 'better.db', 'function.db']) {
  driverSuite(api, `better-sqlite3, ${file}`, async () => {
    const client = new Database(file === ':memory:' ? file : join(folder, file))
    client.exec(quick)
    return betterSqlite3UnderTest(client, { context: file === 'function.db' ? 'function' : 'row' })
  })
}
for (const file of [':memory:', 'node.db', 'node-function.db']) {
  driverSuite(api, `node:sqlite, ${file}`, async () => {
    const client = new DatabaseSync(file === ':memory:' ? file : join(folder, file))
    client.exec(quick)
    return nodeSqliteUnderTest(client, { context: file.includes('function') ? 'function' : 'row' })
  })
}
