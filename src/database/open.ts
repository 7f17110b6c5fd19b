import { AuditError } from '../core/internal.ts'
import { knownForms } from './open/failure.ts'
import { openMariadb } from './open/mariadb.ts'
import type { OpenDatabase } from './open/opened.ts'
import { openPglite } from './open/pglite.ts'
import { openPostgres } from './open/postgres.ts'
import { openSqlite } from './open/sqlite.ts'

export type { OpenDatabase }

export interface OpenOptions {
  /** What a relative folder is relative to. @default the current folder */
  readonly base?: string
  /** Folders whose installed clients are taken, the first that has one; then our own. @default the current folder */
  readonly clientsFrom?: readonly string[]
}

/**
 * Opens `postgres://...` by the user's `pg`, `mysql://...` and `mariadb://...` by the user's `mysql2`, or else `mariadb`,
 * `pglite:DIR` by the user's `@electric-sql/pglite`, or `sqlite:FILE` by the user's `better-sqlite3`, else by `node:sqlite`,
 * and makes sure that it answers. Not a public path: an application passes its own client to `fromPg` and the like.
 *
 * @throws AUDIT_DATABASE_URL, AUDIT_DATABASE_UNSUPPORTED, AUDIT_DATABASE_UNREACHABLE, AUDIT_DATABASE_LOCKED, AUDIT_CLIENT_MISSING
 */
export async function openDatabase(url: string, options: OpenOptions = {}): Promise<OpenDatabase> {
  const { base = process.cwd(), clientsFrom = [process.cwd()] } = options
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(url)?.[1]?.toLowerCase()
  if (scheme === 'postgres' || scheme === 'postgresql') return openPostgres(url, clientsFrom)
  if (scheme === 'pglite')
    return openPglite(url.slice('pglite:'.length).replace(/^\/\/(?=.)/, ''), base, clientsFrom)
  if (scheme === 'sqlite')
    return openSqlite(url.slice('sqlite:'.length).replace(/^\/\/(?=.)/, ''), base, clientsFrom)
  if (scheme === 'mysql' || scheme === 'mysql2' || scheme === 'mariadb') return openMariadb(url, clientsFrom)
  if (scheme && ['sqlite3', 'libsql', 'file'].includes(scheme)) {
    throw new AuditError(
      'AUDIT_DATABASE_UNSUPPORTED',
      `"${scheme}:" databases are not supported by this release.`,
      knownForms,
    )
  }
  // never the URL itself: it may hold a password
  throw new AuditError(
    'AUDIT_DATABASE_URL',
    scheme ? `A database URL cannot begin with "${scheme}:".` : 'The database URL has no scheme.',
    knownForms,
  )
}
