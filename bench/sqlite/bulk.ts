import type { Figure } from '../figures.ts'
import { interleave, ownCpu, type Variant } from '../measure.ts'
import { customerImage, fillCustomers, threeColumnChange, threeColumns } from './customer.ts'
import { customers, hand, ours, type Place, type World } from './world.ts'

interface Work {
  readonly action: 'UPDATE' | 'DELETE' | 'CREATE'
  readonly statement: string
  readonly changes: string
  /** Brings the table to the same start. */
  prepare(place: Place): void
}

const works: readonly Work[] = [
  {
    action: 'UPDATE',
    statement: `update customer set ${threeColumns}`,
    changes: threeColumnChange,
    prepare() {},
  },
  {
    action: 'DELETE',
    statement: 'delete from customer where id > 0',
    changes: customerImage,
    prepare({ client }) {
      if (client.prepare('select 1 from customer limit 1').get() === undefined)
        client.exec(fillCustomers(customers))
    },
  },
  {
    action: 'CREATE',
    statement: fillCustomers(customers),
    changes: customerImage,
    prepare: ({ client }) => void client.exec('delete from customer'),
  },
]

/** One statement over all rows, in a context. */
export async function bulkStatements(world: World, rounds: number): Promise<readonly Figure[]> {
  const figures: Figure[] = []
  for (const work of works) {
    const of = await measure(world, rounds, work)
    figures.push({
      id: `sqlite.bulk-${work.action === 'CREATE' ? 'insert' : work.action.toLowerCase()}`,
      what: `${work.action === 'CREATE' ? 'INSERT' : work.action} of ${customers} rows, CPU / floor`,
      value: of(ours.within) / of(hand.within),
      ...(work.action === 'UPDATE' && { goal: 1.8 }),
      peers: {
        function: of(ours.byFunction) / of(hand.within),
        'full image': of('full image') / of(hand.within),
        diff: of('diff') / of(hand.within),
        unaudited: of('plain') / of(hand.within),
      },
    })
  }
  return figures
}

async function measure(
  { places }: World,
  rounds: number,
  { action, statement, changes, prepare }: Work,
): Promise<(name: string) => number> {
  const chosen = places.filter(({ name }) => name !== hand.without && name !== ours.without)
  const variants = chosen.map((place): Variant => {
    const { name, client, within, byHand } = place
    const entry = byHand('id', action, changes, 'from customer')
    let before = 0
    return {
      name,
      async prepare() {
        prepare(place)
        before = place.entries()
      },
      async run() {
        await within(() => {
          client.exec('begin')
          if (entry && action === 'DELETE') client.exec(entry)
          client.exec(statement)
          if (entry && action !== 'DELETE') client.exec(entry)
          client.exec('commit')
        })
        if (name !== 'plain' && place.entries() - before !== customers)
          throw new Error(`SQLite, ${name}: ${place.entries() - before} entries of ${action}`)
      },
    }
  })
  const taken = await interleave(variants, { rounds, meter: ownCpu(), per: customers * 1000 })
  return (name) => taken.get(name)!.median
}
