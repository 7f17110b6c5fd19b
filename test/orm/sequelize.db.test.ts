import { DataTypes, Sequelize, Transaction } from 'sequelize'
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import { createAudit } from '../../src/index.ts'
import { fromSequelize, sequelizeNames } from '../../src/orm/sequelize.ts'
import {
  type InvoiceRow,
  type OrmStatements,
  ormSuite,
  type OrmTransaction,
  type OrmUnderTest,
} from '../../src/testing/index.ts'
import { hasMariadb } from '../harness/mariadb.ts'
import { dropPlaces, lose, mariadbPlace, type Place, postgresPlace } from './places.ts'

dropPlaces()
const api = { describe, it, expect, beforeAll, afterAll }

function define(sequelize: Sequelize) {
  const options = { timestamps: false }
  const id = { type: DataTypes.INTEGER, primaryKey: true }
  return {
    Invoice: sequelize.define(
      'Invoice',
      {
        id,
        note: { type: DataTypes.STRING, field: 'note_text' },
        amountDue: { type: DataTypes.INTEGER, field: 'amount_due' },
        shown: { type: DataTypes.VIRTUAL },
      },
      { ...options, tableName: 'orm_invoice' },
    ),
    Account: sequelize.define(
      'Account',
      {
        id,
        email: DataTypes.STRING,
        password: { type: DataTypes.STRING, field: 'pw' },
        taxId: { type: DataTypes.STRING, field: 'tax_id' },
      },
      { ...options, tableName: 'orm_account' },
    ),
    Line: sequelize.define(
      'Line',
      {
        invoiceId: { type: DataTypes.INTEGER, field: 'invoice_id', primaryKey: true },
        place: { type: DataTypes.INTEGER, primaryKey: true },
        text: DataTypes.STRING,
      },
      { ...options, tableName: 'orm_line' },
    ),
  }
}

function underTest({ url, setUp }: Place): OrmUnderTest {
  const sequelize = new Sequelize(url.replace('mariadb:', 'mysql:'), { logging: false, pool: { max: 5 } })
  const { Invoice, Account, Line } = define(sequelize)
  const statements = (transaction: Transaction | null): OrmStatements => ({
    create: async (row) => Invoice.create({ ...row }, { transaction }),
    update: async ({ id, ...row }) => Invoice.update(row, { where: { id }, transaction }),
    delete: async (id) => Invoice.destroy({ where: { id }, transaction }),
    createMany: async (rows) =>
      Invoice.bulkCreate(
        rows.map((row: InvoiceRow) => ({ ...row })),
        { transaction },
      ),
    raw: async (sql) => sequelize.query(sql, { transaction }),
  })
  const inTransaction = (transaction: Transaction): OrmTransaction => ({
    ...statements(transaction),
    handle: transaction,
    nested: async (fn) => sequelize.transaction({ transaction }, async (inner) => fn(inTransaction(inner))),
  })
  return {
    ...statements(null),
    setUp,
    database: fromSequelize(sequelize),
    transaction: async (fn) => sequelize.transaction(async (transaction) => fn(inTransaction(transaction))),
    serializable: async (fn) =>
      sequelize.transaction(
        { isolationLevel: Transaction.ISOLATION_LEVELS.SERIALIZABLE },
        async (transaction) => fn(inTransaction(transaction)),
      ),
    createAccount: async (row) => Account.create(row),
    createLine: async (row) => Line.create(row),
    lose: () => {
      const manager = (
        sequelize as unknown as { connectionManager: { getConnection(given: unknown): Promise<object> } }
      ).connectionManager
      const getConnection = manager.getConnection.bind(manager)
      manager.getConnection = async (given) => {
        const connection = await getConnection(given)
        lose(connection)
        return connection
      }
    },
    close: async () => sequelize.close(),
  }
}

ormSuite(api, 'Sequelize over pg', async () => underTest(await postgresPlace()))

describe.skipIf(!hasMariadb)('on MariaDB', () => {
  ormSuite(api, 'Sequelize over mysql2', async () => underTest(await mariadbPlace()))
})

describe('Sequelize', () => {
  test('gives the names of its models with their schema, and none of what is not stored', () => {
    const sequelize = new Sequelize('postgres://localhost/x', {
      logging: false,
      define: { underscored: true },
    })
    const { Invoice } = define(sequelize)
    Invoice.schema('billing')
    sequelize.define('Customer', { homeCity: DataTypes.STRING }, { schema: 'crm', timestamps: true })
    expect(sequelizeNames(sequelize)).toMatchObject({
      Invoice: { table: 'orm_invoice', fields: { id: 'id', note: 'note_text', amountDue: 'amount_due' } },
      Customer: { table: 'crm.customers', fields: { homeCity: 'home_city', createdAt: 'created_at' } },
    })
    expect(sequelizeNames(sequelize)['Invoice']?.fields).not.toHaveProperty('shown')
  })

  test('carries the context with reading and writing apart', async () => {
    const { url, setUp } = await postgresPlace()
    await setUp('create table item (id int primary key)')
    const { hostname: host, port, pathname, username } = new URL(url)
    const login = { host, port, username, database: pathname.slice(1) }
    const sequelize = new Sequelize(pathname.slice(1), username, '', {
      dialect: 'postgres',
      logging: false,
      replication: { read: [login], write: login },
    })
    const audit = createAudit({ database: fromSequelize(sequelize) })
    try {
      await audit.migrate()
      expect(await audit.check()).toEqual([])
      await audit.withContext({ actor: { id: 'ann' } }, async () =>
        sequelize.query('insert into item values (1)'),
      )
      expect((await audit.history('item', 1)).map(({ actor }) => actor?.id)).toEqual(['ann'])
    } finally {
      await audit.close()
      await sequelize.close()
    }
  })

  test('is refused where it is none', () => {
    expect(() => fromSequelize({} as never)).toThrow(/fromSequelize\(\) got no instance of Sequelize/)
  })
})
