import pg from 'pg'
import { createAudit } from '../../src/index.ts'
import { fromPg } from '../../src/database/postgres.ts'
import { startPostgres } from '../../test/harness/server.ts'
import { countingProxy } from '../../test/driver/proxy.ts'
import type { Figure } from '../figures.ts'
import { interleave, type Measured, type Variant } from '../measure.ts'
import { context } from '../context.ts'

const writes = 400
const insert = 'insert into item (note, amount) values ($1, $2)'

/**
 * What the wrapped client of `pg` costs the application: CPU of this process for each write, and round trips, against a
 * client that is not wrapped. The table is not audited: what the trigger costs is the server's, and another bench's.
 */
export async function clientCost(rounds: number): Promise<readonly Figure[]> {
  const server = await startPostgres()
  const proxy = await countingProxy(server.url)
  const pools: pg.Pool[] = []
  const connect = async (url: string, wrapped: boolean): Promise<pg.PoolClient> => {
    const pool = new pg.Pool({ connectionString: url, max: 1 })
    pools.push(pool)
    if (wrapped) fromPg(pool)
    return pool.connect()
  }
  try {
    const owner = await connect(server.url, false)
    await owner.query('create unlogged table item (note text, amount int)')
    const audit = createAudit({ database: fromPg(pools[0]!), app: { name: 'bench', release: '1.0.0' } })
    const inRequest = async (work: () => Promise<unknown>): Promise<unknown> =>
      audit.withContext({ ...context, actor: () => context.actor, metadata: { plan: 'gold' } }, work)
    const [plain, wrapped] = [await connect(server.url, false), await connect(server.url, true)]
    const lone = async (on: pg.PoolClient): Promise<void> => {
      for (let n = 0; n < writes; n++) await on.query(insert, ['a note', n])
    }
    const transaction = async (on: pg.PoolClient): Promise<void> => {
      for (let n = 0; n < writes / 4; n++) {
        await on.query('begin')
        for (let m = 0; m < 4; m++) await on.query(insert, ['a note', m])
        await on.query('commit')
      }
    }
    const variants: Variant[] = [
      { name: 'lone, plain', run: async () => inRequest(async () => lone(plain)) },
      { name: 'lone, wrapped', run: async () => inRequest(async () => lone(wrapped)) },
      { name: 'in transactions, plain', run: async () => inRequest(async () => transaction(plain)) },
      { name: 'in transactions, wrapped', run: async () => inRequest(async () => transaction(wrapped)) },
    ]
    const arrived = await inRequest(async () =>
      wrapped.query(`select current_setting('whodunit.context', true) as context`),
    )
    if (!(arrived as pg.QueryResult).rows[0].context.startsWith('user:1001'))
      throw new Error('no context arrived')
    // warm, as an application that runs for longer than a second
    for (let n = 0; n < 5; n++) for (const { run } of variants) await run()
    const taken = await interleave(variants, { rounds: rounds * 5, meter: ownCpu, per: writes * 1000 })
    const added = (name: string): number =>
      taken.get(`${name}, wrapped`)!.median - taken.get(`${name}, plain`)!.median
    report(taken)

    const [far, farWrapped] = [await connect(proxy.url, false), await connect(proxy.url, true)]
    const trips = async (on: pg.PoolClient, work: (on: pg.PoolClient) => Promise<void>): Promise<number> => {
      proxy.take()
      await inRequest(async () => work(on))
      return proxy.take().roundTrips / writes
    }
    const more = async (work: (on: pg.PoolClient) => Promise<void>): Promise<number> =>
      (await trips(farWrapped, work)) - (await trips(far, work))
    return [
      {
        id: 'pg.client-cpu',
        what: 'a write by itself, client CPU added, us',
        value: added('lone'),
        goal: 25,
      },
      {
        id: 'pg.client-cpu-in-transaction',
        what: 'a write in a transaction of four, the same',
        value: added('in transactions'),
        goal: 25,
      },
      {
        id: 'pg.round-trips',
        what: 'a write by itself, round trips added',
        value: await more(lone),
        goal: 0,
      },
      {
        id: 'pg.round-trips-in-transaction',
        what: 'a write in a transaction, the same',
        value: await more(transaction),
        goal: 0,
      },
    ]
  } finally {
    await Promise.all(
      pools.map(async (pool) => {
        for (const client of (pool as unknown as { _clients: pg.PoolClient[] })._clients) client.release()
        await pool.end()
      }),
    )
    await proxy.close()
    await server.stop()
  }
}

/** CPU of this process, all its threads, in nanoseconds. */
function ownCpu(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) * 1000
}

function report(taken: ReadonlyMap<string, Measured>): void {
  for (const { name, median, min } of taken.values())
    console.log(`  ${name.padEnd(26)} median ${median.toFixed(1)}, least ${min.toFixed(1)} us a write`)
}
