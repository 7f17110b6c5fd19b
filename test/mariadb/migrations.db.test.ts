import { Kysely, MysqlDialect, sql as raw } from 'kysely'
import { Migrator } from 'kysely/migration'
import mysql from 'mysql2'
import { expect, test } from 'vitest'
import { hasMariadb } from '../harness/mariadb.ts'
import { world } from './fixture.ts'

const item = 'create table item (id int primary key, n int); insert into item values (1, 1)'
const update = 'update item set n = n + 1'

/** Kysely's own migrator over a client that is not wrapped. */
async function migrateByKysely(url: string, ...steps: string[]) {
  const db = new Kysely<never>({ dialect: new MysqlDialect({ pool: mysql.createPool({ uri: url }) }) })
  const migrations = steps.map((text, place) => [
    `step ${place}`,
    {
      up: async (on: Kysely<never>) =>
        raw
          .raw(text)
          .execute(on)
          .then(() => {}),
    },
  ])
  const migrator = new Migrator({
    db,
    provider: { getMigrations: async () => Object.fromEntries(migrations) },
  })
  const { error } = await migrator.migrateToLatest()
  await db.destroy()
  if (error) throw error as Error
}

test.runIf(hasMariadb)(
  "what Kysely's migrator writes is recorded as a migration's, and nobody else's is",
  async () => {
    const { database, audit, sql, entries } = await world(item)
    await migrateByKysely(database.url, 'select 1') // makes its books
    await audit.migrate()
    await sql(update)
    await migrateByKysely(database.url, 'select 1', update)
    await audit.withContext({ actor: { id: 7 } }, async () => audit.client.promise().query(update))
    expect(
      (await entries())
        .filter(({ kind }) => kind === 'change')
        .map(({ action, origin, reason, actor, changes }) => [
          action,
          origin,
          reason,
          actor?.id,
          changes!['n'],
        ]),
    ).toEqual([
      ['UPDATE', 'sql', null, undefined, [1, 2]],
      ['UPDATE', 'migration', 'the session holds the lock of Kysely', undefined, [2, 3]],
      ['UPDATE', 'app', null, '7', [3, 4]],
    ])
  },
)

// The schema engine is no package of npm: this is the lock of its session, by mysql2
test.runIf(hasMariadb)(
  "what a session with Prisma's lock writes is recorded as a migration's, reason included",
  async () => {
    const { audit, database, sql, entries } = await world(
      `${item}; create table _prisma_migrations (id varchar(36) primary key)`,
      { models: { item: { reason: 'required' } } },
    )
    await expect(sql(update)).rejects.toThrow('needs a reason')
    const engine = mysql.createConnection({ uri: database.url }).promise()
    await engine.query(`select get_lock('prisma_migrate', 10)`)
    await expect(sql(update)).rejects.toThrow('needs a reason') // of another session
    await engine.query(update)
    await engine.query(`select release_lock('prisma_migrate')`)
    await expect(engine.query(update)).rejects.toThrow('needs a reason')
    await engine.end()
    const changes = (await entries()).filter(({ kind }) => kind === 'change')
    expect(changes).toMatchObject([
      { origin: 'migration', reason: 'the session holds the lock of Prisma Migrate', actor: null },
    ])
    expect((await audit.status()).tables.map(({ state }) => state)).toEqual(['audited', 'skipped'])
  },
)
