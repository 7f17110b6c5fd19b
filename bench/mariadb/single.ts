import type { Figure } from '../figures.ts'
import { interleave, type Variant } from '../measure.ts'
import { threeColumnChange, threeColumns } from './customer.ts'
import { customers, hand, names, ours, type World } from './world.ts'

const transactions = 400

/** Transactions of one UPDATE of 3 of 14 columns over a pool of mysql2; the floor's has its INSERT too. */
export async function singleTransaction(world: World, rounds: number): Promise<readonly Figure[]> {
  const before = await world.entries()
  let turn = 0
  const variants = world.places.map(({ name, pool, meter, within, byHand }): Variant => {
    const entry = byHand('?', 'UPDATE', threeColumnChange, '')
    return {
      name,
      meter,
      run: async () =>
        within(async () => {
          for (let n = 0; n < transactions; n++) {
            const id = 1 + (turn++ % customers)
            const connection = await pool.getConnection()
            await connection.beginTransaction()
            await connection.execute(`update ${name} set ${threeColumns} where id = ?`, [id])
            if (entry !== undefined) await connection.execute(entry, [String(id)])
            await connection.commit()
            connection.release()
          }
        }),
    }
  })
  const meter = world.places[0]!.meter
  const taken = await interleave(variants, { rounds, meter, per: transactions * 1000 })
  const after = await world.entries()
  for (const name of names.slice(1)) {
    const found = after[name]! - (before[name] ?? 0)
    if (found !== transactions * (rounds + 1))
      throw new Error(`MariaDB, ${name}: ${found} entries of single transactions`)
  }
  const of = (name: string): number => taken.get(name)!.median
  const floor = of(hand.without)
  return [
    {
      id: 'mariadb.single',
      what: 'single-row transaction, CPU / floor',
      value: of(ours.without) / floor,
      goal: 1.2,
      peers: {
        'full image': of('full_image') / floor,
        diff: of('diff') / floor,
        unaudited: of('plain') / floor,
      },
    },
    {
      id: 'mariadb.single-in-context',
      what: 'the same in a context',
      value: of(ours.within) / of(hand.within),
      goal: 1.2,
    },
  ]
}
