import type { Figure } from '../figures.ts'
import { interleave, type Variant } from '../measure.ts'
import { customerColumns, customers, threeColumns } from './customer.ts'
import type { World } from './world.ts'

const transactions = 500

/** Transactions of one UPDATE without a context, in a database where Kysely has its books: are they a migration's? */
export async function recognition(world: World, rounds: number): Promise<readonly Figure[]> {
  const { owner, client, meter } = world
  await owner.query('create table kysely_migration (name text primary key)')
  await owner.query(`create table written (${customerColumns})`)
  await owner.query(`insert into written ${customers(1, transactions)}`)
  await world.audit({ written: {} })
  const variant = (name: string, prepare: string, ahead = ''): Variant => ({
    name,
    prepare: async () => client.query(prepare),
    async run() {
      for (let i = 1; i <= transactions; i++)
        await client.query(`${ahead}update written set ${threeColumns} where id = ${i}`)
    },
  })
  const taken = await interleave(
    [
      variant('not asked', `set whodunit.migration = 'no'`),
      variant('asked', `set whodunit.migration = ''`),
      // what it would cost to look at the locks in each transaction
      variant('asked each time', `set whodunit.migration = ''`, `set whodunit.asked = ''; `),
    ],
    { rounds, meter, per: transactions * 1000 },
  )
  await client.query('reset whodunit.migration')
  for (const { name, median } of taken.values())
    console.log(`  ${name.padEnd(18)} median ${median.toFixed(1)} us a transaction`)
  if ((await world.entries('written')) !== transactions * 3 * (rounds + 1))
    throw new Error('entries are missing')
  return [
    {
      id: 'postgres.recognition',
      what: 'single-row transaction without a context where Kysely has its books, CPU / elsewhere',
      value: taken.get('asked')!.median / taken.get('not asked')!.median,
      peers: { 'pg_locks each time': taken.get('asked each time')!.median / taken.get('not asked')!.median },
    },
  ]
}
