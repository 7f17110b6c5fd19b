import {
  ChildEntity,
  Column,
  DataSource,
  type DataSourceOptions,
  Entity,
  type EntityManager,
  EntitySchema,
  PrimaryColumn,
  TableInheritance,
} from 'typeorm'
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import { createAudit } from '../../src/index.ts'
import { fromTypeORM, typeOrmNames } from '../../src/orm/typeorm.ts'
import {
  type InvoiceRow,
  type OrmStatements,
  ormSuite,
  type OrmTransaction,
  type OrmUnderTest,
} from '../../src/testing/index.ts'
import { hasMariadb } from '../harness/mariadb.ts'
import { dropPlaces, lose, mariadbPlace, postgresPlace } from './places.ts'

await import('reflect-metadata') // what its decorators ask for
dropPlaces()
const api = { describe, it, expect, beforeAll, afterAll }

const Invoice = new EntitySchema<InvoiceRow>({
  name: 'Invoice',
  tableName: 'orm_invoice',
  columns: {
    id: { type: 'int', primary: true },
    note: { type: 'varchar', name: 'note_text' },
    amountDue: { type: 'int', name: 'amount_due', nullable: true },
  },
})
const Account = new EntitySchema<{ id: number; email: string; password: string; taxId: string }>({
  name: 'Account',
  tableName: 'orm_account',
  columns: {
    id: { type: 'int', primary: true },
    email: { type: 'varchar' },
    password: { type: 'varchar', name: 'pw' },
    taxId: { type: 'varchar', name: 'tax_id' },
  },
})
const Line = new EntitySchema<{ invoiceId: number; place: number; text: string }>({
  name: 'Line',
  tableName: 'orm_line',
  columns: {
    invoiceId: { type: 'int', name: 'invoice_id', primary: true },
    place: { type: 'int', primary: true },
    text: { type: 'varchar' },
  },
})
const entities = [Invoice, Account, Line]

function statements(manager: EntityManager): OrmStatements {
  return {
    create: async (row) => manager.insert(Invoice, row),
    update: async ({ id, ...row }) => manager.update(Invoice, { id }, row),
    delete: async (id) => manager.delete(Invoice, { id }),
    createMany: async (rows) => manager.insert(Invoice, [...rows]),
    raw: async (sql) => manager.query(sql),
  }
}

function inTransaction(manager: EntityManager): OrmTransaction {
  return {
    ...statements(manager),
    // with the reading and the transaction that come around it
    createMany: async (rows) => manager.save(Invoice, [...rows]),
    handle: manager,
    nested: async (fn) => manager.transaction(async (inner) => fn(inTransaction(inner))),
  }
}

async function underTest(
  options: DataSourceOptions,
  rest: { setUp?: OrmUnderTest['setUp']; lose(driver: never): void },
): Promise<OrmUnderTest> {
  const source = await new DataSource({ ...options, entities }).initialize()
  return {
    ...statements(source.manager),
    setUp: async (sql) => source.query(sql),
    database: fromTypeORM(source),
    transaction: async (fn) => source.transaction(async (manager) => fn(inTransaction(manager))),
    serializable: async (fn) =>
      source.transaction('SERIALIZABLE', async (manager) => fn(inTransaction(manager))),
    createAccount: async (row) => source.manager.save(Account, row),
    createLine: async (row) => source.manager.insert(Line, row),
    ...rest,
    lose: () => rest.lose(source.driver as never),
    close: async () => source.destroy(),
  }
}

ormSuite(api, 'TypeORM over pg', async () => {
  const { url, setUp } = await postgresPlace()
  return underTest(
    { type: 'postgres', url, extra: { max: 5 } },
    {
      setUp,
      lose({ master }: { master: { _clients: object[]; on(event: string, listener: object): void } }) {
        for (const client of master._clients) lose(client)
        master.on('connect', lose)
      },
    },
  )
})

describe.skipIf(!hasMariadb)('on MariaDB', () => {
  ormSuite(api, 'TypeORM over mysql2', async () => {
    const { url, setUp } = await mariadbPlace()
    return underTest(
      { type: 'mysql', url: url.replace('mariadb:', 'mysql:'), extra: { connectionLimit: 5 } },
      {
        setUp,
        lose({ pool }: { pool: { _allConnections: { toArray(): object[] } } }) {
          for (const connection of pool._allConnections.toArray()) lose(connection)
        },
      },
    )
  })
})

ormSuite(api, 'TypeORM over better-sqlite3, whose one connection has one transaction', async () => {
  const {
    transaction: _,
    serializable: __,
    ...rest
  } = await underTest(
    { type: 'better-sqlite3', database: ':memory:' },
    {
      lose({
        databaseConnection,
        queryRunner,
      }: {
        databaseConnection: object
        queryRunner: { stmtCache: Map<string, object> }
      }) {
        delete (databaseConnection as { prepare?: unknown }).prepare
        queryRunner.stmtCache.clear()
      },
    },
  )
  return rest
})

describe('TypeORM', () => {
  class Person {
    declare id: number
  }
  class Student extends Person {
    declare className: string
  }
  Entity({ name: 'people', schema: 'school' })(Person)
  TableInheritance({ column: { type: 'varchar', name: 'type' } })(Person)
  PrimaryColumn({ type: 'int' })(Person.prototype, 'id')
  class Address {
    declare city: string
  }
  Column({ type: 'varchar', name: 'home_city' })(Address.prototype, 'city')
  Column(() => Address)(Person.prototype, 'address')
  ChildEntity()(Student)
  Column({ type: 'varchar', name: 'class_name' })(Student.prototype, 'className')

  test('has names for embedded columns and for entities that share a table, with their schema', async () => {
    const { url, setUp } = await postgresPlace()
    await setUp('create schema school')
    const source = await new DataSource({
      type: 'postgres',
      url,
      entities: [Student, Person],
      synchronize: true,
    }).initialize()
    const audit = createAudit({
      schemas: ['public', 'school'],
      models: { Person: { ignore: ['address.city'], label: '{className}' } },
      database: fromTypeORM(source),
    })
    try {
      expect(Object.entries(typeOrmNames(source)).map(([name, { table }]) => [name, table])).toEqual([
        ['Person', 'school.people'],
        ['Student', 'school.people'],
      ])
      await audit.migrate()
      expect(await audit.check()).toEqual([])
      await source.manager.save(Student, { id: 1, className: '4b', address: { city: 'Ulm' } })
      const [entry] = await audit.history('Student', 1)
      expect(entry?.target).toEqual({ model: 'Person', id: '1', label: '4b' })
      expect(entry?.changes).toMatchObject({ 'address.city': [null, 'Ulm'], className: [null, '4b'] })
    } finally {
      await audit.close()
      await source.destroy()
    }
  })

  test('has no statement left that it prepared before', async () => {
    const source = await new DataSource({ type: 'better-sqlite3', database: ':memory:' }).initialize()
    await source.query('create table item (id integer primary key)')
    const insert = async (id: number) => source.query('insert into item values (?)', [id])
    await insert(1)
    const audit = createAudit({ database: fromTypeORM(source) })
    await audit.migrate()
    await audit.withContext({ actor: { id: 'ann' } }, async () => insert(2))
    expect((await audit.history('item', 2)).map(({ actor }) => actor?.id)).toEqual(['ann'])
    await source.destroy()
  })

  test('has to be initialised before', () => {
    const source = new DataSource({ type: 'postgres', url: 'postgres://localhost/x' })
    expect(() => fromTypeORM(source)).toThrow(/not initialised.*await dataSource\.initialize\(\)/)
    expect(() => fromTypeORM({} as never)).toThrow(/fromTypeORM\(\) got no DataSource of TypeORM/)
  })
})
