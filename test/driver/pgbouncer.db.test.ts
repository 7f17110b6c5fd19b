import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { createAudit } from '../../src/index.ts'
import { fromPg } from '../../src/database/postgres.ts'
import { driverSuite } from '../../src/testing/index.ts'
import { freshDatabase, type TestDatabase } from '../harness/postgres.ts'
import { type Bouncer, hasPgbouncer, startPgbouncer } from './pgbouncer.ts'
import { postgresJsUnderTest } from './under-test-postgres-js.ts'
import { poolUnderTest } from './under-test.ts'

describe.skipIf(!hasPgbouncer)('behind PgBouncer in transaction mode', () => {
  let database: TestDatabase
  let bouncer: Bouncer
  beforeAll(async () => {
    database = await freshDatabase()
    bouncer = await startPgbouncer(database.url)
  })
  afterAll(async () => {
    await bouncer?.stop()
    await database?.drop()
  })

  driverSuite({ describe, it, expect, beforeAll, afterAll }, 'pg.Pool of 5, over two sessions', async () => {
    // PgBouncer before 1.21 knows no named statements, and keeps no settings of a session for anybody
    const {
      prepared: _named,
      connection: _session,
      ...rest
    } = poolUnderTest(bouncer.url(database.url), 5, database.url)
    return { ...rest, pooled: true }
  })

  for (const mode of ['begin', 'pipeline'] as const) {
    driverSuite({ describe, it, expect, beforeAll, afterAll }, `postgres.js in ${mode} mode`, async () => {
      const own = await freshDatabase()
      const url = bouncer.url(own.url)
      const options = { prepare: false, direct: own.url, mode }
      const { connection: _session, ...rest } = postgresJsUnderTest(url, 5, options)
      const close = async () => {
        await rest.close()
        await own.drop()
      }
      return { ...rest, close, pooled: true }
    })
  }

  it('a procedure carries no context, rather than leave one to other programs', async () => {
    const url = bouncer.url(database.url)
    const audit = createAudit({ database: fromPg(new pg.Pool({ connectionString: url, max: 8 })) })
    const stranger = new pg.Pool({ connectionString: url, max: 8 })
    onTestFinished(async () => {
      await audit.close()
      await audit.client.end()
      await stranger.end()
    })
    await database.pool.query(`create table call_log (note text);
      create procedure add_note(note text) language plpgsql as $$ begin insert into call_log values (note); commit; insert into call_log values (note); end $$`)
    await audit.migrate()
    let seen = 0
    await Promise.all([
      ...Array.from({ length: 40 }, async (_, n) =>
        audit.withContext({ actor: { id: `a${n}` } }, async () => {
          for (let i = 0; i < 5; i++) {
            await audit.client.query('call add_note($1)', [`called by a${n}`])
            await audit.client.query(`do $$ begin insert into call_log values ('a${n}'); end $$`)
            await audit.client.query('call no_such_procedure()').catch(() => {})
          }
        }),
      ),
      ...Array.from({ length: 40 }, async () => {
        for (let i = 0; i < 20; i++) {
          await stranger.query(`insert into call_log values (null)`)
          const { rows } = await stranger.query(`select current_setting('whodunit.context', true) as value`)
          if (rows[0].value) seen++
        }
      }),
    ])
    expect(seen).toBe(0)
    let [right, wrong] = [0, 0]
    for await (const { actor, changes } of audit.entries.stream({ model: 'call_log' })) {
      const note = changes?.['note']?.[1] as string | null
      if ((actor?.id ?? null) === (note?.startsWith('called by') ? null : note)) right++
      else wrong++
    }
    expect({ right, wrong }).toEqual({ right: 40 * 5 * 3 + 40 * 20, wrong: 0 })
  })
})
