import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fromPg } from '../../src/database/postgres.ts'
import { createAudit } from '../../src/index.ts'
import { freshDatabase, type TestDatabase } from '../harness/postgres.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await freshDatabase()
})
afterAll(async () => database.drop())

describe('a renamed table', () => {
  it('is healed by migrate, also when another table has taken its name', async () => {
    const { pool } = database
    const audit = createAudit({ database: fromPg(pool) })
    await pool.query('create table customer (id int primary key)')
    await audit.migrate()
    await pool.query('alter table customer rename to client; create table customer (id int primary key)')
    const drifted = (await audit.status()).tables
    expect(drifted).toMatchObject([
      { model: 'client', state: 'drifted' },
      { model: 'customer', state: 'missing' },
    ])
    await audit.migrate()
    await pool.query('insert into client values (1); insert into customer values (2)')
    expect((await audit.history('client', 1)).map(({ action }) => action)).toEqual(['CREATE'])
    expect((await audit.history('customer', 2)).map(({ action }) => action)).toEqual(['CREATE'])
    expect((await audit.migrate()).done).toEqual([])
    await pool.query('drop table client')
    await audit.migrate()
    const { rows } = await pool.query(
      `select count(*)::int as left from pg_proc where proname like 'capture %'`,
    )
    expect(rows[0]).toEqual({ left: 1 })
    await audit.close()
  })
})
