import type { Pool } from 'pg'
import { type Audit, createAudit } from '../../src/index.ts'
import { fromPg } from '../../src/database/postgres.ts'
import { freshDatabase, type TestDatabase } from '../harness/postgres.ts'
import { type Project, project } from './command-line.ts'

export const tables = `
  create table customer (id int primary key, name text, balance numeric, notes text);
  create table playlist_track (playlist int, track int, primary key (playlist, track))`

export const config = `
  import { defineAudit } from 'whodunit'
  export default defineAudit({
    url: process.env.SHOP_URL,
    models: { customer: { label: '{name}', subject: 'id', category: 'crm', severity: 'low', tags: ['vip'], redact: { notes: 'mask' } } },
  })`

/** A shop on its own database, with a project folder whose configuration names it. */
export interface Shop extends TestDatabase, Project {
  readonly pool: Pool
  readonly audit: Audit<Pool>
  close(): Promise<void>
}

export async function openShop({ migrated = true } = {}): Promise<Shop> {
  const database = await freshDatabase()
  await database.pool.query(tables)
  const folder = project({ SHOP_URL: database.url })
  folder.write('whodunit.config.ts', config)
  if (migrated) {
    const { code, stderr } = await folder.run('migrate')
    if (code !== 0) throw new Error(stderr)
  }
  const audit = createAudit({ database: fromPg(database.pool) })
  return {
    ...database,
    ...folder,
    audit,
    async close() {
      await audit.close()
      await database.drop()
      folder.remove()
    },
  }
}

/** A few entries of several kinds, by different people. */
export async function workADay({ audit, pool }: Shop): Promise<void> {
  const ann = {
    actor: { id: 42, label: 'ann@shop' },
    request: { id: 'r1', ip: '1.2.3.4' },
    tenant: 'acme',
    reason: 'customer called',
  }
  await audit.withContext(ann, async () => {
    await pool.query(`insert into customer values (1, 'Ann', 1.10, 'a secret')`)
    await pool.query('update customer set balance = 1.1 where id = 1')
    await audit.logViewAccess({ model: 'customer', id: 1 })
  })
  await audit.withContext({ actor: { type: 'job', id: 'nightly' } }, async () => {
    await pool.query(`insert into playlist_track values (1, 2)`)
    await pool.query(`insert into customer values (2, '=1+1', 0, null)`)
    await pool.query(`delete from customer where id = 2`)
  })
  await audit.logLoginAttempt({ username: 'bob', status: 'FAILED' })
  await audit.logSystemEvent({ eventType: 'ERROR', title: 'Mail is down' })
  await audit.flush()
}
