import { setTimeout as sleep } from 'node:timers/promises'
import type { RunSql, Session } from '../../../dialect/dialect.ts'
import { isBusy, type SyncConnection } from './connection.ts'

/** Milliseconds that the library waits for others, without blocking the process. */
const patience = 5_000
const pauses = [0, 1, 2, 5, 10, 25]

/**
 * The library's own transaction over several turns of the event loop. A statement of the application that comes meanwhile
 * must not wait for it, since nothing could go on: the transaction gives way, and is begun anew.
 */
export interface LibraryTransaction {
  open?: (() => void) | undefined
  giveWay(): void
}

export function createLibraryTransaction(): LibraryTransaction {
  return {
    giveWay() {
      this.open?.()
    },
  }
}

/**
 * A session of the library. `own` answers a connection beside the application's, or the application's itself where the
 * database is in memory; then the library waits for its transactions, and reads in them.
 */
export function createSession(
  own: () => SyncConnection,
  library: LibraryTransaction,
  reads: 'inside' | 'outside',
): Session {
  const run: RunSql = async (sql, parameters) =>
    patiently(() => {
      const connection = own()
      if (library.open || (reads === 'outside' && connection.inTransaction())) throw new Waiting()
      return connection.run(sql, parameters)
    })
  return {
    run,
    // several statements that have to see the same are of no use here: what is open is waited for
    connection: async (fn) =>
      fn(async (sql, parameters) => patiently(() => outside(own(), library).run(sql, parameters))),
    async transaction(fn) {
      const until = Date.now() + 10 * patience
      for (;;) {
        const attempt = await begin(own, library)
        try {
          const result = await fn(async (sql, parameters) => attempt.run(sql, parameters))
          await patiently(() => attempt.run('commit'))
          return result
        } catch (error) {
          if (!attempt.gaveWay() || Date.now() > until) throw error
        } finally {
          attempt.end()
        }
        await sleep(5)
      }
    },
  }
}

interface Attempt {
  run: SyncConnection['run']
  gaveWay(): boolean
  end(): void
}

async function begin(own: () => SyncConnection, library: LibraryTransaction): Promise<Attempt> {
  const connection = await patiently(() => {
    const free = outside(own(), library)
    free.run('begin immediate')
    return free
  })
  let gone = false
  const end = (): void => {
    if (!gone && connection.inTransaction()) connection.run('rollback')
    gone = true
    if (library.open === end) library.open = undefined
  }
  library.open = end
  let ended = false
  return {
    run(sql, parameters) {
      if (gone) throw new Waiting()
      const rows = connection.run(sql, parameters)
      if (sql === 'commit') ended = true
      return rows
    },
    gaveWay: () => gone && !ended,
    end,
  }
}

function outside(connection: SyncConnection, library: LibraryTransaction): SyncConnection {
  if (library.open || connection.inTransaction()) throw new Waiting()
  return connection
}

/** Others hold the database, or the one connection there is. */
class Waiting extends Error {
  readonly code = 'SQLITE_BUSY'
  constructor() {
    super('a transaction of the application stayed open')
  }
}

export async function patiently<T>(work: () => T | Promise<T>): Promise<T> {
  const until = Date.now() + patience
  for (let tries = 0; ; tries++) {
    try {
      return await work()
    } catch (error) {
      if (!isBusy(error) || Date.now() > until) throw error
    }
    await sleep(pauses[Math.min(tries, pauses.length - 1)])
  }
}
