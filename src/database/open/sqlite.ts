import { existsSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { type AuditDatabase, AuditError, isAuditError } from '../../core/internal.ts'
import { type BetterSqlite3Like, fromBetterSqlite3, fromNodeSqlite, type SqliteOptions } from '../sqlite.ts'
import { unreachable } from './failure.ts'
import { loadInstalled } from './installed.ts'
import type { OpenDatabase } from './opened.ts'

type Sqlite = { close(): void; prepare(sql: string): { get(): unknown } }

/** `?context=function` behind the file for a trail whose triggers take the context from a function. */
export async function openSqlite(
  path: string,
  base: string,
  clientsFrom: readonly string[],
): Promise<OpenDatabase> {
  const [name, query = ''] = path.split('?') as [string, string?]
  const file = resolve(base, name)
  if (name === '' || !existsSync(file) || !statSync(file).isFile()) {
    throw new AuditError(
      'AUDIT_DATABASE_URL',
      name === ''
        ? 'sqlite: names no file.'
        : `${file} ${existsSync(file) ? 'is no file' : 'does not exist'}.`,
      'Give the file that the application opens: no new database is made here.',
    )
  }
  const context = new URLSearchParams(query).get('context') === 'function' ? 'function' : 'row'
  try {
    const { client, from } = await openFile(file, clientsFrom)
    try {
      client.prepare('select count(*) from sqlite_master').get()
    } catch (error) {
      client.close()
      throw error
    }
    return { database: from({ context }), shared: true, close: async () => client.close() }
  } catch (error) {
    throw isAuditError(error) ? error : unreachable(error)
  }
}

async function openFile(
  file: string,
  clientsFrom: readonly string[],
): Promise<{ client: Sqlite; from(options: SqliteOptions): AuditDatabase }> {
  try {
    const { default: Database } = (await loadInstalled('better-sqlite3', clientsFrom)) as {
      default: new (file: string) => Sqlite & BetterSqlite3Like
    }
    const client = new Database(file)
    return { client, from: (options) => fromBetterSqlite3(client, options) }
  } catch (error) {
    if (!isAuditError(error, 'AUDIT_CLIENT_MISSING')) throw error
    const { DatabaseSync } = await import('node:sqlite')
    const client = new DatabaseSync(file, { timeout: 5_000 })
    return { client, from: (options) => fromNodeSqlite(client, options) }
  }
}
