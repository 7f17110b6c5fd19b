import { type Client, default as pg } from 'pg'
import { type Audit, createAudit } from '../../src/index.ts'
import { fromPg } from '../../src/database/postgres.ts'
import { startPostgres } from '../../test/harness/server.ts'
import { type Meter, processCpu } from '../measure.ts'
import { customerTypes } from './customer.ts'
import { createFloor } from './floor.ts'
import { createPeers } from './peers.ts'

/** A server of its own with the trail, the floor and the peers set up, and one connection whose backend is measured. */
export interface World {
  readonly client: Client
  readonly url: string
  readonly meter: Meter
  /** Captures tables that exist by now; `bulk` ones by statement. */
  audit(tables: Readonly<Record<string, { readonly bulk?: boolean }>>): Promise<Audit<pg.Pool, never>>
  /** Entries of one table in the trail, to prove that none is missing. */
  entries(model: string): Promise<number>
  close(): Promise<void>
}

export async function openWorld(): Promise<World> {
  const server = await startPostgres()
  const client = new pg.Client({ connectionString: server.url, application_name: 'bench' })
  await client.connect()
  // What would come at its own time, and hit one variant more than another
  for (const setting of [
    'autovacuum = off',
    `max_wal_size = '8GB'`,
    `checkpoint_timeout = '1h'`,
    'jit = off',
  ]) {
    await client.query(`alter system set ${setting}`)
  }
  await client.query('select pg_reload_conf()')
  const { rows } = await client.query('select pg_backend_pid() as pid')
  const audits: Audit<pg.Pool, never>[] = []
  const open = async (models: Parameters<World['audit']>[0]): Promise<Audit<pg.Pool, never>> => {
    const audit = createAudit({
      models: { '*': false, ...models },
      database: fromPg(new pg.Pool({ connectionString: server.url, max: 1, application_name: 'bench' })),
    }) as unknown as Audit<pg.Pool, never>
    audits.push(audit)
    await audit.migrate()
    return audit
  }
  await open({})
  await createFloor(client)
  await createPeers(client)
  await client.query(customerTypes)
  return {
    client,
    url: server.url,
    meter: processCpu(Number(rows[0].pid)),
    audit: open,
    async entries(model) {
      const found = await client.query('select count(*)::int as n from whodunit.entry where model = $1', [
        model,
      ])
      return Number(found.rows[0].n)
    },
    async close() {
      for (const audit of audits) {
        await audit.close()
        await audit.client.end()
      }
      await client.end()
      await server.stop()
    },
  }
}
