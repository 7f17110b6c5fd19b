import { encodeParts } from '../../src/core/wire.ts'
import { context } from '../context.ts'
import type { Figure } from '../figures.ts'
import { interleave, type Meter, processCpu, type Variant } from '../measure.ts'
import { handWritten } from './floor.ts'
import { capturedByPeer } from './peers.ts'
import type { World } from './world.ts'

const transactions = 300
const sizes = { account: 10_000, teller: 100, branch: 10 } as const
type Table = keyof typeof sizes
const tables = Object.keys(sizes) as Table[]
const peers = ['full_image', 'diff'] as const

interface Statement {
  readonly name: string
  readonly text: string
  readonly values: readonly unknown[]
}

/** What is used of a client, also of one taken from the audit's pool. */
interface Runner {
  query(statement: string | Statement): Promise<unknown>
}

/**
 * A transaction like TPC-B's over the protocol, by prepared statements: three audited UPDATEs, a SELECT, an INSERT into an
 * unaudited table. The floor writes its three entries by one INSERT.
 */
export async function tpcbTransaction(world: World, rounds: number): Promise<readonly Figure[]> {
  const { owner } = world
  for (const variant of ['plain', 'hand', 'ours', ...peers]) {
    for (const table of tables) {
      await owner.query(
        `create table ${variant}_${table} (id int primary key, branch int not null, balance int not null, filler char(84))`,
      )
      await owner.query(
        `insert into ${variant}_${table} select i, 1, 0, '' from generate_series(1, ${sizes[table]}) i`,
      )
    }
    await owner.query(
      `create table ${variant}_history (account int, teller int, branch int, delta int, at timestamptz)`,
    )
  }
  const audit = await world.audit(Object.fromEntries(tables.map((table) => [`ours_${table}`, {}])))
  for (const peer of peers) for (const table of tables) await capturedByPeer(owner, `${peer}_${table}`, peer)
  const own = await audit.client.connect()
  const others = await Promise.all(
    ['plain', 'hand', ...peers].map(async (name) => ({ name, client: await world.connect() })),
  )
  const variants: readonly Variant[] = [
    ...(await Promise.all(
      others.map(async ({ name, client }) => ({
        name,
        run: async () => turns(client, name, name === 'hand' ? byHand : undefined),
        meter: await meterOf(client),
      })),
    )),
    {
      name: 'ours',
      run: async () => audit.withContext(context, async () => turns(own, 'ours')),
      meter: await meterOf(own),
    },
  ]
  const taken = await interleave(
    variants.map((variant) => ({
      ...variant,
      prepare: async () =>
        owner.query(`vacuum ${variant.name}_account, ${variant.name}_teller, ${variant.name}_branch`),
    })),
    { rounds, meter: world.meter, per: transactions * 1000 },
  )
  own.release()
  const found = await Promise.all(tables.map(async (table) => world.entries(`ours_${table}`)))
  if (found.some((count) => count !== transactions * (rounds + 1)))
    throw new Error(`entries: ${found.join()}`)
  const of = (name: string): number => taken.get(name)!.median
  return [
    {
      id: 'postgres.transaction',
      what: 'tpcb-like transaction in a context, CPU / floor',
      value: of('ours') / of('hand'),
      goal: 1.1,
      peers: { 'full image': of('full_image') / of('hand'), diff: of('diff') / of('hand') },
    },
    {
      id: 'postgres.transaction-unaudited',
      what: 'the same, CPU / unaudited',
      value: of('ours') / of('plain'),
      goal: 1.3,
      peers: { floor: of('hand') / of('plain') },
    },
  ]
}

async function meterOf(client: Runner): Promise<Meter> {
  const { rows } = (await client.query('select pg_backend_pid() as pid')) as { rows: { pid: number }[] }
  return processCpu(rows[0]!.pid)
}

let turn = 0

async function turns(
  client: Runner,
  variant: string,
  also?: (client: Runner, variant: string, ids: Readonly<Record<Table, number>>) => Promise<unknown>,
): Promise<void> {
  for (let count = 0; count < transactions; count++) {
    turn++
    const ids = {
      account: 1 + (turn % sizes.account),
      teller: 1 + (turn % sizes.teller),
      branch: 1 + (turn % sizes.branch),
    }
    const run = async (name: string, text: string, values: readonly unknown[]): Promise<unknown> =>
      client.query({ name, text, values })
    await client.query('begin')
    const change = async (table: Table): Promise<unknown> =>
      run(table, `update ${variant}_${table} set balance = balance + $1 where id = $2`, [
        (turn % 100) + 1,
        ids[table],
      ])
    await change('account')
    await run('look', `select balance from ${variant}_account where id = $1`, [ids.account])
    await change('teller')
    await change('branch')
    await run('history', `insert into ${variant}_history values ($1, $2, $3, $4, now())`, [
      ids.account,
      ids.teller,
      ids.branch,
      1,
    ])
    await also?.(client, variant, ids)
    await client.query('commit')
  }
}

async function byHand(
  client: Runner,
  variant: string,
  ids: Readonly<Record<Table, number>>,
): Promise<unknown> {
  const stored = encodeParts(context)
  const given = ['$4', '$5', '$6', '$7']
  const rows = tables.map((table, index) =>
    handWritten(`${variant}_${table}`, `$${index + 1}`, `'{"balance":[12345,12346]}'`, given),
  )
  return client.query({
    name: 'entries',
    text: `insert into floor.change (${rows[0]!.columns}) values ${rows.map(({ values }) => `(${values})`).join(', ')}`,
    values: [
      ...tables.map((table) => String(ids[table])),
      stored.actor,
      stored.request,
      stored.tenant,
      stored.rest,
    ],
  })
}
