import type { Figure } from '../figures.ts'
import { interleave, type Variant } from '../measure.ts'
import { threeColumnChange, threeColumns } from './customer.ts'
import { customers, hand, ours, type World } from './world.ts'

/** One UPDATE of all rows, in a context. */
export async function bulkUpdate(world: World, rounds: number): Promise<readonly Figure[]> {
  const chosen = world.places.filter(({ name }) => name !== hand.without && name !== ours.without)
  const variants = chosen.map(({ name, pool, meter, within, byHand }): Variant => {
    const entry = byHand('id', 'UPDATE', threeColumnChange, `from ${name}`)
    return {
      name,
      meter,
      run: async () =>
        within(async () => {
          const connection = await pool.getConnection()
          await connection.beginTransaction()
          await connection.query(`update ${name} set ${threeColumns}`)
          if (entry !== undefined) await connection.query(entry)
          await connection.commit()
          connection.release()
        }),
    }
  })
  const before = await world.entries()
  const taken = await interleave(variants, { rounds, meter: chosen[0]!.meter, per: customers * 1000 })
  const after = await world.entries()
  for (const { name } of chosen.filter((place) => place.name !== 'plain')) {
    const found = after[name]! - (before[name] ?? 0)
    if (found !== customers * (rounds + 1)) throw new Error(`MariaDB, ${name}: ${found} entries of UPDATE`)
  }
  const of = (name: string): number => taken.get(name)!.median / taken.get(hand.within)!.median
  return [
    {
      id: 'mariadb.bulk-update',
      what: `UPDATE of ${customers} rows, CPU / floor`,
      value: of(ours.within),
      goal: 2.3,
      peers: { 'full image': of('full_image'), diff: of('diff'), unaudited: of('plain') },
    },
  ]
}
