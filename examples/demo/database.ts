// The shop's database: PGlite in ./data, or the PostgreSQL server at DATABASE_URL. Loaded once, then left alone.

import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { PGlite } from '@electric-sql/pglite'
import type { PgDatabase, PgQueryResultHKT } from 'drizzle-orm/pg-core'
import { drizzle as overPg } from 'drizzle-orm/node-postgres'
import { drizzle as overPglite } from 'drizzle-orm/pglite'
import { Pool } from 'pg'
import { hashPassword } from './passwords.ts'
import * as schema from './schema.ts'

export type Client = PGlite | Pool
export type Database = PgDatabase<PgQueryResultHKT, typeof schema>

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
const files = here('./data/pglite')
const lock = here('./data/demo.pid')

const staff = [
  { employee: 1, first: 'Andrew', last: 'Adams', role: 'admin' },
  { employee: 2, first: 'Nancy', last: 'Edwards', role: 'manager' },
  { employee: 3, first: 'Jane', last: 'Peacock', role: 'agent' },
  { employee: 4, first: 'Margaret', last: 'Park', role: 'agent' },
  { employee: 5, first: 'Steve', last: 'Johnson', role: 'agent' },
  { employee: 6, first: 'Michael', last: 'Mitchell', role: 'it' },
] as const

/** The reason why there is no opening this database, told to whoever started the demo. */
export class CannotOpen extends Error {}

export function isPool(client: Client): client is Pool {
  return client instanceof Pool
}

/** Opens the database and, the first time, loads it. `fresh` throws PGlite's files away before. */
export async function openDatabase({ fresh = false } = {}): Promise<Client> {
  const url = process.env['DATABASE_URL']
  if (url) {
    if (fresh)
      throw new CannotOpen(
        '--fresh only removes files of its own. On a server, make a new empty database instead.',
      )
    const pool = new Pool({ connectionString: url, max: 10 })
    const connection = await pool.connect()
    try {
      if (!(await isLoaded(connection))) await load(connection, (text) => connection.query(text))
    } finally {
      connection.release()
    }
    return pool
  }
  takeLock()
  if (fresh) rmSync(files, { recursive: true, force: true })
  const pglite = await PGlite.create(files)
  if (!(await isLoaded(pglite))) await load(pglite, (text) => pglite.exec(text))
  return pglite
}

/** What the application works with: Drizzle over any client of the two kinds. */
export function connect(client: Client): Database {
  return isPool(client) ? overPg({ client, schema }) : overPglite({ client, schema })
}

export async function closeDatabase(client: Client): Promise<void> {
  if (isPool(client)) return client.end()
  await client.close()
  rmSync(lock, { force: true })
}

interface Queryable {
  query(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>
}

/** All is loaded in one transaction, so that its last table stands for the rest. */
async function isLoaded(client: Queryable): Promise<boolean> {
  return (await client.query(`SELECT 1 WHERE to_regclass('refund') IS NOT NULL`)).rows.length > 0
}

async function load(client: Queryable, script: (text: string) => Promise<unknown>): Promise<void> {
  await client.query('BEGIN')
  try {
    await script(readFileSync(here('./chinook/chinook.sql'), 'utf8'))
    await script(readFileSync(here('./shop.sql'), 'utf8'))
    for (const { employee, first, last, role } of staff) {
      const password = await hashPassword(`chinook-${first.toLowerCase()}`)
      await client.query(
        `INSERT INTO users (email, name, role, employee_id, password_hash) VALUES ($1, $2, $3, $4, $5)`,
        [`${first.toLowerCase()}@chinookcorp.com`, `${first} ${last}`, role, employee, password],
      )
    }
    await client.query('COMMIT')
  } catch (error) {
    await client.query('ROLLBACK')
    throw error
  }
}

/** PGlite does not notice a second process in the same files, and the two would spoil them: so we do. */
function takeLock(): void {
  mkdirSync(here('./data'), { recursive: true })
  try {
    const handle = openSync(lock, 'wx')
    writeSync(handle, String(process.pid))
    closeSync(handle)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    const pid = Number(readFileSync(lock, 'utf8'))
    if (pid > 0 && pid !== process.pid && isRunning(pid)) {
      throw new CannotOpen(
        `The demo already runs as process ${pid}. Stop it first: PGlite's files are for one process.`,
      )
    }
    rmSync(lock)
    takeLock()
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
