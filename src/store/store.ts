import type { AuditDatabase } from '../core/internal.ts'
import type { Dialect } from '../dialect/dialect.ts'
import type { Driver } from '../driver/driver.ts'
import { createTrailReader } from './read.ts'
import { hashValues } from './hash.ts'
import { createTrailSetup } from './setup.ts'

/** A dialect and a driver put together as the database that the core asks for. */
export function createDatabase<Client, Transaction>(
  dialect: Dialect,
  driver: Driver<Client, Transaction>,
): AuditDatabase<Client, Transaction> {
  const explained = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work
    } catch (error) {
      throw dialect.explain(error)
    }
  }
  return {
    client: driver.client,
    ...(driver.attach ? { attach: driver.attach } : {}),
    cannotReport: dialect.capture.cannotReport,
    onUnrecorded(listener) {
      driver.onNotice?.((notice) => {
        const error = dialect.capture.unrecorded?.heard?.(notice)
        if (error) listener(error)
      })
    },
    trail: createTrailReader(driver.reading, dialect),
    setup: createTrailSetup(driver.writing, dialect, driver.reading),
    wouldDeadlock: () => driver.wouldDeadlock(),
    async write(entries) {
      const { sql, parameters } = dialect.record(entries, false)
      await explained(driver.writing.run(sql, parameters))
    },
    async writeIn(transaction, entries) {
      const { sql, parameters } = dialect.record(entries, true)
      await explained(driver.in(transaction)(sql, parameters))
    },
    hashIn: (transaction, values) => explained(hashValues(dialect, driver.in(transaction), values)),
    async probe(run = (sql) => driver.asApplication(sql)) {
      const [row] = await explained(run(dialect.probe.sql))
      const { context } = (row ?? {}) as { context?: unknown }
      return typeof context === 'string' ? context : ''
    },
    close: () => driver.close(),
  }
}
