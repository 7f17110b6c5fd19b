import { setTimeout as sleep } from 'node:timers/promises'
import type { RunSql, Session, SqlRow } from '../../../dialect/dialect.ts'
import { isBusy, type SyncConnection, Waiting } from './connection.ts'

type Now<T> = T | Promise<T>
type Rows = readonly SqlRow[]

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

/** What a session stands on. What fails with SQLITE_BUSY is tried again. */
export interface SessionParts {
  /** A statement by itself. */
  run(sql: string, parameters?: readonly unknown[]): Now<Rows>
  /** A statement that must not see what is not committed. */
  runOutside(sql: string, parameters?: readonly unknown[]): Now<Rows>
  begin(): Now<OwnTransaction>
}

export interface OwnTransaction {
  run(sql: string, parameters?: readonly unknown[]): Now<Rows>
  commit(): Now<unknown>
  /** Done when the call returns. */
  rollback(): void
}

export function createSession(parts: SessionParts, library: LibraryTransaction): Session {
  const run: RunSql = async (sql, parameters) => patiently(() => parts.run(sql, parameters))
  const runOutside: RunSql = async (sql, parameters) => patiently(() => parts.runOutside(sql, parameters))
  return {
    run,
    connection: async (fn) => fn(runOutside),
    async transaction(fn) {
      for (const until = Date.now() + 10 * patience; ; await sleep(5)) {
        const own = await patiently(() => parts.begin())
        let gone = false
        const giveWay = (): void => {
          gone = true
          library.open = undefined
          own.rollback()
        }
        library.open = giveWay
        try {
          const result = await fn(async (sql, parameters) => {
            if (gone) throw new Waiting()
            return own.run(sql, parameters)
          })
          await patiently(() => {
            if (gone) throw new Error('the transaction gave way to one of the application')
            return own.commit()
          })
          library.open = undefined
          return result
        } catch (error) {
          if (!gone) giveWay()
          else if (Date.now() < until) continue
          throw error
        }
      }
    },
  }
}

/**
 * The parts over connections whose statements are done at once. `own` answers a connection beside the application's, or
 * that of the application itself, where the database is in memory; then the library waits for open transactions, and
 * reads in them.
 */
export function syncParts(
  own: () => SyncConnection,
  library: LibraryTransaction,
  reads: 'inside' | 'outside',
): SessionParts {
  const free = (connection: SyncConnection): SyncConnection => {
    if (library.open || connection.inTransaction()) throw new Waiting()
    return connection
  }
  return {
    run(sql, parameters) {
      if (reads === 'inside' && !library.open) return own().run(sql, parameters)
      return free(own()).run(sql, parameters)
    },
    runOutside: (sql, parameters) => free(own()).run(sql, parameters),
    begin() {
      const connection = free(own())
      connection.run('begin immediate')
      return {
        run: (sql, parameters) => connection.run(sql, parameters),
        commit: () => connection.run('commit'),
        rollback: () => {
          if (connection.inTransaction()) connection.run('rollback')
        },
      }
    },
  }
}

async function patiently<T>(work: () => Now<T>): Promise<T> {
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
