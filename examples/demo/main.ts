// Starts the shop, lets its staff work for a moment, and shows what the trail says about them.
// --once ends then; --fresh starts over with a new database; --seed N plays another day.

import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { parseArgs } from 'node:util'
import type { Express } from 'express'
import { createApp } from './app.ts'
import { createShopAudit } from './audit.ts'
import { CannotOpen, closeDatabase, connect, isPool, openDatabase } from './database.ts'
import { nightly } from './jobs.ts'
import { printHints, printTrail } from './print.ts'
import { simulate } from './simulate.ts'

const { values: flags } = parseArgs({
  options: {
    once: { type: 'boolean', default: false },
    fresh: { type: 'boolean', default: false },
    seed: { type: 'string' },
  },
})
process.stdout.on('error', () => {}) // `| head` has read enough
const started = performance.now()
const since = new Date()

const client = await openDatabase({ fresh: flags.fresh }).catch((error: unknown) => {
  if (!(error instanceof CannotOpen)) throw error
  console.error(error.message)
  process.exit(1)
})
const audit = createShopAudit(client)
await audit.migrate()
for (const { message } of await audit.check()) console.warn(message)
const db = connect(audit.client)

const server = await listen(createApp(db, audit))
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
let closing: Promise<void> | undefined
process.once('SIGINT', () => void close()).once('SIGTERM', () => void close())
say(`The shop is open at ${url}, on ${isPool(client) ? 'PostgreSQL' : 'PGlite'}. Its staff get to work ...`)

try {
  await show()
} catch (error) {
  if (!closing) throw error // else it was Ctrl+C in the midst of it
}
if (flags.once || closing) await close()
else say(`\nStill open at ${url}. Sign in as jane@chinookcorp.com with chinook-jane. Ctrl+C closes.`)

async function show(): Promise<void> {
  // A job has no request: it says itself who it is, why, and on which machine it runs.
  const nightlyRun = {
    actor: { type: 'job', id: 'nightly' },
    request: { ip: '127.0.0.1' },
    origin: 'job',
    reason: 'nightly run',
  } as const
  const job = () => audit.withContext(nightlyRun, () => nightly(db))
  const day = await simulate(url, job, Number(flags.seed ?? 1))
  say(`${day.requests} requests in ${(day.ms / 1000).toFixed(1)} s: ${JSON.stringify(day.answers)}`)
  for (const surprise of day.surprises) console.error(`Unexpected: ${surprise}`)
  if (day.surprises.length > 0) process.exitCode = 1
  await audit.flush()
  await printTrail(audit, since)
  printHints({ serving: !flags.once, locked: !isPool(client) })
}

function close(): Promise<void> {
  closing ??= (async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
    await audit.close()
    await closeDatabase(client)
    say(`Closed after ${((performance.now() - started) / 1000).toFixed(1)} s.`)
  })()
  return closing
}

/** At PORT, or 3000, or where there is room. */
async function listen(app: Express): Promise<Server> {
  const at = (port: number): Promise<Server> =>
    new Promise((resolve, reject) => {
      const listening = app.listen(port, '127.0.0.1', (error?: Error) =>
        error ? reject(error) : resolve(listening),
      )
    })
  return at(Number(process.env['PORT'] || 3000)).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EADDRINUSE') return at(0)
    throw error
  })
}

function say(text: string): void {
  console.log(text)
}
