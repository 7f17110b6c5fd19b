import { type Client, default as pg } from 'pg'
import { type Audit, type AuditConfig, createAudit } from '../../src/index.ts'
import { fromPg } from '../../src/database/postgres.ts'
import { startPostgres } from '../../test/harness/server.ts'
import { type Meter, processCpu } from '../measure.ts'
import { customerTypes } from './customer.ts'
import { createFloor } from './floor.ts'
import { createPeers } from './peers.ts'

/** A server of its own with the trail, the floor and the peers set up, and one connection whose backend is measured. */
export interface World {
  /** Of the superuser, to set up. */
  readonly owner: Client
  /** Of an application: a role without rights beyond its tables, and the floor. Its backend is measured. */
  readonly client: Client
  readonly url: string
  readonly meter: Meter
  /** Another connection of the application. */
  connect(): Promise<Client>
  /** Captures tables that exist by now; `bulk` ones by statement. No others are captured any more. */
  audit(
    tables: Readonly<Record<string, { readonly bulk?: boolean }>>,
    policy?: AuditConfig,
  ): Promise<Audit<pg.Pool, never>>
  /** Entries of one table in the trail, to prove that none is missing. */
  entries(model: string): Promise<number>
  close(): Promise<void>
}

export async function openWorld(): Promise<World> {
  const server = await startPostgres()
  const connect = async (user: string): Promise<Client> => {
    const client = new pg.Client({
      connectionString: server.url.replace('postgres@', `${user}@`),
      application_name: 'bench',
    })
    await client.connect()
    return client
  }
  const owner = await connect('postgres')
  // What would come at its own time, and hit one variant more than another
  for (const setting of [
    'autovacuum = off',
    `max_wal_size = '8GB'`,
    `checkpoint_timeout = '1h'`,
    'jit = off',
  ]) {
    await owner.query(`alter system set ${setting}`)
  }
  await owner.query('select pg_reload_conf()')
  await owner.query('create role app login')
  await owner.query('alter default privileges grant all on tables to app')
  await owner.query('alter default privileges grant all on sequences to app')
  const client = await connect('app')
  const { rows } = await client.query('select pg_backend_pid() as pid')
  const others: Client[] = []
  const audits: Audit<pg.Pool, never>[] = []
  const auditAs = (user: string, ...[models, policy]: Parameters<World['audit']>): Audit<pg.Pool, never> => {
    const connectionString = server.url.replace('postgres@', `${user}@`)
    const database = fromPg(new pg.Pool({ connectionString, max: 1, application_name: 'bench' }))
    const audit = createAudit({ ...policy, models: { '*': false, ...models }, database })
    audits.push(audit)
    return audit
  }
  const open: World['audit'] = async (...given) => {
    await auditAs('postgres', ...given).migrate()
    return auditAs('app', ...given)
  }
  await open({})
  await createFloor(owner)
  await createPeers(owner)
  await owner.query('grant usage on schema floor to app')
  await owner.query(customerTypes)
  return {
    owner,
    client,
    async connect() {
      const another = await connect('app')
      others.push(another)
      return another
    },
    url: server.url,
    meter: processCpu(Number(rows[0].pid)),
    audit: open,
    async entries(model) {
      const found = await owner.query('select count(*)::int as n from whodunit.entry where model = $1', [
        model,
      ])
      return Number(found.rows[0].n)
    },
    async close() {
      for (const audit of audits) {
        await audit.close()
        await audit.client.end()
      }
      for (const one of [...others, client, owner]) await one.end()
      await server.stop()
    },
  }
}
