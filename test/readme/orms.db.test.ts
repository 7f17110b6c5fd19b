import { readFileSync } from 'node:fs'
import { defineEntity, MikroORM, p } from '@mikro-orm/postgresql'
import { drizzle } from 'drizzle-orm/node-postgres'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { knex } from 'knex'
import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { DataTypes, Sequelize } from 'sequelize'
import { DataSource, EntitySchema } from 'typeorm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Audit, createAudit, type Names } from 'whodunit'
import { fromDrizzle } from 'whodunit/drizzle'
import { fromKnex } from 'whodunit/knex'
import { fromKysely } from 'whodunit/kysely'
import { fromMikroORM } from 'whodunit/mikro-orm'
import { fromPg } from 'whodunit/postgres'
import { fromSequelize } from 'whodunit/sequelize'
import { fromTypeORM } from 'whodunit/typeorm'
import { freshDatabase, type TestDatabase } from '../harness/postgres.ts'

let place: TestDatabase

beforeAll(async () => {
  place = await freshDatabase()
  process.env['DATABASE_URL'] = place.url
  await place.pool.query('create table invoices (id int primary key, customer_id int)')
  const audit = createAudit({
    database: fromPg(place.pool),
    models: { invoices: { subject: 'customer_id' } },
  })
  await audit.migrate()
  await audit.close()
})
afterAll(async () => place.drop())

const config = { models: { invoices: { subject: 'customer_id' } } }
const names: Names = { Invoice: { table: 'invoices', fields: { customerId: 'customer_id' } } }

/** What a reader of the docs gets: an entry with the actor, in the names of the code. */
async function shows(
  audit: Audit,
  id: number,
  write: () => PromiseLike<unknown>,
  end: () => Promise<unknown>,
) {
  try {
    expect(await audit.check()).toEqual([])
    await audit.withContext({ actor: { id: 'ann' } }, write)
    const [entry] = await audit.history('Invoice', id)
    expect(entry).toMatchObject({
      target: { model: 'Invoice', id: String(id) },
      changes: { customerId: [null, 5] },
      actor: { id: 'ann' },
    })
  } finally {
    await audit.close()
    await end()
  }
}

const ownPool = () => new pg.Pool({ connectionString: place.url, max: 2 })

describe('the lines of docs/orms.md', () => {
  it('for Drizzle work', async () => {
    const schema = {
      Invoice: pgTable('invoices', {
        id: integer().primaryKey(),
        customerId: integer('customer_id'),
        no: text(),
      }),
    }
    const pool = ownPool()
    // region: drizzle
    const db = drizzle(pool, { schema })
    const audit = createAudit({ ...config, database: fromDrizzle(db) })
    // endregion
    await shows(
      audit,
      1,
      () => db.execute('insert into invoices values (1, 5)'),
      () => pool.end(),
    )
  })

  it('for Kysely work', async () => {
    interface Tables {
      invoices: { id: number; customer_id: number }
    }
    const pool = ownPool()
    // region: kysely
    const database = fromPg(pool)
    const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool: database.client }) })
    const audit = createAudit({ ...config, database: fromKysely(db, database, { names }) })
    // endregion
    const row = { id: 2, customer_id: 5 }
    await shows(
      audit,
      2,
      () => db.insertInto('invoices').values(row).execute(),
      () => db.destroy(),
    )
  })

  it('for Knex work', async () => {
    // region: knex
    const db = knex({ client: 'pg', connection: process.env.DATABASE_URL! })
    const audit = createAudit({ ...config, database: fromKnex(db, { names }) })
    // endregion
    await shows(
      audit,
      3,
      () => db('invoices').insert({ id: 3, customer_id: 5 }),
      () => db.destroy(),
    )
  })

  it('for Sequelize work', async () => {
    const defineModels = (to: Sequelize) =>
      to.define(
        'Invoice',
        {
          id: { type: DataTypes.INTEGER, primaryKey: true },
          customerId: { type: DataTypes.INTEGER, field: 'customer_id' },
        },
        { tableName: 'invoices', timestamps: false },
      )
    // region: sequelize
    const sequelize = new Sequelize(process.env.DATABASE_URL!)
    defineModels(sequelize)
    const audit = createAudit({ ...config, database: fromSequelize(sequelize) })
    // endregion
    const { Invoice } = sequelize.models
    await shows(
      audit,
      4,
      () => Invoice!.create({ id: 4, customerId: 5 }),
      () => sequelize.close(),
    )
  })

  it('for TypeORM work', async () => {
    const Invoice = new EntitySchema<{ id: number; customerId: number }>({
      name: 'Invoice',
      tableName: 'invoices',
      columns: { id: { type: 'int', primary: true }, customerId: { type: 'int', name: 'customer_id' } },
    })
    const [url, entities] = [place.url, [Invoice]]
    // region: typeorm
    const source = await new DataSource({ type: 'postgres', url, entities }).initialize()
    const audit = createAudit({ ...config, database: fromTypeORM(source) })
    // endregion
    const row = { id: 5, customerId: 5 }
    await shows(
      audit,
      5,
      () => source.manager.save(Invoice, row),
      () => source.destroy(),
    )
  })

  it('for MikroORM work', async () => {
    const Invoice = defineEntity({
      name: 'Invoice',
      tableName: 'invoices',
      properties: { id: p.integer().primary(), customerId: p.integer() },
    })
    const [clientUrl, entities] = [place.url, [Invoice]]
    // region: mikro-orm
    const orm = await MikroORM.init({ entities, clientUrl })
    const audit = createAudit({ ...config, database: await fromMikroORM(orm) })
    // endregion
    const row = { id: 6, customerId: 5 }
    await shows(
      audit,
      6,
      () => orm.em.fork().insert(Invoice, row),
      () => orm.close(),
    )
  })

  it('are those of this test', () => {
    const inDocs = regions(
      readFileSync('docs/orms.md', 'utf8'),
      /<!-- region: (\S+) -->\n```ts\n([\s\S]*?)```/g,
    )
    const here = regions(
      readFileSync('test/readme/orms.db.test.ts', 'utf8'),
      /^ +\/\/ region: (\S+)\n([\s\S]*?) +\/\/ endregion/gm,
    )
    expect(inDocs).toEqual(here)
    expect(Object.keys(here)).toHaveLength(6)
  })
})

function regions(source: string, of: RegExp): Record<string, string> {
  return Object.fromEntries(
    [...source.matchAll(of)].map(([, name, lines]) => [name, lines!.replaceAll(/^ {4}(?=\S)/gm, '')]),
  )
}
