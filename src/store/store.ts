import type { AuditDatabase } from '../core/internal.ts'
import type { Dialect } from '../dialect/dialect.ts'
import type { Driver } from '../driver/driver.ts'
import { createTrailReader } from './read.ts'
import { createTrailSetup, hashValues } from './setup.ts'

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
    async probe() {
      const [row] = await explained(driver.asApplication(dialect.probe.sql, dialect.probe.parameters))
      const context = row?.['context']
      return typeof context === 'string' ? context : ''
    },
    close: () => driver.close(),
  }
}
