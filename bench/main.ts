import { readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { broken, type Figure, printFigures } from './figures.ts'
import { bulkStatements } from './postgres/bulk.ts'
import { clientCost } from './postgres/client.ts'
import { singleUpdate } from './postgres/single.ts'
import { entrySize } from './postgres/size.ts'
import { tpcbTransaction } from './postgres/transaction.ts'
import { openWorld } from './postgres/world.ts'

const usage = `npm run bench -- capture|client [--json FILE] [--rounds N] [--rows N] [--guard]
  --rounds  measured rounds of each variant; one more warms up (default 7)
  --rows    rows of COPY and DELETE in bulk (default 10000)
  --guard   fail where a figure is more than 25 % above what bench/reached.json holds`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'string' },
    rounds: { type: 'string', default: '7' },
    rows: { type: 'string', default: '10000' },
    guard: { type: 'boolean', default: false },
  },
})
const [rounds, rows] = [Number(values.rounds), Number(values.rows)]
const benches: Readonly<Record<string, () => Promise<readonly Figure[]>>> = {
  capture: captureCost,
  client: async () => clientCost(rounds),
}
const bench = benches[positionals.join()]
if (!bench || !(rounds >= 1) || !(rows >= 100)) {
  console.error(usage)
  process.exit(2)
}

async function captureCost(): Promise<readonly Figure[]> {
  const world = await openWorld()
  try {
    return [
      ...(await singleUpdate(world, rounds)),
      ...(await tpcbTransaction(world, rounds)),
      ...(await bulkStatements(world, rounds, rows)),
      ...(await entrySize(world)),
    ]
  } finally {
    await world.close()
  }
}

const figures = await bench()
printFigures(figures)
if (values.json)
  writeFileSync(values.json, `${JSON.stringify({ at: new Date(), rounds, rows, figures }, null, 2)}\n`)
if (values.guard) {
  const reached = JSON.parse(readFileSync(new URL('reached.json', import.meta.url), 'utf8')) as Record<
    string,
    number
  >
  for (const line of broken(figures, reached)) {
    console.error(`GUARD: ${line}`)
    process.exitCode = 1
  }
}
