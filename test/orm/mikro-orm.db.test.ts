import { createRequire } from 'node:module'
import { defineEntity, type EntityManager, IsolationLevel, MikroORM, p } from '@mikro-orm/postgresql'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import { fromMikroORM, mikroOrmNames } from '../../src/orm/mikro-orm.ts'
import {
  type OrmStatements,
  ormSuite,
  type OrmTransaction,
  type OrmUnderTest,
} from '../../src/testing/index.ts'
import { dropPlaces, lose, postgresPlace } from './places.ts'

dropPlaces()
const api = { describe, it, expect, beforeAll, afterAll }

const Invoice = defineEntity({
  name: 'Invoice',
  tableName: 'orm_invoice',
  properties: {
    id: p.integer().primary(),
    note: p.string().name('note_text'),
    amountDue: p.integer().nullable(),
  },
})
const Account = defineEntity({
  name: 'Account',
  tableName: 'orm_account',
  properties: {
    id: p.integer().primary(),
    email: p.string(),
    password: p.string().name('pw'),
    taxId: p.string(),
  },
})
const Line = defineEntity({
  name: 'Line',
  tableName: 'orm_line',
  properties: { invoiceId: p.integer().primary(), place: p.integer().primary(), text: p.string() },
})

function statements(em: EntityManager): OrmStatements {
  return {
    create: async (row) => em.insert(Invoice, { ...row, amountDue: row.amountDue ?? null }),
    update: async ({ id, ...row }) => em.nativeUpdate(Invoice, { id }, row),
    delete: async (id) => em.nativeDelete(Invoice, { id }),
    createMany: async (rows) =>
      em.insertMany(
        Invoice,
        rows.map((row) => ({ ...row, amountDue: row.amountDue ?? null })),
      ),
    raw: async (sql) => em.execute(sql),
  }
}

function inTransaction(em: EntityManager): OrmTransaction {
  return {
    ...statements(em),
    // by the unit of work, whose statements are sent when it is flushed
    create: async (row) => {
      em.create(Invoice, { ...row, amountDue: row.amountDue ?? null })
      await em.flush()
    },
    handle: em,
    nested: async (fn) => em.transactional(async (inner) => fn(inTransaction(inner))),
  }
}

async function underTest(options: { sessionContext?: 'connection' } = {}): Promise<OrmUnderTest> {
  const { url, setUp } = await postgresPlace()
  const orm = await MikroORM.init({
    entities: [Invoice, Account, Line],
    clientUrl: url,
    pool: { max: 5 },
    allowGlobalContext: true,
    ...options,
  })
  const pool = await orm.em.getConnection().getNativeClient()
  return {
    ...statements(orm.em),
    setUp,
    database: await fromMikroORM(orm),
    transaction: async (fn) => orm.em.fork().transactional(async (em) => fn(inTransaction(em))),
    serializable: async (fn) =>
      orm.em.fork().transactional(async (em) => fn(inTransaction(em)), {
        isolationLevel: IsolationLevel.SERIALIZABLE,
      }),
    createAccount: async (row) => orm.em.fork().insert(Account, row),
    createLine: async (row) => orm.em.fork().insert(Line, row),
    lose: () => {
      for (const client of (pool as unknown as { _clients: object[] })._clients) lose(client)
      pool.on('connect', lose)
    },
    close: async () => orm.close(),
  }
}

ormSuite(api, 'MikroORM over its own copy of pg [T2, T13]', async () => underTest())
ormSuite(api, 'MikroORM that resets a connection before each use [T11]', async () =>
  underTest({ sessionContext: 'connection' }),
)

describe('MikroORM', () => {
  test('has another copy of pg than the application, as it pins its own version', () => {
    const its = createRequire(createRequire(import.meta.url).resolve('@mikro-orm/postgresql'))(
      'pg',
    ) as typeof pg
    expect(its.Pool).not.toBe(pg.Pool)
  })

  test('gives names for embedded, composite and shared columns, with their schema', async () => {
    const Address = defineEntity({
      name: 'Address',
      embeddable: true,
      properties: { city: p.string(), street: p.string().name('street_name') },
    })
    const Customer = defineEntity({
      name: 'Customer',
      tableName: 'customers',
      schema: 'crm',
      properties: {
        orgId: p.integer().primary(),
        no: p.integer().primary(),
        home: () => p.embedded(Address),
        work: () => p.embedded(Address).object(),
        shown: p.string().persist(false),
      },
    })
    const Order = defineEntity({
      name: 'Order',
      properties: { id: p.integer().primary(), customer: () => p.manyToOne(Customer) },
    })
    const Person = defineEntity({
      name: 'Person',
      discriminatorColumn: 'type',
      properties: { id: p.integer().primary(), type: p.string() },
    })
    const Student = defineEntity({
      name: 'Student',
      extends: Person,
      discriminatorValue: 's',
      properties: { className: p.string() },
    })
    const orm = new MikroORM({ entities: [Student, Order, Customer, Address, Person], dbName: 'none' })
    const names = mikroOrmNames(orm)
    expect(names).toEqual({
      Order: {
        table: 'order',
        fields: { id: 'id', 'customer.org_id': 'customer_org_id', 'customer.no': 'customer_no' },
      },
      Customer: {
        table: 'crm.customers',
        fields: {
          orgId: 'org_id',
          no: 'no',
          work: 'work',
          'home.city': 'home_city',
          'home.street': 'home_street_name',
        },
      },
      Person: { table: 'person', fields: { id: 'id', type: 'type', className: 'class_name' } },
      Student: { table: 'person', fields: { id: 'id', type: 'type', className: 'class_name' } },
    })
    expect(Object.keys(names).indexOf('Person')).toBeLessThan(Object.keys(names).indexOf('Student'))
  })

  test('is refused where it is none', async () => {
    await expect(fromMikroORM({} as never)).rejects.toThrow(/fromMikroORM\(\) got no MikroORM/)
  })
})
