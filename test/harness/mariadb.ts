import { randomBytes } from 'node:crypto'
import { createConnection } from 'mysql2/promise'
import { inject } from 'vitest'

export { hasMariadb } from './mariadb-server.ts'

export interface MariadbDatabase {
  readonly url: string
  readonly name: string
  /** Runs statements as root, on a connection that is not wrapped, and answers the rows of the last. */
  sql(text: string, values?: unknown[]): Promise<Record<string, unknown>[]>
  /** A new user without a password and with these rights, as in `grant RIGHTS to user`; its URL for this database. */
  createUser(...grants: readonly string[]): Promise<{ readonly name: string; readonly url: string }>
  drop(): Promise<void>
}

/** A new empty database in the run's shared MariaDB, seen as its root. Only for files named `*.db.test.ts`. */
export async function freshMariadb(): Promise<MariadbDatabase> {
  const response = await fetch(`${inject('postgresDoor')}/mariadb`)
  if (!response.ok) throw new Error(await response.text())
  const server = await response.text()
  const name = randomName()
  const root = await createConnection({ uri: server, multipleStatements: true })
  await root.query(`create database ${name} character set utf8mb4; use ${name}`)
  const users: string[] = []
  const url = new URL(server)
  url.pathname = name
  return {
    url: url.href,
    name,
    async sql(text, values) {
      const [rows] = await root.query(text, values)
      return rows as Record<string, unknown>[]
    },
    async createUser(...grants) {
      const user = randomName()
      await root.query(`create user ${user}@'%'`)
      users.push(user)
      for (const grant of grants) await root.query(`grant ${grant} to ${user}@'%'`)
      const login = new URL(url)
      login.username = user
      return { name: user, url: login.href }
    },
    async drop() {
      for (const user of users) await root.query(`drop user ${user}@'%'`)
      await root.query(`drop database ${name}`)
      await root.end()
    },
  }
}

const randomName = () => `test_${randomBytes(6).toString('hex')}`
