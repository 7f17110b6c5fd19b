import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { onTestFinished } from 'vitest'
import { fromBetterSqlite3, type SqliteOptions } from '../../src/database/sqlite.ts'
import { type Audit, type AuditConfig, type AuditEntry, createAudit } from '../../src/index.ts'

export interface SqliteWorld {
  readonly file: string
  /** The database of the application, instrumented. */
  readonly client: Database.Database
  readonly audit: Audit<Database.Database, never>
  /** Of another program. */
  readonly other: Database.Database
  /** Row changes, oldest first. */
  changes(): Promise<AuditEntry[]>
  /** In short: `UPDATE item 1 name,note`. */
  short(): Promise<string[]>
}

/** A file with tables, audited, for one test. */
export async function sqliteWorld(
  tables: string,
  policy: AuditConfig = {},
  options: SqliteOptions = {},
): Promise<SqliteWorld> {
  const folder = mkdtempSync(join(tmpdir(), 'whodunit-'))
  const file = join(folder, 'test.db')
  const [client, other] = [new Database(file), new Database(file)]
  for (const one of [client, other]) one.exec('pragma journal_mode = wal; pragma synchronous = off')
  client.exec(tables)
  const audit = createAudit({ ...policy, database: fromBetterSqlite3(client, options) })
  onTestFinished(async () => {
    await audit.close()
    client.close()
    other.close()
    rmSync(folder, { recursive: true })
  })
  await audit.migrate()
  const changes = async (): Promise<AuditEntry[]> => {
    const found: AuditEntry[] = []
    for await (const entry of audit.entries.stream({ kind: 'change' })) found.push(entry)
    return found.toSorted((a, b) => Number(a.id) - Number(b.id))
  }
  return {
    file,
    client,
    audit,
    other,
    changes,
    short: async () =>
      (await changes()).map(({ action, target, changes: columns }) =>
        [action, target?.model, target?.id, columns && Object.keys(columns).join()]
          .filter((part) => part !== null && part !== undefined)
          .join(' '),
      ),
  }
}
