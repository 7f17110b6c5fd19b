import { knex, type Knex } from 'knex'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import { createAudit, type Names } from '../../src/index.ts'
import { fromKnex } from '../../src/orm/knex.ts'
import {
  type OrmStatements,
  ormSuite,
  type OrmTransaction,
  type OrmUnderTest,
} from '../../src/testing/index.ts'
import { hasMariadb } from '../harness/mariadb.ts'
import { dropPlaces, lose, mariadbPlace, type Place, postgresPlace } from './places.ts'

dropPlaces()
const api = { describe, it, expect, beforeAll, afterAll }

const names: Names = {
  Invoice: { table: 'orm_invoice', fields: { id: 'id', note: 'note_text', amountDue: 'amount_due' } },
  Account: { table: 'orm_account', fields: { password: 'pw', taxId: 'tax_id' } },
  Line: { table: 'orm_line', fields: { invoiceId: 'invoice_id' } },
}

const columns = ({
  id,
  note,
  amountDue = null,
}: {
  id: number
  note: string
  amountDue?: number | null
}) => ({
  id,
  note_text: note,
  amount_due: amountDue,
})

function statements(db: Knex): OrmStatements {
  return {
    create: async (row) => db('orm_invoice').insert(columns(row)),
    update: async (row) => {
      const { id, ...rest } = columns(row)
      return db('orm_invoice').where({ id }).update(rest)
    },
    delete: async (id) => db('orm_invoice').where({ id }).delete(),
    createMany: async (rows) => db.batchInsert('orm_invoice', rows.map(columns), 2),
    raw: async (sql) => db.raw(sql),
  }
}

function inTransaction(trx: Knex.Transaction): OrmTransaction {
  return {
    ...statements(trx),
    handle: trx,
    nested: async (fn) => trx.transaction(async (inner) => fn(inTransaction(inner))),
  }
}

function underTest({ url, setUp }: Place, client: string): OrmUnderTest {
  const db = knex({ client, connection: url, pool: { min: 0, max: 5 } })
  return {
    ...statements(db),
    setUp,
    database: fromKnex(db, { names }),
    transaction: async (fn) => db.transaction(async (trx) => fn(inTransaction(trx))),
    serializable: async (fn) =>
      db.transaction(async (trx) => fn(inTransaction(trx)), { isolationLevel: 'serializable' }),
    lazy: (row) => db('orm_invoice').insert(columns(row)),
    createAccount: async ({ password: pw, taxId: tax_id, ...row }) =>
      db('orm_account').insert({ ...row, pw, tax_id }),
    createLine: async ({ invoiceId: invoice_id, ...row }) => db('orm_line').insert({ ...row, invoice_id }),
    lose: () => {
      const acquire = db.client.acquireConnection
      db.client.acquireConnection = async () => {
        const connection = (await acquire.call(db.client)) as object
        lose(connection)
        return connection
      }
    },
    close: async () => db.destroy(),
  }
}

ormSuite(api, 'Knex over pg', async () => underTest(await postgresPlace(), 'pg'))

describe.skipIf(!hasMariadb)('on MariaDB', () => {
  ormSuite(api, 'Knex over mysql2', async () => underTest(await mariadbPlace(), 'mysql2'))
})

test('a pool given to Knex carries the context too, and tells the settings', async () => {
  const { url, setUp } = await postgresPlace()
  await setUp('create table item (id int primary key)')
  const pool = new pg.Pool({ connectionString: url, max: 2 })
  const db = knex({ client: 'pg', connectionPool: pool } as Knex.Config)
  const audit = createAudit({ database: fromKnex(db, { own: pool }) })
  try {
    await audit.migrate()
    expect(await audit.check()).toEqual([])
    await audit.withContext({ actor: { id: 'ann' } }, async () => db('item').insert({ id: 1 }))
    expect((await audit.history('item', 1)).map(({ actor }) => actor?.id)).toEqual(['ann'])
  } finally {
    await audit.close()
    await db.destroy()
    await pool.end()
  }
})

test('what is no Knex, or one over an unknown client or without settings, is refused', () => {
  expect(() => fromKnex({} as never)).toThrow(/fromKnex\(\) got no instance of Knex/)
  expect(() =>
    fromKnex(knex({ client: 'better-sqlite3', connection: ':memory:', useNullAsDefault: true })),
  ).toThrow(/The client of Knex is no client that can carry the context/)
  expect(() => fromKnex(knex({ client: 'pg', connection: async () => ({}) }))).toThrow(/\{ own: new pg.Pool/)
})
