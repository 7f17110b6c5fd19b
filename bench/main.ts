import { readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { engines } from './engines.ts'
import { broken, type Figure, printFigures } from './figures.ts'
import { clientCost } from './postgres/client.ts'
import { growthByColumns, growthByTrail, growthByWriters, printGrowth } from './postgres/growth.ts'
import { openWorld } from './postgres/world.ts'

const usage = `npm run bench -- capture [--engine NAME] [--json FILE] [--rounds N] [--rows N] [--guard]
npm run bench -- growth [--json FILE] [--rounds N] [--trail N]
npm run bench -- client [--json FILE] [--rounds N]
  --engine  postgres, sqlite or mariadb alone (default all three)
  --rounds  measured rounds of each variant; one more warms up (default 7)
  --rows    rows of COPY and DELETE in bulk on PostgreSQL (default 10000)
  --trail   most rows that the trail holds already (default 1000000)
  --guard   fail where a figure is more than 25 % above what bench/reached.json holds`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    engine: { type: 'string' },
    json: { type: 'string' },
    rounds: { type: 'string', default: '7' },
    rows: { type: 'string', default: '10000' },
    trail: { type: 'string', default: '1000000' },
    guard: { type: 'boolean', default: false },
  },
})
const chosen = Object.entries(engines).filter(([name]) => [undefined, name].includes(values.engine))
const [rounds, rows] = [Number(values.rounds), Number(values.rows)]
const command = new Map(Object.entries({ capture, growth, client })).get(positionals.join())
if (!command || !(rounds >= 1) || !(rows >= 100) || chosen.length === 0) {
  console.error(usage)
  process.exit(2)
}
const measured = await command()
if (values.json)
  writeFileSync(values.json, `${JSON.stringify({ at: new Date(), rounds, ...measured }, null, 2)}\n`)

async function capture(): Promise<object> {
  const figures: Figure[] = []
  for (const [, measure] of chosen) figures.push(...(await measure(rounds, rows)))
  printFigures(figures)
  if (values.guard) guard(figures)
  return { rows, figures }
}

async function client(): Promise<object> {
  const figures = await clientCost(rounds)
  printFigures(figures)
  return { figures }
}

async function growth(): Promise<object> {
  const world = await openWorld()
  try {
    const found = [
      ...(await growthByColumns(world, rounds)),
      ...(await growthByWriters(world, rounds)),
      ...(await growthByTrail(world, rounds, Number(values.trail))),
    ]
    printGrowth(found)
    return { growth: found }
  } finally {
    await world.close()
  }
}

function guard(figures: readonly Figure[]): void {
  const reached = JSON.parse(readFileSync(new URL('reached.json', import.meta.url), 'utf8')) as Record<
    string,
    number
  >
  for (const line of broken(figures, reached)) {
    console.error(`GUARD: ${line}`)
    process.exitCode = 1
  }
}
