import { randomBytes } from 'node:crypto'
import { Client, Pool } from 'pg'
import { inject } from 'vitest'

export interface Login {
  readonly url: string
  readonly pool: Pool
}

export interface TestDatabase extends Login {
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
  await asSuperuser(server, `create database ${database} strategy file_copy ${options}`)
  const superuser = login(server, database, 'postgres')
  const logins = [superuser]
  const roles: string[] = []

  return {
    ...superuser,
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
      await asSuperuser(server, `drop database ${database} with (force)`)
      for (const name of roles) await asSuperuser(server, `drop role ${name}`)
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

async function asSuperuser(server: string, sql: string) {
  const client = new Client(server)
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}

const randomName = () => `test_${randomBytes(6).toString('hex')}`
