import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Client } from 'pg'
import type { TestProject } from 'vitest/node'
import { type MariadbServer, startMariadb } from './mariadb-server.ts'
import { startPostgres, type PostgresServer } from './server.ts'

const chinookTemplate = 'chinook_template'
const chinookFile = new URL('../../examples/demo/chinook/chinook.sql', import.meta.url)

/**
 * Serves one PostgreSQL, and one MariaDB, to all files of the run. Each starts with the first test that asks, so that
 * tests which need no server never wait for it: `GET /` answers the URL of PostgreSQL, `GET /chinook` does so once the
 * template is loaded, `GET /mariadb` answers that of MariaDB.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  let server: Promise<PostgresServer> | undefined
  let template: Promise<void> | undefined
  let mariadb: Promise<MariadbServer> | undefined

  const answer = async (path?: string) => {
    if (path === '/mariadb') return (await (mariadb ??= startMariadb())).url
    const { url } = await (server ??= startPostgres({ version: project.config.env?.['POSTGRES_VERSION'] }))
    if (path === '/chinook') await (template ??= loadChinook(url))
    return url
  }
  const door = createServer((request, response) => {
    answer(request.url).then(
      (url) => response.end(url),
      (error) => response.writeHead(500).end(`${error.message}`),
    )
  }).listen(0, '127.0.0.1')
  await once(door, 'listening')
  project.provide('postgresDoor', `http://127.0.0.1:${(door.address() as AddressInfo).port}`)

  return async () => {
    door.close()
    door.closeAllConnections()
    for (const starting of [server, mariadb]) {
      const started = await starting?.catch(() => undefined)
      await started?.stop()
    }
  }
}

async function loadChinook(url: string) {
  const sql = await readFile(chinookFile, 'utf8')
  await withClient(url, (client) => client.query(`create database ${chinookTemplate}`))
  await withClient(url.replace(/postgres$/, chinookTemplate), (client) => client.query(sql))
}

async function withClient(url: string, use: (client: Client) => Promise<unknown>) {
  const client = new Client(url)
  await client.connect()
  try {
    await use(client)
  } finally {
    await client.end()
  }
}

declare module 'vitest' {
  interface ProvidedContext {
    postgresDoor: string
  }
}
