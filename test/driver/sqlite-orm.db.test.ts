import { DatabaseSync } from 'node:sqlite'
import Database from 'better-sqlite3'
import { drizzle } from 'drizzle-orm/better-sqlite3'
import { eq } from 'drizzle-orm'
import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core'
import { Kysely, SqliteDialect } from 'kysely'
import { expect, test } from 'vitest'
import { fromBetterSqlite3, fromNodeSqlite } from '../../src/database/sqlite.ts'
import { createAudit } from '../../src/index.ts'

const ddl = 'create table item (id integer primary key, name text)'
const context = { actor: { id: 'ann' } }
const item = sqliteTable('item', { id: integer().primaryKey(), name: text() })

async function audited() {
  const client = new Database(':memory:')
  client.exec(ddl)
  const audit = createAudit({ database: fromBetterSqlite3(client) })
  await audit.migrate()
  const seen = async () =>
    (await audit.entries.find({ kind: 'change' })).entries
      .map(({ action, target, actor }) => `${action} ${target!.id} ${actor?.id}`)
      .toReversed()
  return { client, audit, seen }
}

test('Drizzle over the database carries the context, in transactions too', async () => {
  const { client, audit, seen } = await audited()
  const db = drizzle(client)
  await audit.withContext(context, async () => {
    await db.insert(item).values({ id: 1, name: 'a' })
    expect(await db.update(item).set({ name: 'b' }).where(eq(item.id, 1)).returning()).toEqual([
      { id: 1, name: 'b' },
    ])
    db.transaction((tx) => {
      tx.insert(item).values({ id: 2 }).run()
      expect(() =>
        tx.transaction((inner) => {
          inner.insert(item).values({ id: 3 }).run()
          inner.rollback()
        }),
      ).toThrow()
      tx.delete(item).where(eq(item.id, 1)).run()
    })
  })
  db.insert(item).values({ id: 9 }).run()
  expect(await seen()).toEqual([
    'CREATE 1 ann',
    'UPDATE 1 ann',
    'CREATE 2 ann',
    'DELETE 1 ann',
    'CREATE 9 undefined',
  ])
})

test('Kysely over the database carries the context, in transactions too', async () => {
  const { client, audit, seen } = await audited()
  const db = new Kysely<{ item: { id: number; name: string | null } }>({
    dialect: new SqliteDialect({ database: client }),
  })
  await audit.withContext(context, async () => {
    await db.insertInto('item').values({ id: 1, name: 'a' }).execute()
    await db.transaction().execute(async (tx) => {
      await tx.updateTable('item').set({ name: 'b' }).execute()
      expect(await tx.insertInto('item').values({ id: 2, name: null }).returning('id').execute()).toEqual([
        { id: 2 },
      ])
    })
    await expect(
      db.transaction().execute(async (tx) => {
        await tx.deleteFrom('item').execute()
        throw new Error('undone')
      }),
    ).rejects.toThrow('undone')
  })
  await db.deleteFrom('item').where('id', '=', 2).execute()
  expect(await seen()).toEqual(['CREATE 1 ann', 'UPDATE 1 ann', 'CREATE 2 ann', 'DELETE 2 undefined'])
})

test('a database given to two audits is wrapped once', async () => {
  const client = new DatabaseSync(':memory:')
  client.exec(ddl)
  const [first, second] = [fromNodeSqlite(client), fromNodeSqlite(client)].map((database) =>
    createAudit({ database }),
  )
  await first!.migrate()
  second!.withContext(context, () => client.exec('insert into item (id) values (1)'))
  expect((await first!.entries.find({ kind: 'change' })).entries.map(({ actor }) => actor?.id)).toEqual([
    'ann',
  ])
})
