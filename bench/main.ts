import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { type Figure, printFigures } from './figures.ts'
import { bulkStatements } from './postgres/bulk.ts'
import { singleUpdate } from './postgres/single.ts'
import { entrySize } from './postgres/size.ts'
import { tpcbTransaction } from './postgres/transaction.ts'
import { openWorld } from './postgres/world.ts'

const { values } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'string' },
    rounds: { type: 'string', default: '7' },
    rows: { type: 'string', default: '10000' },
  },
})
const rounds = Number(values.rounds)

const world = await openWorld()
const figures: Figure[] = []
try {
  figures.push(...(await singleUpdate(world, rounds)))
  figures.push(...(await tpcbTransaction(world, rounds)))
  figures.push(...(await bulkStatements(world, rounds, Number(values.rows))))
  figures.push(...(await entrySize(world)))
} finally {
  await world.close()
}
printFigures(figures)
if (values.json) writeFileSync(values.json, JSON.stringify({ figures }, null, 2))
