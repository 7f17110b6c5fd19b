import { cp, mkdtemp, readFile, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { createAudit, isAuditError } from '../../src/index.ts'
import { fromPg } from '../../src/database/postgres.ts'
import { freshDatabase, type TestDatabase } from '../harness/postgres.ts'

let database: TestDatabase
let folder: string
let otherPg: typeof pg

beforeAll(async () => {
  database = await freshDatabase()
  folder = await mkdtemp(join(tmpdir(), 'whodunit-two-copies-'))
  await copyPackage('pg')
  otherPg = createRequire(join(folder, 'index.js'))('pg')
  await database.pool.query('create table item (note text)')
  const audit = createAudit({ database: fromPg(database.pool) })
  await audit.migrate()
  await audit.close()
})
afterAll(async () => {
  await database.drop()
  await rm(folder, { recursive: true, force: true })
})

/** A package with what it depends on, as npm nests it where two versions are needed. */
async function copyPackage(name: string, done = new Set<string>()): Promise<void> {
  if (done.has(name)) return
  done.add(name)
  const source = fileURLToPath(new URL(`../../node_modules/${name}`, import.meta.url))
  await cp(source, join(folder, 'node_modules', name), { recursive: true })
  const { dependencies = {} } = JSON.parse(await readFile(join(source, 'package.json'), 'utf8'))
  for (const dependency of Object.keys(dependencies)) await copyPackage(dependency, done)
}

function openPool() {
  const pool = new otherPg.Pool({ connectionString: database.url, max: 2 })
  onTestFinished(async () => pool.end())
  return pool
}

test('a pool of another copy of pg carries the context', async () => {
  expect(otherPg.Pool).not.toBe(pg.Pool)
  const audit = createAudit({ database: fromPg(openPool()) })
  onTestFinished(async () => audit.close())
  expect(await audit.check()).toEqual([])
  await audit.withContext({ actor: { id: 'ann' } }, async () =>
    audit.client.query(`insert into item values ('a')`),
  )
  const { entries } = await audit.entries.find({}, { limit: 1 })
  expect(entries[0]).toMatchObject({ actor: { id: 'ann' }, changes: { note: [null, 'a'] } })
})

test('a pool beside the wrapped one is recorded without a context, and check cannot know of it', async () => {
  const audit = createAudit({ database: fromPg(openPool()) })
  onTestFinished(async () => audit.close())
  const beside = openPool()
  await audit.withContext({ actor: { id: 'ann' } }, async () =>
    beside.query(`insert into item values ('beside')`),
  )
  const { entries } = await audit.entries.find({}, { limit: 1 })
  expect(entries[0]).toMatchObject({
    actor: null,
    origin: 'sql',
    role: 'postgres',
    changes: { note: [null, 'beside'] },
  })
  expect(await audit.check()).toEqual([])
})

test('check says what to do when the context does not arrive through the client', async () => {
  const pool = openPool()
  const audit = createAudit({ database: fromPg(pool) })
  onTestFinished(async () => audit.close())
  // what a tool that unwraps clients after us does, or one that makes its own
  pool.on('connect', (client) => {
    client.query = otherPg.Client.prototype.query
  })
  const error = await audit.check().catch((failure: unknown) => failure)
  expect(isAuditError(error, 'AUDIT_CONTEXT_LOST'), String(error)).toBe(true)
  expect((error as Error).message).toContain('Give audit.client to your ORM')
  expect((error as Error).message).toContain('npm ls')
})
