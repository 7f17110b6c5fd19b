import mysql from 'mysql2'
import { onTestFinished } from 'vitest'
import { type Audit, type AuditConfig, type AuditEntry, type Changes, createAudit } from '../../src/index.ts'
import { fromMysql2, type Mysql2TransactionLike } from '../../src/database/mariadb.ts'
import { freshMariadb, type MariadbDatabase } from '../harness/mariadb.ts'

/** An entry in short: `['UPDATE', 'item', '1', { name: ['a', 'b'] }]`. */
export type Recorded = readonly [action: string, model: string, id: string | null, changes: Changes | null]

export interface World {
  readonly database: MariadbDatabase
  readonly audit: Audit<mysql.Pool, Mysql2TransactionLike>
  /** On a connection that is not wrapped, always the same. */
  sql(text: string, values?: unknown[]): Promise<Record<string, unknown>[]>
  entries(): Promise<AuditEntry[]>
  /** Row changes since the last call, oldest first. */
  recorded(): Promise<Recorded[]>
}

/** Tables in a database of their own, for one test. `audited`: with capture on them. */
export async function world(ddl: string, policy: AuditConfig = {}, migrate = true): Promise<World> {
  const database = await freshMariadb()
  await database.sql(ddl)
  const audit = createAudit({
    ...policy,
    database: fromMysql2(mysql.createPool({ uri: database.url, connectionLimit: 3 })),
  })
  onTestFinished(async () => {
    await audit.close()
    await new Promise((resolve) => audit.client.end(resolve))
    await database.drop()
  })
  if (migrate) await audit.migrate()
  let seen = 0n
  const entries = async (): Promise<AuditEntry[]> => {
    const found: AuditEntry[] = []
    for await (const entry of audit.entries.stream()) found.push(entry)
    return found.toSorted((a, b) => Number(a.id) - Number(b.id))
  }
  return {
    database,
    audit,
    sql: (text, values) => database.sql(text, values),
    entries,
    async recorded() {
      const all = await entries()
      const fresh = all.filter(({ id, kind }) => BigInt(id) > seen && kind === 'change')
      seen = BigInt(all.at(-1)?.id ?? 0)
      return fresh.map(({ action, target, changes }) => [action, target!.model, target!.id, changes])
    },
  }
}
