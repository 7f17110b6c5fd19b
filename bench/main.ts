import { readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { broken, type Figure, printFigures } from './figures.ts'
import { bulkStatements } from './postgres/bulk.ts'
import { singleUpdate } from './postgres/single.ts'
import { type GrowthRow, growthByColumns, printGrowth } from './postgres/growth.ts'
import { entrySize } from './postgres/size.ts'
import { tpcbTransaction } from './postgres/transaction.ts'
import { openWorld } from './postgres/world.ts'

const usage = `npm run bench -- capture [--json FILE] [--rounds N] [--rows N] [--guard]
npm run bench -- growth [--json FILE] [--rounds N]
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
const what = positionals.join()
if (!['capture', 'growth'].includes(what) || !(rounds >= 1) || !(rows >= 100)) {
  console.error(usage)
  process.exit(2)
}

const figures: Figure[] = []
let growth: readonly GrowthRow[] = []
const world = await openWorld()
try {
  if (what === 'growth') growth = await growthByColumns(world, rounds)
  else {
    figures.push(...(await singleUpdate(world, rounds)))
    figures.push(...(await tpcbTransaction(world, rounds)))
    figures.push(...(await bulkStatements(world, rounds, rows)))
    figures.push(...(await entrySize(world)))
  }
} finally {
  await world.close()
}
if (what === 'growth') printGrowth(growth)
else printFigures(figures)
if (values.json)
  writeFileSync(
    values.json,
    `${JSON.stringify({ at: new Date(), rounds, ...(what === 'growth' ? { growth } : { rows, figures }) }, null, 2)}\n`,
  )
if (values.guard && what === 'capture') {
  const reached = JSON.parse(readFileSync(new URL('reached.json', import.meta.url), 'utf8')) as Record<
    string,
    number
  >
  for (const line of broken(figures, reached)) {
    console.error(`GUARD: ${line}`)
    process.exitCode = 1
  }
}
