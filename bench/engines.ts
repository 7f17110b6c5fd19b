import { hasMariadb } from '../test/harness/mariadb-server.ts'
import type { Figure } from './figures.ts'
import { bulkUpdate as mariadbBulk } from './mariadb/bulk.ts'
import { singleTransaction as mariadbSingle } from './mariadb/single.ts'
import { openWorld as openMariadb } from './mariadb/world.ts'
import { bulkStatements } from './postgres/bulk.ts'
import { recognition } from './postgres/recognition.ts'
import { singleUpdate } from './postgres/single.ts'
import { entrySize } from './postgres/size.ts'
import { tpcbTransaction } from './postgres/transaction.ts'
import { openWorld as openPostgres } from './postgres/world.ts'
import { bulkStatements as sqliteBulk } from './sqlite/bulk.ts'
import { singleTransaction as sqliteSingle } from './sqlite/single.ts'
import { openWorld as openSqlite } from './sqlite/world.ts'

interface Closing {
  close(): Promise<void>
}

async function within<W extends Closing>(
  world: W,
  ...works: readonly ((world: W) => Promise<readonly Figure[]>)[]
): Promise<readonly Figure[]> {
  const figures: Figure[] = []
  try {
    for (const work of works) figures.push(...(await work(world)))
  } finally {
    await world.close()
  }
  return figures
}

type Run = (rounds: number, rows: number) => Promise<readonly Figure[]>

/** What is measured on each engine. */
export const engines: Readonly<Record<'postgres' | 'sqlite' | 'mariadb', Run>> = {
  postgres: async (rounds, rows) =>
    within(
      await openPostgres(),
      (world) => singleUpdate(world, rounds),
      (world) => tpcbTransaction(world, rounds),
      (world) => bulkStatements(world, rounds, rows),
      (world) => entrySize(world),
      (world) => recognition(world, rounds),
    ),
  sqlite: async (rounds) =>
    within(
      await openSqlite(),
      (world) => sqliteSingle(world, rounds),
      (world) => sqliteBulk(world, rounds),
    ),
  mariadb: async (rounds) => {
    if (!hasMariadb) {
      console.warn('SKIPPED: mariadb-server is not installed, so nothing is measured on MariaDB.')
      return []
    }
    return within(
      await openMariadb(),
      (world) => mariadbSingle(world, rounds),
      (world) => mariadbBulk(world, rounds),
    )
  },
}
