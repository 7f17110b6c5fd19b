import type { Figure } from '../figures.ts'
import { interleave, ownCpu, type Variant } from '../measure.ts'
import { threeColumnChange, threeColumns } from './customer.ts'
import { customers, hand, ours, type World } from './world.ts'

const transactions = 1_000

/** Transactions of one UPDATE of 3 of 14 columns, through the wrapped client; the floor's has its INSERT too. */
export async function singleTransaction({ places }: World, rounds: number): Promise<readonly Figure[]> {
  const before = places.map((place) => place.entries())
  let turn = 0
  const variants = places.map(({ name, client, within, byHand }): Variant => {
    const update = client.prepare(`update customer set ${threeColumns} where id = ?`)
    const entry = byHand('?', 'UPDATE', threeColumnChange, '')
    const insert = entry === undefined ? undefined : client.prepare(entry)
    const transaction = client.transaction((id: number) => {
      update.run(id)
      insert?.run(String(id))
    })
    return {
      name,
      run: async () =>
        within(() => {
          for (let n = 0; n < transactions; n++) transaction(1 + (turn++ % customers))
        }),
    }
  })
  const taken = await interleave(variants, { rounds, meter: ownCpu(), per: transactions * 1000 })
  for (const [index, place] of places.entries()) {
    const found = place.entries() - before[index]!
    if (place.name !== 'plain' && found !== transactions * (rounds + 1))
      throw new Error(`SQLite, ${place.name}: ${found} entries of single transactions`)
  }
  const of = (name: string): number => taken.get(name)!.median
  const [floor, floorWithin] = [of(hand.without), of(hand.within)]
  return [
    {
      id: 'sqlite.single',
      what: 'single-row transaction, CPU / floor',
      value: of(ours.without) / floor,
      goal: 1.4,
      peers: {
        'full image': of('full image') / floor,
        diff: of('diff') / floor,
        unaudited: of('plain') / floor,
      },
    },
    {
      id: 'sqlite.single-in-context',
      what: 'the same in a context',
      value: of(ours.within) / floorWithin,
      goal: 1.4,
    },
    {
      id: 'sqlite.single-function',
      what: 'the same in function mode',
      value: of(ours.byFunction) / floorWithin,
      goal: 1.1,
    },
  ]
}
