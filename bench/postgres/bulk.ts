import type { Figure } from '../figures.ts'
import { interleave, type Variant } from '../measure.ts'
import { customerColumns, customers, threeColumnChange, threeColumns } from './customer.ts'
import { handWritten } from './floor.ts'
import type { World } from './world.ts'

/** An image of a customer as JSON, as the floor writes it: `[null,v]` of fourteen columns. */
const image = `'{"id":[null,"' || i || '"],"ref":[null,"3f8b6c1e-7d5a-4f0e-9b3c-2a1d4e5f6a7b"],"name":[null,"Customer number 1"],"email":[null,"customer1@example.com"],"status":[null,"active"],"balance":[null,"1.50"],"version":[null,1],"active":[null,true],"tags":[null,"{a,b}"],"profile":[null,"{\\"city\\": \\"Springfield\\", \\"level\\": 1}"],"notes":[null,"note note note note note note note note note note note note note note note "],"country":[null,"DE"],"created_at":[null,"2026-01-01 00:00:00+00"],"updated_at":[null,"2026-01-01 00:00:00+00"]}'`

/** Whole statements over many rows: UPDATE row by row, COPY and DELETE in bulk mode. */
export async function bulkStatements(world: World, rounds: number, rows: number): Promise<readonly Figure[]> {
  const { owner, client, meter } = world
  const updated = Math.min(rows, 10_000)
  const names = ['plain', 'hand', 'ours', 'row']
  const file = `${(await owner.query('show data_directory')).rows[0].data_directory}/bench_customers`
  for (const name of names) await owner.query(`create table bulk_${name} (${customerColumns})`)
  await owner.query(`copy (${customers(1, rows)}) to '${file}'`)
  await owner.query('grant pg_read_server_files to app')
  await world.audit({ bulk_ours: { bulk: true }, bulk_row: {} })

  // Filled and emptied unseen, so that each round starts from the same
  const unseen = async (name: string, sql: string): Promise<void> => {
    const triggers = (turn: string): string => `alter table bulk_${name} ${turn} trigger all`
    await owner.query(`${triggers('disable')}; ${sql}; ${triggers('enable')}`)
  }
  const empty = (name: string) => async (): Promise<void> => unseen(name, `truncate bulk_${name}`)
  const fill = (name: string) => async (): Promise<void> => {
    await unseen(name, `truncate bulk_${name}; copy bulk_${name} from '${file}'`)
    await owner.query(`vacuum bulk_${name}`)
  }
  const entry = (name: string, changes: string, count: number): string => {
    const { columns, values } = handWritten(`bulk_${name}`, 'i::text', changes, null)
    return `insert into floor.change (${columns}) select ${values} from generate_series(1, ${count}) i`
  }
  const measure = async (
    prepare: (name: string) => () => Promise<void>,
    statement: (name: string) => string,
    changes: string,
    count: number,
  ): Promise<(name: string) => number> => {
    const variants = names.map((name): Variant => {
      const byHand = name === 'hand' ? entry(name, changes, count) : undefined
      return {
        name,
        prepare: prepare(name),
        async run() {
          await client.query('begin')
          await client.query(statement(name))
          if (byHand) await client.query(byHand)
          await client.query('commit')
        },
      }
    })
    const taken = await interleave(variants, { rounds, meter, per: count * 1000 })
    return (name) => taken.get(name)!.median
  }

  const update = await measure(
    fill,
    (name) => `update bulk_${name} set ${threeColumns} where id <= ${updated}`,
    `'${threeColumnChange}'`,
    updated,
  )
  const copy = await measure(empty, (name) => `copy bulk_${name} from '${file}'`, image, rows)
  const remove = await measure(fill, (name) => `delete from bulk_${name}`, image, rows)
  const expected = (updated + 2 * rows) * (rounds + 1)
  for (const name of ['ours', 'row']) {
    const found = await world.entries(`bulk_${name}`)
    if (found !== expected) throw new Error(`bulk_${name}: ${found} entries in place of ${expected}`)
  }
  const peers = (of: (name: string) => number) => ({
    'row by row': of('row') / of('hand'),
    unaudited: of('plain') / of('hand'),
  })
  return [
    {
      id: 'postgres.bulk-update',
      what: `UPDATE of ${updated} rows, CPU / floor`,
      value: update('ours') / update('hand'),
      goal: 2,
      peers: peers(update),
    },
    {
      id: 'postgres.bulk-copy',
      what: `COPY of ${rows} rows in bulk mode, CPU / floor`,
      value: copy('ours') / copy('hand'),
      goal: 1.3,
      peers: peers(copy),
    },
    {
      id: 'postgres.bulk-delete',
      what: `DELETE of ${rows} rows in bulk mode, CPU / floor`,
      value: remove('ours') / remove('hand'),
      goal: 1.5,
      peers: peers(remove),
    },
  ]
}
