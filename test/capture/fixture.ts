import pg from 'pg'
import { afterAll, beforeAll, onTestFinished } from 'vitest'
import {
  type Audit,
  type AuditConfig,
  type AuditEntry,
  type AuditOptions,
  type Changes,
  createAudit,
  type TableStatus,
} from '../../src/index.ts'
import { fromPg, type PgClientLike } from '../../src/database/postgres.ts'
import { freshDatabase, type TestDatabase } from '../harness/postgres.ts'

type Options = AuditConfig & Pick<AuditOptions, 'onError'>

/** One database for a file. Each test gets a schema of its own in it, which is the default schema of its connections. */
export interface Capture {
  readonly database: TestDatabase
  /** Makes tables and audits them. */
  audited(tables: string, policy?: Options): Promise<Audited>
  /** Makes tables and nothing else. */
  tables(tables: string, policy?: Options): Promise<Audited>
}

export interface Audited {
  readonly schema: string
  /** Of the superuser, with this schema as the default. */
  readonly url: string
  readonly audit: Audit<pg.Pool, PgClientLike>
  /** The wrapped pool. */
  readonly client: pg.Pool
  /** On a connection that is not wrapped. */
  sql(text: string, values?: unknown[]): Promise<pg.QueryResult>
  /** Row changes of this test, oldest first. */
  recorded(): Promise<Recorded[]>
  /** The entries behind them. */
  entries(): Promise<AuditEntry[]>
  /** Another application with another policy over the same tables. */
  with(policy: Options): Audit<pg.Pool, PgClientLike>
  status(): Promise<Record<string, TableStatus['state']>>
}

/** An entry in short: `['UPDATE', '1', { name: ['a', 'b'] }]`. */
export type Recorded = readonly [action: string, id: string | null, changes: Changes | null]

let schemas = 0

/** To be called once at the top of a file. */
export function captureDatabase(): Capture {
  let database: TestDatabase
  beforeAll(async () => {
    database = await freshDatabase()
  })
  afterAll(async () => database?.drop())

  async function tables(ddl: string, policy: Options = {}): Promise<Audited> {
    const schema = `t${++schemas}`
    const url = `${database.url}?options=-c%20search_path%3D${schema}`
    const plain = new pg.Pool({ connectionString: url, max: 2, application_name: 'a plain client' })
    await database.pool.query(`create schema ${schema}`)
    await plain.query(ddl)
    const audits: Audit<pg.Pool, PgClientLike>[] = []
    const open = (given: Options) => {
      const audit = createAudit({
        ...given,
        database: fromPg(new pg.Pool({ connectionString: url, max: 3 })),
      })
      audits.push(audit)
      return audit
    }
    const audit = open(policy)
    onTestFinished(async () => {
      for (const one of audits) {
        await one.close()
        await one.client.end()
      }
      await plain.end()
    })
    const { rows } = await plain.query(`select to_regclass('whodunit.entry_id') is not null as there`)
    const start = rows[0].there
      ? (await plain.query('select last_value as id from whodunit.entry_id')).rows[0].id
      : '0'
    const entries = async () => {
      const found: AuditEntry[] = []
      for await (const entry of audit.entries.stream())
        if (BigInt(entry.id) > BigInt(start)) found.push(entry)
      return found.toSorted((a, b) => Number(a.id) - Number(b.id))
    }
    return {
      schema,
      url,
      audit,
      client: audit.client,
      sql: async (text, values) => plain.query(text, values),
      entries,
      recorded: async () =>
        (await entries())
          .filter(({ kind }) => kind === 'change')
          .map(({ action, target, changes }) => [action, target?.id ?? null, changes]),
      with: open,
      status: async () => {
        const { tables: all } = await audit.status()
        return Object.fromEntries(all.map(({ model, state }) => [model, state]))
      },
    }
  }

  return {
    get database() {
      return database
    },
    tables,
    async audited(ddl, policy) {
      const world = await tables(ddl, policy)
      await world.audit.migrate()
      return world
    },
  }
}

/** The short form of what was recorded, without the values: `UPDATE item 1 name,note`. */
export function short(entries: readonly AuditEntry[]): string[] {
  return entries
    .filter(({ kind }) => kind === 'change')
    .map(({ action, target, changes }) =>
      [action, target?.model, target?.id, changes && Object.keys(changes).join()]
        .filter((part) => part != null)
        .join(' '),
    )
}
