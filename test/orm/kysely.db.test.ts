import Database from 'better-sqlite3'
import { type ControlledTransaction, Kysely, MysqlDialect, PostgresDialect, sql, SqliteDialect } from 'kysely'
import { createPool } from 'mysql2'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import { fromMysql2 } from '../../src/database/mariadb.ts'
import { fromPg } from '../../src/database/postgres.ts'
import { fromBetterSqlite3 } from '../../src/database/sqlite.ts'
import type { AuditDatabase, Names } from '../../src/index.ts'
import { fromKysely } from '../../src/orm/kysely.ts'
import {
  type InvoiceRow,
  type OrmStatements,
  ormSuite,
  type OrmTransaction,
  type OrmUnderTest,
} from '../../src/testing/index.ts'
import { hasMariadb } from '../harness/mariadb.ts'
import { dropPlaces, lose, mariadbPlace, postgresPlace } from './places.ts'

dropPlaces()
const api = { describe, it, expect, beforeAll, afterAll }

const names: Names = {
  Invoice: { table: 'orm_invoice', fields: { id: 'id', note: 'note_text', amountDue: 'amount_due' } },
  Account: { table: 'orm_account', fields: { password: 'pw', taxId: 'tax_id' } },
  Line: { table: 'orm_line', fields: { invoiceId: 'invoice_id' } },
}

interface Tables {
  orm_invoice: { id: number; note_text: string; amount_due: number | null }
  orm_account: { id: number; email: string; pw: string; tax_id: string }
  orm_line: { invoice_id: number; place: number; text: string }
}

const columns = ({ id, note, amountDue = null as never }: InvoiceRow) => ({
  id,
  note_text: note,
  amount_due: amountDue,
})

function statements(db: Kysely<Tables>): OrmStatements {
  return {
    create: async (row) => db.insertInto('orm_invoice').values(columns(row)).execute(),
    update: async (row) => {
      const { id, ...rest } = columns(row)
      return db.updateTable('orm_invoice').set(rest).where('id', '=', id).execute()
    },
    delete: async (id) => db.deleteFrom('orm_invoice').where('id', '=', id).execute(),
    createMany: async (rows) => db.insertInto('orm_invoice').values(rows.map(columns)).execute(),
    raw: async (text) => sql.raw(text).execute(db),
  }
}

let savepoints = 0

function inTransaction(trx: ControlledTransaction<Tables>): OrmTransaction {
  return {
    ...statements(trx),
    handle: trx,
    async nested(fn) {
      const name = `s${++savepoints}`
      const inner = await trx.savepoint(name).execute()
      try {
        const result = await fn(inTransaction(inner))
        await inner.releaseSavepoint(name as never).execute()
        return result
      } catch (error) {
        await inner.rollbackToSavepoint(name as never).execute()
        throw error
      }
    },
  }
}

function underTest(
  db: Kysely<Tables>,
  database: AuditDatabase<unknown, never>,
  rest: Pick<OrmUnderTest, 'setUp' | 'lose'>,
): OrmUnderTest {
  const transaction = async <T>(
    begin: Promise<ControlledTransaction<Tables>>,
    fn: (transaction: OrmTransaction) => Promise<T>,
  ): Promise<T> => {
    const trx = await begin
    try {
      const result = await fn(inTransaction(trx))
      await trx.commit().execute()
      return result
    } catch (error) {
      await trx.rollback().execute()
      throw error
    }
  }
  return {
    ...statements(db),
    database: fromKysely(db, database, { names }),
    transaction: async (fn) => transaction(db.startTransaction().execute(), fn),
    serializable: async (fn) =>
      transaction(db.startTransaction().setIsolationLevel('serializable').execute(), fn),
    createAccount: async ({ password: pw, taxId: tax_id, ...row }) =>
      db
        .insertInto('orm_account')
        .values({ ...row, pw, tax_id })
        .execute(),
    createLine: async ({ invoiceId: invoice_id, ...row }) =>
      db
        .insertInto('orm_line')
        .values({ ...row, invoice_id })
        .execute(),
    close: async () => db.destroy(),
    ...rest,
  }
}

ormSuite(api, 'Kysely over pg', async () => {
  const { url, setUp } = await postgresPlace()
  const pool = new pg.Pool({ connectionString: url, max: 5 })
  const database = fromPg(pool)
  return underTest(new Kysely({ dialect: new PostgresDialect({ pool: database.client }) }), database, {
    setUp,
    lose: () => {
      for (const client of (pool as unknown as { _clients: object[] })._clients) lose(client)
      pool.on('connect', lose)
    },
  })
})

describe.skipIf(!hasMariadb)('on MariaDB', () => {
  ormSuite(api, 'Kysely over mysql2', async () => {
    const { url, setUp } = await mariadbPlace()
    const pool = createPool({ uri: url, connectionLimit: 5 })
    const database = fromMysql2(pool)
    return underTest(new Kysely({ dialect: new MysqlDialect({ pool: database.client }) }), database, {
      setUp,
      lose: () => {
        const { _allConnections: all } = pool as unknown as { _allConnections: { toArray(): object[] } }
        for (const connection of all.toArray()) lose(connection)
      },
    })
  })
})

ormSuite(api, 'Kysely over better-sqlite3, without audit.in()', async () => {
  const client = new Database(':memory:')
  const database = fromBetterSqlite3(client)
  const {
    transaction: _,
    serializable: __,
    ...rest
  } = underTest(new Kysely({ dialect: new SqliteDialect({ database: database.client }) }), database, {
    setUp: async (text) => client.exec(text),
    lose: () => void delete (client as { prepare?: unknown }).prepare,
  })
  return rest
})

test('what is no Kysely is refused', () => {
  expect(() => fromKysely({} as never, fromPg(new pg.Pool()))).toThrow(/fromKysely\(\) got no Kysely/)
})
