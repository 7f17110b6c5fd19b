import { afterAll } from 'vitest'
import { freshMariadb } from '../harness/mariadb.ts'
import { freshDatabase } from '../harness/postgres.ts'

/** An empty database, and a way into it past everything that is wrapped. */
export interface Place {
  readonly url: string
  setUp(sql: string): Promise<unknown>
}

const drops: (() => Promise<void>)[] = []

/** Removes the databases of this file when its tests are done. */
export function dropPlaces(): void {
  afterAll(async () => {
    for (const drop of drops) await drop()
  })
}

export async function postgresPlace(): Promise<Place> {
  const database = await freshDatabase()
  drops.push(async () => database.drop())
  return { url: database.url, setUp: async (sql) => database.pool.query(sql) }
}

export async function mariadbPlace(): Promise<Place> {
  const database = await freshMariadb()
  drops.push(async () => database.drop())
  return { url: database.url, setUp: async (sql) => database.sql(sql) }
}

interface InstrumentedClient {
  query?: unknown
  addCommand?: unknown
}

/** Takes the carrying of the context off a client again, as something would that wraps or copies clients after us. */
export function lose(client: object): void {
  delete (client as InstrumentedClient).query
  delete (client as InstrumentedClient).addCommand
}
