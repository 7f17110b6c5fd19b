import { encodeContext, encodeParts } from '../../src/core/wire.ts'
import { context } from '../context.ts'
import type { Figure } from '../figures.ts'
import { interleave, type Measured, type Variant } from '../measure.ts'
import { customerColumns, customers, threeColumnChange, threeColumns } from './customer.ts'
import { handWritten } from './floor.ts'
import { capturedByPeer } from './peers.ts'
import type { World } from './world.ts'

const rows = 1_500

/** Single-row UPDATEs, as OLTP does: CPU added to the plain statement, by the CPU that a hand-written INSERT adds. */
export async function singleUpdate(world: World, rounds: number): Promise<readonly Figure[]> {
  const { owner, client, meter } = world
  const ours = ['ours', 'ours_in_context', 'ours_reporting']
  const tables = ['plain', 'hand', 'hand_in_context', ...ours, 'full_image', 'diff']
  for (const table of tables) {
    await owner.query(`create table single_${table} (${customerColumns})`)
    await owner.query(`insert into single_${table} ${customers(1, rows)}`)
  }
  await audited(world, ours)
  await capturedByPeer(owner, 'single_full_image', 'full_image')
  await capturedByPeer(owner, 'single_diff', 'diff')

  const variants = tables.map((table): Variant => {
    const stored = table === 'hand_in_context' ? encodeParts(context) : null
    const { columns, values } = handWritten(`single_${table}`, 'i::text', `'${threeColumnChange}'`, stored)
    const byHand = table.startsWith('hand') ? `insert into floor.change (${columns}) values (${values});` : ''
    const loop = `do $do$ begin for i in 1..${rows} loop
      update single_${table} set ${threeColumns} where id = i; ${byHand} end loop; end $do$`
    return {
      name: table,
      prepare: async () => owner.query(`vacuum single_${table}`),
      async run() {
        await client.query('begin')
        if (table === 'ours_in_context')
          await client.query(`select set_config('whodunit.context', $1, true)`, [encodeContext(context)])
        await client.query(loop)
        await client.query('commit')
      },
    }
  })
  const taken = await interleave(variants, { rounds, meter, per: rows * 1000 })
  for (const table of ours) {
    const found = await world.entries(`single_${table}`)
    if (found !== rows * (rounds + 1)) throw new Error(`${table}: ${found} entries`)
  }
  const added = (name: string): number => taken.get(name)!.median - taken.get('plain')!.median
  report(taken)
  return [
    {
      id: 'postgres.single-update',
      what: 'single-row UPDATE of 3 of 14 columns, CPU added / floor',
      value: added('ours') / added('hand'),
      goal: 1.6,
      peers: { 'full image': added('full_image') / added('hand'), diff: added('diff') / added('hand') },
    },
    {
      id: 'postgres.single-update-in-context',
      what: 'the same with a context',
      value: added('ours_in_context') / added('hand_in_context'),
      goal: 1.9,
    },
    {
      id: 'postgres.single-update-reporting',
      what: 'without one, where failures are let through',
      value: added('ours_reporting') / added('hand'),
    },
  ]
}

/** The failure policy is of a whole trail: one table is given the function that it would have under the other. */
async function audited({ owner, audit }: World, tables: readonly string[]): Promise<void> {
  const models = Object.fromEntries(tables.map((table) => [`single_${table}`, {}]))
  await audit(models, { onCaptureError: 'report' })
  const found = await owner.query<{ text: string }>(
    `select pg_get_functiondef(oid) as text from pg_proc where proname = 'capture public.single_ours_reporting'`,
  )
  await audit(models)
  await owner.query(found.rows[0]!.text)
}

function report(taken: ReadonlyMap<string, Measured>): void {
  for (const { name, median, min } of taken.values())
    console.log(`  ${name.padEnd(18)} median ${median.toFixed(2)}, least ${min.toFixed(2)} us a statement`)
}
