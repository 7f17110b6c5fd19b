import { interleave, type Variant } from '../measure.ts'
import type { World } from './world.ts'

const rows = 100

/** How many columns a table has, and how many of them an UPDATE changes. */
const shapes = [
  [1, 1], [14, 3], [100, 3], [400, 3], [1600, 3], [400, 1], [400, 16], [400, 64],
] as const // prettier-ignore

export interface GrowthRow {
  readonly columns: number
  readonly changed: number
  /** Microseconds of CPU in the backend. */
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
    found.push({ columns, changed, plain: plain!, added: ours! - plain! })
  }
  return found
}

export function printGrowth(found: readonly GrowthRow[]): void {
  console.log('columns  changed  us of a plain UPDATE  us added')
  for (const { columns, changed, plain, added } of found) {
    const cells = [columns, changed, plain.toFixed(1), added.toFixed(1)]
    console.log(cells.map((cell, index) => `${cell}`.padStart([7, 9, 22, 10][index]!)).join(''))
  }
}
