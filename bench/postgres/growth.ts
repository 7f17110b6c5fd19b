import type { Client } from 'pg'
import { interleave, type Meter, processCpu, type Variant } from '../measure.ts'
import type { World } from './world.ts'

const rows = 100

/** How many columns a table has, and how many of them an UPDATE changes. */
const shapes = [
  [1, 1], [14, 3], [100, 3], [400, 3], [1600, 3], [400, 1], [400, 16], [400, 64],
] as const // prettier-ignore

/** What capture adds to an UPDATE where something is of this size. */
export interface GrowthRow {
  readonly of: 'columns' | 'rows in the trail' | 'writers'
  readonly size: number
  readonly changed: number
  /** Microseconds of CPU in the backend, or in all of them. */
  readonly plain: number
  readonly added: number
}

/** What capture adds to the CPU of one UPDATE, by the columns of its table and by those that it changes. */
export async function growthByColumns(world: World, rounds: number): Promise<readonly GrowthRow[]> {
  const { owner, client, meter } = world
  const list = (count: number) => Array.from({ length: count }, (_, n) => `c${n}`)
  const tables = shapes.map(([columns, changed]) => ({
    columns,
    changed,
    table: `wide_${columns}_${changed}`,
  }))
  for (const { columns, table } of tables) {
    // with the key, one column more is more than PostgreSQL allows
    const names = list(columns - 1)
    for (const variant of ['plain', 'ours']) {
      const rest = names.map((name) => `, ${name} int default 0`).join('')
      await owner.query(`create table ${table}_${variant} (id int primary key${rest}) with (fillfactor = 20)`)
      await owner.query(`insert into ${table}_${variant} (id) select generate_series(1, ${rows})`)
    }
  }
  await world.audit(Object.fromEntries(tables.map(({ table }) => [`${table}_ours`, {}])))
  const variants = tables.flatMap(({ columns, changed, table }) =>
    ['plain', 'ours'].map((variant): Variant => {
      const set = columns === 1 ? 'id = -id' : list(changed).map((name) => `${name} = ${name} + 1`).join(', ') // prettier-ignore
      const loop = `do $do$ begin for i in 1..${rows} loop
        update ${table}_${variant} set ${set} where id = ${columns === 1 ? 'i or id = -i' : 'i'}; end loop; end $do$`
      return {
        name: `${table}_${variant}`,
        prepare: async () => owner.query(`vacuum ${table}_${variant}`),
        run: async () => client.query(loop),
      }
    }),
  )
  const taken = await interleave(variants, { rounds, meter, per: rows * 1000 })
  const found: GrowthRow[] = []
  for (const { columns, changed, table } of tables) {
    const entries = await world.entries(`${table}_ours`)
    if (entries !== rows * (rounds + 1)) throw new Error(`${table}: ${entries} entries`)
    const [plain, ours] = ['plain', 'ours'].map((variant) => taken.get(`${table}_${variant}`)!.median)
    found.push({ of: 'columns', size: columns, changed, plain: plain!, added: ours! - plain! })
  }
  return found
}

/** The same, by the entries that the trail holds already: from 1,000 to `most`, by tens. */
export async function growthByTrail(
  world: World,
  rounds: number,
  most: number,
): Promise<readonly GrowthRow[]> {
  const { owner, client, meter } = world
  await makeItems(world, 'trail')
  const found: GrowthRow[] = []
  for (let held = 0, size = 1_000; size <= most; held = size, size *= 10) {
    await owner.query(`insert into whodunit.change (kind, action, model, target_id, changes, actor, request_id, tenant, context)
      select 'change', 'UPDATE', 'filler_' || i % 50, (i * 7919 % 100003)::text, ',"balance":[1,2]', 'user:' || i * 31 % 5003,
        md5(i::text), 'tenant ' || i % 211, e'Ann\\n192.0.2.1' from generate_series(${held + 1}::bigint, ${size}) i`)
    await owner.query('analyze whodunit.change')
    const variants = ['plain', 'ours'].map((variant): Variant => {
      const run = async () => client.query(itemLoop(`trail_${variant}`, 1, rows))
      return { name: variant, prepare: async () => owner.query(`vacuum trail_${variant}`), run }
    })
    found.push(await compared(variants, rounds, meter, { of: 'rows in the trail', size, changed: 1 }))
  }
  return found
}

const mostWriters = 64

/** The same, by connections that write at once, each to rows of its own. */
export async function growthByWriters(world: World, rounds: number): Promise<readonly GrowthRow[]> {
  await makeItems(world, 'busy')
  const clients: Client[] = []
  for (let n = 0; n < mostWriters; n++) clients.push(await world.connect())
  const meters = await Promise.all(
    clients.map(async (client) => {
      const { rows: found } = await client.query('select pg_backend_pid() as pid')
      return processCpu(Number(found[0].pid))
    }),
  )
  const all: Meter = () => meters.reduce((sum, meter) => sum + meter(), 0)
  const found: GrowthRow[] = []
  for (const size of [1, 4, 16, mostWriters]) {
    const each = Math.floor(itemCount / size)
    const variants = ['plain', 'ours'].map((variant): Variant => {
      const write = async (client: Client, n: number): Promise<unknown> =>
        client.query(itemLoop(`busy_${variant}`, n * each + 1, each))
      return {
        name: variant,
        prepare: async () => world.owner.query(`vacuum busy_${variant}`),
        run: async () => Promise.all(clients.slice(0, size).map(write)),
      }
    })
    found.push(await compared(variants, rounds, all, { of: 'writers', size, changed: 1 }, each * size))
  }
  return found
}

const itemCount = 1_024

async function makeItems({ owner, audit }: World, name: string): Promise<void> {
  for (const variant of ['plain', 'ours']) {
    const table = `${name}_${variant}`
    await owner.query(
      `create table ${table} (id int primary key, note text, amount int) with (fillfactor = 20)`,
    )
    await owner.query(`insert into ${table} select i, 'a note', 0 from generate_series(1, ${itemCount}) i`)
  }
  await audit({ [`${name}_ours`]: {} })
}

function itemLoop(table: string, from: number, count: number): string {
  return `do $do$ begin for i in ${from}..${from + count - 1} loop
    update ${table} set amount = amount + 1 where id = i; commit; end loop; end $do$`
}

async function compared(
  variants: readonly Variant[],
  rounds: number,
  meter: Meter,
  what: Pick<GrowthRow, 'of' | 'size' | 'changed'>,
  changes: number = rows,
): Promise<GrowthRow> {
  const taken = await interleave(variants, { rounds, meter, per: changes * 1000 })
  const [plain, ours] = ['plain', 'ours'].map((variant) => taken.get(variant)!.median)
  return { ...what, plain: plain!, added: ours! - plain! }
}

export function printGrowth(found: readonly GrowthRow[]): void {
  console.log('of                      size  changed  us of a plain UPDATE  us added')
  for (const { of, size, changed, plain, added } of found) {
    const cells = [size, changed, plain.toFixed(1), added.toFixed(1)]
    const line = cells.map((cell, index) => `${cell}`.padStart([10, 9, 22, 10][index]!)).join('')
    console.log(`${of.padEnd(18)}${line}`)
  }
}
