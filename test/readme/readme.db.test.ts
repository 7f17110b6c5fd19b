import { readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freshDatabase, type TestDatabase } from '../harness/postgres.ts'

const readme = readFileSync('README.md', 'utf8')
let database: TestDatabase

beforeAll(async () => {
  database = await freshDatabase()
  await database.pool.query(`
    create table invoices (id int primary key, number text, customer_id int, status text default 'open');
    create table sessions (id text primary key);
    insert into invoices values (7, '2026-0007', 12)`)
})
afterAll(async () => database.drop())

describe('the README', () => {
  it('shows a start that is this test, of about 20 lines', () => {
    const shown = /<!-- region: start -->\n```ts\n([\s\S]*?)```/.exec(readme)?.[1]
    const tested = /\/\/ region: start\n([\s\S]*?)\/\/ endregion/.exec(
      readFileSync('test/readme/start.ts', 'utf8'),
    )?.[1]
    expect(shown).toBe(tested)
    expect(shown!.split('\n').filter((line) => line.trim() !== '').length).toBeLessThanOrEqual(24)
  })

  it('is shorter than 150 lines', () => {
    expect(readme.split('\n').length).toBeLessThan(150)
  })

  it('starts an application whose writes leave the entry that it shows', async () => {
    process.env['DATABASE_URL'] = database.url
    const { app, audit, pool } = await import('./start.ts')
    const server = app.listen(0, '127.0.0.1')
    try {
      await new Promise((resolve) => server.once('listening', resolve))
      const { port } = server.address() as AddressInfo
      const answer = await fetch(`http://127.0.0.1:${port}/invoices/7/pay`, { method: 'POST' })
      expect(answer.status).toBe(204)
      await expect.poll(async () => (await audit.entries.find({ kind: 'request' })).entries.length).toBe(1)
      const [entry] = await audit.history('invoices', 7)
      expect(entry).toMatchObject({
        kind: 'change',
        action: 'UPDATE',
        target: { model: 'invoices', id: '7', label: '2026-0007' },
        changes: { status: ['open', 'paid'] },
        subject: '12',
        request: { ip: '127.0.0.1', method: 'POST', path: '/invoices/7/pay' },
        origin: 'http',
        app: 'shop@1.4.2',
      })
      const shown = JSON.parse(/```json\n([\s\S]*?)```/.exec(readme)![1]!) as object
      for (const key of Object.keys(shown)) expect(entry).toHaveProperty(key)
    } finally {
      server.close()
      await audit.close()
      await pool.end()
    }
  })
})
