import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client, Pool } from 'pg'
import { inject } from 'vitest'

export interface Login {
  readonly url: string
  readonly pool: Pool
}

export interface TestDatabase extends Login {
  /** The server's major version, as it says itself. */
  readonly version: number
  /** A new login role, without a password, connected to this database. `attributes` as in `create role x login ...`. */
  createRole(attributes?: string): Promise<Login & { readonly name: string }>
  /** Ends every pool made here and removes the database and its roles. */
  drop(): Promise<void>
}

/** A new empty database in the run's shared PostgreSQL, seen as its superuser. Only for files named `*.db.test.ts`. */
export function freshDatabase(): Promise<TestDatabase> {
  return createDatabase('/', '')
}

/** The same, with the Chinook sample's schema and data: 11 tables, 15,607 rows. */
export function chinook(): Promise<TestDatabase> {
  return createDatabase('/chinook', 'template chinook_template')
}

async function createDatabase(path: string, options: string): Promise<TestDatabase> {
  const response = await fetch(inject('postgresDoor') + path)
  if (!response.ok) throw new Error(await response.text())
  const server = await response.text()

  const database = randomName()
  const version = await asSuperuser(server, async (client) => {
    const { rows } = await client.query('show server_version_num')
    const major = Math.floor(rows[0].server_version_num / 10_000)
    // the quicker of two ways for a small database; before 15 it was the only one
    await client.query(`create database ${database} ${major >= 15 ? 'strategy file_copy' : ''} ${options}`)
    return major
  })
  const superuser = login(server, database, 'postgres')
  const logins = [superuser]
  const roles: string[] = []

  return {
    ...superuser,
    version,
    async createRole(attributes = '') {
      const name = randomName()
      await superuser.pool.query(`create role ${name} login ${attributes}`)
      const role = { name, ...login(server, database, name) }
      roles.push(name)
      logins.push(role)
      return role
    },
    async drop() {
      await Promise.all(logins.map(({ pool }) => pool.end()))
      await asSuperuser(server, (client) => dropDatabase(client, database))
      await asSuperuser(server, async (client) => {
        for (const name of roles) await client.query(`drop role ${name}`)
      })
    },
  }
}

function login(server: string, database: string, user: string): Login {
  const url = new URL(server)
  url.username = user
  url.pathname = database
  const pool = new Pool({ connectionString: url.href })
  pool.on('error', () => {}) // `drop` may cut connections that are still on their way out
  return { url: url.href, pool }
}

/**
 * Removes a database. A pool that has ended is still closing its connections: to cut them would raise an error that
 * nobody listens for any more, so they get a moment first.
 */
export async function dropDatabase(as: Pick<Client, 'query'>, database: string): Promise<void> {
  for (let tries = 1; tries <= 50; tries++) {
    const { rows } = await as.query('select 1 from pg_stat_activity where datname = $1', [database])
    if (rows.length === 0) break
    await sleep(100)
  }
  await as.query(`drop database ${database} with (force)`)
}

async function asSuperuser<T>(server: string, use: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client(server)
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}

const randomName = () => `test_${randomBytes(6).toString('hex')}`
