import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import { createClient } from '@libsql/client'
import Database from 'better-sqlite3'
import { eq, sql } from 'drizzle-orm'
import { drizzle as drizzleSqlite } from 'drizzle-orm/better-sqlite3'
import { drizzle as drizzleLibsql } from 'drizzle-orm/libsql'
import { drizzle as drizzleMysql } from 'drizzle-orm/mysql2'
import * as mysql from 'drizzle-orm/mysql-core'
import { drizzle as drizzlePg, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import * as pgCore from 'drizzle-orm/pg-core'
import { drizzle as drizzlePglite } from 'drizzle-orm/pglite'
import { drizzle as drizzlePostgresJs } from 'drizzle-orm/postgres-js'
import * as sqlite from 'drizzle-orm/sqlite-core'
import { createPool } from 'mysql2/promise'
import pg from 'pg'
import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import { createAudit, isAuditError } from '../../src/index.ts'
import { drizzleNames, fromDrizzle } from '../../src/orm/drizzle.ts'
import {
  type OrmStatements,
  ormSuite,
  type OrmTransaction,
  type OrmUnderTest,
} from '../../src/testing/index.ts'
import { hasMariadb } from '../harness/mariadb.ts'
import { dropPlaces, lose, mariadbPlace, postgresPlace } from './places.ts'

dropPlaces()
const api = { describe, it, expect, beforeAll, afterAll }

const pgSchema = {
  Invoice: pgCore.pgTable('orm_invoice', {
    id: pgCore.integer().primaryKey(),
    note: pgCore.varchar('note_text', { length: 100 }).notNull(),
    amountDue: pgCore.integer('amount_due'),
  }),
  Account: pgCore.pgTable('orm_account', {
    id: pgCore.integer().primaryKey(),
    email: pgCore.varchar(),
    password: pgCore.varchar('pw'),
    taxId: pgCore.varchar('tax_id'),
  }),
  Line: pgCore.pgTable('orm_line', {
    invoiceId: pgCore.integer('invoice_id'),
    place: pgCore.integer(),
    text: pgCore.varchar(),
  }),
}
const mysqlSchema = {
  Invoice: mysql.mysqlTable('orm_invoice', {
    id: mysql.int().primaryKey(),
    note: mysql.varchar('note_text', { length: 100 }).notNull(),
    amountDue: mysql.int('amount_due'),
  }),
  Account: mysql.mysqlTable('orm_account', {
    id: mysql.int().primaryKey(),
    email: mysql.varchar({ length: 100 }),
    password: mysql.varchar('pw', { length: 100 }),
    taxId: mysql.varchar('tax_id', { length: 20 }),
  }),
  Line: mysql.mysqlTable('orm_line', {
    invoiceId: mysql.int('invoice_id'),
    place: mysql.int(),
    text: mysql.varchar({ length: 100 }),
  }),
}
const sqliteSchema = {
  Invoice: sqlite.sqliteTable('orm_invoice', {
    id: sqlite.integer().primaryKey(),
    note: sqlite.text('note_text').notNull(),
    amountDue: sqlite.integer('amount_due'),
  }),
  Account: sqlite.sqliteTable('orm_account', {
    id: sqlite.integer().primaryKey(),
    email: sqlite.text(),
    password: sqlite.text('pw'),
    taxId: sqlite.text('tax_id'),
  }),
  Line: sqlite.sqliteTable('orm_line', {
    invoiceId: sqlite.integer('invoice_id'),
    place: sqlite.integer(),
    text: sqlite.text(),
  }),
}

type Schema = typeof pgSchema
type Db = Pick<NodePgDatabase<Schema>, 'insert' | 'update' | 'delete' | 'transaction'> & {
  execute?(query: unknown): Promise<unknown>
  run?(query: unknown): unknown
}

/** Drizzle is called alike over each client; the types of PostgreSQL stand for all. */
function statements(db: Db, { Invoice }: Schema): OrmStatements {
  return {
    create: async (row) => db.insert(Invoice).values(row),
    update: async ({ id, ...row }) => db.update(Invoice).set(row).where(eq(Invoice.id, id)),
    delete: async (id) => db.delete(Invoice).where(eq(Invoice.id, id)),
    createMany: async (rows) => db.insert(Invoice).values([...rows]),
    raw: async (text) => (db.execute ? db.execute(sql.raw(text)) : db.run!(sql.raw(text))),
  }
}

function inTransaction(db: Db, schema: Schema): OrmTransaction {
  return {
    ...statements(db, schema),
    handle: db,
    nested: async (fn) => db.transaction(async (inner) => fn(inTransaction(inner, schema))),
  }
}

function underTest(
  given: object,
  schemaOf: object,
  rest: Pick<OrmUnderTest, 'setUp' | 'lose' | 'close'>,
): OrmUnderTest {
  const [db, schema] = [given as Db, schemaOf as Schema]
  return {
    ...statements(db, schema),
    database: fromDrizzle(given as never),
    lazy: (row) => db.insert(schema.Invoice).values(row),
    createAccount: async (row) => db.insert(schema.Account).values(row),
    createLine: async (row) => db.insert(schema.Line).values(row),
    transaction: async (fn) => db.transaction(async (tx) => fn(inTransaction(tx, schema))),
    serializable: async (fn) =>
      db.transaction(async (tx) => fn(inTransaction(tx, schema)), { isolationLevel: 'serializable' }),
    ...rest,
  }
}

ormSuite(api, 'Drizzle over pg', async () => {
  const { url, setUp } = await postgresPlace()
  const pool = new pg.Pool({ connectionString: url, max: 5 })
  return underTest(drizzlePg(pool, { schema: pgSchema }), pgSchema, {
    setUp,
    lose: () => {
      for (const client of (pool as unknown as { _clients: object[] })._clients) lose(client)
      pool.on('connect', lose)
    },
    close: async () => pool.end(),
  })
})

ormSuite(api, 'Drizzle over postgres.js', async () => {
  const { url, setUp } = await postgresPlace()
  const client = postgres(url, { max: 5, onnotice: () => {} })
  const db = drizzlePostgresJs(client, { schema: pgSchema })
  return underTest(db, pgSchema, {
    setUp,
    lose: () => Object.assign((db as unknown as { session: object }).session, { client }),
    close: async () => client.end(),
  })
})

ormSuite(api, 'Drizzle over PGlite', async () => {
  const client = await PGlite.create()
  const db = drizzlePglite(client, { schema: pgSchema })
  return underTest(db, pgSchema, {
    setUp: async (text) => client.exec(text),
    lose: () => Object.assign((db as unknown as { session: object }).session, { client }),
    close: async () => client.close(),
  })
})

describe.skipIf(!hasMariadb)('on MariaDB', () => {
  ormSuite(api, 'Drizzle over mysql2', async () => {
    const { url, setUp } = await mariadbPlace()
    const pool = createPool({ uri: url, connectionLimit: 5 })
    return underTest(drizzleMysql(pool, { schema: mysqlSchema, mode: 'default' }), mysqlSchema, {
      setUp,
      lose: () => {
        const { _allConnections: all } = (
          pool as unknown as { pool: { _allConnections: { toArray(): object[] } } }
        ).pool
        for (const connection of all.toArray()) lose(connection)
      },
      close: async () => pool.end(),
    })
  })
})

ormSuite(api, 'Drizzle over better-sqlite3, whose transactions are synchronous', async () => {
  const client = new Database(':memory:')
  const {
    transaction: _,
    serializable: __,
    ...rest
  } = underTest(drizzleSqlite(client, { schema: sqliteSchema }), sqliteSchema, {
    setUp: async (text) => client.exec(text),
    lose: () => void delete (client as { prepare?: unknown }).prepare,
    close: async () => void client.close(),
  })
  return rest
})

ormSuite(api, 'Drizzle over libsql', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'whodunit-drizzle-'))
  const client = createClient({ url: `file:${join(folder, 'test.db')}` })
  const db = drizzleLibsql(client, { schema: sqliteSchema })
  const { serializable: _, ...rest } = underTest(db, sqliteSchema, {
    setUp: async (text) => client.execute(text),
    lose: () => Object.assign((db as unknown as { session: object }).session, { client }),
    close: async () => {
      client.close()
      rmSync(folder, { recursive: true })
    },
  })
  return rest
})

describe('the names of Drizzle', () => {
  const billing = pgCore.pgSchema('billing')
  const schema = {
    customer: billing.table('customers', { id: pgCore.integer(), homeCity: pgCore.text() }),
    status: pgCore.pgEnum('status', ['a']),
    notATable: 1,
  }
  test('are those of tables alone, with their schema', () => {
    expect(drizzleNames(schema)).toEqual({
      customer: { table: 'billing.customers', fields: { id: 'id', homeCity: 'homeCity' } },
    })
  })
  test('follow the casing that Drizzle is told', () => {
    const pool = new pg.Pool()
    const { names } = fromDrizzle(drizzlePg(pool, { schema, casing: 'snake_case' }))
    expect(names?.['customer']?.fields).toEqual({ id: 'id', homeCity: 'home_city' })
    expect(fromDrizzle(drizzlePg(pool), { schema: { customer: schema.customer } }).names).toEqual(
      drizzleNames(schema),
    )
  })
})

test('what is no Drizzle, or one over an unknown client, is refused', async () => {
  const code = (make: () => unknown): unknown => {
    try {
      return make()
    } catch (error) {
      return isAuditError(error, 'AUDIT_CLIENT_UNKNOWN') ? error.message : error
    }
  }
  expect(code(() => fromDrizzle({} as never))).toMatch(/fromDrizzle\(\) got no database of Drizzle/)
  expect(code(() => fromDrizzle(drizzlePg.mock() as never))).toMatch(/The client of Drizzle is no client/)
  const pool = new pg.Pool()
  const audit = createAudit({ database: fromDrizzle(drizzlePg(pool)) })
  await expect(audit.in({} as never).logAuditEvent({ action: 'x' })).rejects.toThrow(
    /no open transaction of the ORM/,
  )
})
