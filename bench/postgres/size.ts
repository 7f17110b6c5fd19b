import { encodeContext } from '../../src/core/wire.ts'
import { context } from '../context.ts'
import type { Figure } from '../figures.ts'
import { customerColumns, customers, threeColumns } from './customer.ts'
import type { World } from './world.ts'

const rows = 5_000

/** What an entry of a change of three columns takes on disk, without and with a context. */
export async function entrySize(world: World): Promise<readonly Figure[]> {
  const { owner } = world
  await owner.query(`create table size (${customerColumns})`)
  await owner.query(`insert into size ${customers(1, rows)}`)
  await world.audit({ size: {} })
  const sizes = async (): Promise<readonly [heap: number, indexes: number]> => {
    const { rows: found } = await owner.query<{ heap: string; indexes: string }>(
      `select sum(pg_relation_size(relid)) as heap, sum(pg_indexes_size(relid)) as indexes from pg_partition_tree('whodunit.change') where isleaf`,
    )
    return [Number(found[0]!.heap), Number(found[0]!.indexes)]
  }
  const grown = async (text: string): Promise<readonly [heap: number, indexes: number]> => {
    const before = await sizes()
    await owner.query('begin')
    await owner.query(`select set_config('whodunit.context', $1, true)`, [text])
    await owner.query(`update size set ${threeColumns}`)
    await owner.query('commit')
    const after = await sizes()
    return [(after[0] - before[0]) / rows, (after[1] - before[1]) / rows]
  }
  const [heap, indexes] = await grown('')
  const [heapInContext, indexesInContext] = await grown(encodeContext(context))
  return [
    {
      id: 'postgres.bytes',
      what: 'heap bytes of a 3-column change',
      value: heap,
      goal: 260,
      peers: { indexes },
    },
    {
      id: 'postgres.bytes-in-context',
      what: 'the same with a context',
      value: heapInContext,
      goal: 400,
      peers: { indexes: indexesInContext },
    },
  ]
}
