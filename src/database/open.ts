import { existsSync, readdirSync, readlinkSync, realpathSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve, sep } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type AuditDatabase, AuditError, isAuditError } from '../core/internal.ts'
import { fromMariadb, fromMysql2 } from './mariadb.ts'
import { fromPg, fromPglite, type PgliteLike, type PgPoolLike } from './postgres.ts'
import { type BetterSqlite3Like, fromBetterSqlite3, fromNodeSqlite, type SqliteOptions } from './sqlite.ts'

/** A database opened by its URL, with the client that the user's project has installed. */
export interface OpenDatabase {
  readonly database: AuditDatabase
  /** Whether other processes may write while it is open here. */
  readonly shared: boolean
  /** Ends the client. Close the audit before. */
  close(): Promise<void>
}

export interface OpenOptions {
  /** What a relative folder is relative to. @default the current folder */
  readonly base?: string
  /** Folders whose installed clients are taken, the first that has one; then our own. @default the current folder */
  readonly clientsFrom?: readonly string[]
}

const knownForms =
  'Give postgres://USER@HOST:PORT/DATABASE, mysql://... or mariadb://... alike, pglite:DIR or sqlite:FILE.'
const connectTimeout = 10_000

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

type Pool = PgPoolLike & { on(event: 'error', listener: () => void): unknown }

async function openPostgres(url: string, clientsFrom: readonly string[]): Promise<OpenDatabase> {
  const { Pool } = (await load('pg', clientsFrom)) as { Pool: new (options: object) => Pool }
  const pool = new Pool({
    connectionString: url,
    max: 2,
    connectionTimeoutMillis: connectTimeout,
    application_name: 'whodunit',
  })
  pool.on('error', () => {}) // an idle connection that breaks shows at its next use
  try {
    const database = fromPg(pool)
    const client = await pool.connect()
    client.release(true)
    return { database, shared: true, close: () => pool.end() }
  } catch (error) {
    await pool.end()
    if (isAuditError(error)) throw error
    if ((error as NodeJS.ErrnoException).code === 'ERR_INVALID_URL') {
      throw new AuditError(
        'AUDIT_DATABASE_URL',
        'The postgres: URL cannot be read.',
        `${knownForms} Write special characters of the password as %XX.`,
      )
    }
    throw unreachable(error)
  }
}

interface MariadbPool {
  query(sql: string): Promise<unknown>
  end(): Promise<void>
}

async function openMariadb(url: string, clientsFrom: readonly string[]): Promise<OpenDatabase> {
  if (!URL.canParse(url)) {
    const hint = `${knownForms} Write special characters of the password as %XX.`
    throw new AuditError('AUDIT_DATABASE_URL', 'The database URL cannot be read.', hint)
  }
  const { pool, database } = await mariadbPool(new URL(url), clientsFrom)
  try {
    await pool.query('select 1')
    return { database, shared: true, close: () => pool.end() }
  } catch (error) {
    await pool.end()
    throw unreachable(error)
  }
}

/** By `mysql2`, or by the connector of MariaDB where that is what is installed. */
async function mariadbPool(
  url: URL,
  clientsFrom: readonly string[],
): Promise<{ pool: MariadbPool; database: AuditDatabase }> {
  const options = {
    host: url.hostname,
    port: Number(url.port || 3306),
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    database: decodeURIComponent(url.pathname.slice(1)),
    ...Object.fromEntries(url.searchParams),
    connectionLimit: 2,
    connectTimeout,
  }
  let missing: unknown
  try {
    const mysql2 = (await load('mysql2', clientsFrom)) as {
      createPool(given: object): { promise(): MariadbPool & Parameters<typeof fromMysql2>[0] }
    }
    const pool = mysql2.createPool(options).promise()
    return { pool, database: fromMysql2(pool) }
  } catch (error) {
    if (!isAuditError(error, 'AUDIT_CLIENT_MISSING')) throw error
    missing = error
  }
  const connector = await load('mariadb', clientsFrom).catch(() => {
    throw missing
  })
  const pool = (
    connector as { createPool(given: object): MariadbPool & Parameters<typeof fromMariadb>[0] }
  ).createPool({ ...options, acquireTimeout: connectTimeout })
  return { pool, database: fromMariadb(pool) }
}

type Pglite = PgliteLike & { close(): Promise<void> }

async function openPglite(path: string, base: string, clientsFrom: readonly string[]): Promise<OpenDatabase> {
  const folder = resolve(base, path)
  if (path === '' || !existsSync(join(folder, 'PG_VERSION'))) {
    const what =
      path === ''
        ? 'pglite: names no folder.'
        : `${folder} ${existsSync(folder) ? 'is no data folder of PGlite' : 'does not exist'}.`
    throw new AuditError(
      'AUDIT_DATABASE_URL',
      what,
      'Give the folder that the application opens: no new database is made here.',
    )
  }
  refuseIfOpen(folder)
  const { PGlite } = (await load('@electric-sql/pglite', clientsFrom)) as {
    PGlite: { create(dataDir: string): Promise<Pglite> }
  }
  const client = await PGlite.create(folder).catch((error: unknown) => {
    throw unreachable(error)
  })
  return { database: fromPglite(client), shared: false, close: () => client.close() }
}

type Sqlite = { close(): void; prepare(sql: string): { get(): unknown } }

/** `?context=function` behind the file for a trail whose triggers take the context from a function. */
async function openSqlite(path: string, base: string, clientsFrom: readonly string[]): Promise<OpenDatabase> {
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
    const { default: Database } = (await load('better-sqlite3', clientsFrom)) as {
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

/**
 * PGlite does not lock its folder, and a second process spoils it. Where the system tells who has files open (Linux), that
 * is asked. Elsewhere the file that PGlite removes when it closes decides, as with PostgreSQL; a killed process leaves it.
 */
function refuseIfOpen(folder: string): void {
  const mark = join(folder, 'postmaster.pid')
  const hint = 'PGlite lets one process in at a time: stop that one first.'
  if (existsSync('/proc/self/fd')) {
    const holder = processWithFilesIn(realpathSync(folder) + sep)
    if (holder) throw new AuditError('AUDIT_DATABASE_LOCKED', `Process ${holder} has ${folder} open.`, hint)
  } else if (existsSync(mark)) {
    throw new AuditError(
      'AUDIT_DATABASE_LOCKED',
      `${folder} is open in another process, or was not closed.`,
      `${hint} If there is none, delete ${mark}.`,
    )
  }
}

function processWithFilesIn(folder: string): string | undefined {
  const others = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && name !== String(process.pid))
  return others.find((pid) => {
    try {
      return readdirSync(`/proc/${pid}/fd`).some((fd) => linkOf(`/proc/${pid}/fd/${fd}`).startsWith(folder))
    } catch {
      return false // it ended meanwhile, or belongs to another user
    }
  })
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}

async function load(name: string, folders: readonly string[]): Promise<unknown> {
  for (const folder of folders) {
    let path: string
    try {
      path = createRequire(join(folder, 'package.json')).resolve(name)
    } catch {
      continue
    }
    return exportsOf(await import(pathToFileURL(path).href))
  }
  try {
    return exportsOf(await import(name))
  } catch (error) {
    const missing =
      (error as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND' && String(error).includes(`'${name}'`)
    if (!missing) throw error
    throw new AuditError(
      'AUDIT_CLIENT_MISSING',
      `The package ${name} is not installed.`,
      `Run: npm install ${name}`,
    )
  }
}

/** A CommonJS package comes as the default export. */
function exportsOf(module: { default?: object }): unknown {
  return { ...module.default, ...module }
}

function unreachable(error: unknown): AuditError {
  return new AuditError(
    'AUDIT_DATABASE_UNREACHABLE',
    `The database could not be reached: ${reason(error)}.`,
    'Check the URL, the server and the password.',
    { cause: error },
  )
}

/** A host with several addresses fails with one error for each, and no message of its own. */
function reason(error: unknown): string {
  const { message, errors, code } = error as {
    message?: string
    errors?: readonly { message?: string }[]
    code?: string
  }
  return message || errors?.[0]?.message || code || String(error)
}
