import { AuditError } from '../core/internal.ts'
import type { RunSql, SqlRow } from '../dialect/dialect.ts'
import { sessionOver } from './base/own.ts'
import type { Driver } from './driver.ts'
import { carryingView, type Mode, type SqlLike } from './postgres-js/client.ts'
import { ownConnections, type Postgres } from './postgres-js/own.ts'

/** What is used of a transaction of postgres.js, or of a reserved connection. */
export interface PostgresJsTransactionLike {
  unsafe(text: string, parameters?: never[]): PromiseLike<unknown>
  typed(value: string, type: number): unknown
}

/** What is used of a `sql` of postgres.js. */
export interface PostgresJsLike extends PostgresJsTransactionLike {
  begin(fn: never): Promise<unknown>
  reserve(): Promise<PostgresJsTransactionLike>
  end(): Promise<void>
  readonly options: object
}

export interface PostgresJsOptions {
  readonly mode?: Mode
  /** What `import postgres from 'postgres'` gives, for the library's own connections. @default the one that is installed */
  readonly postgres?: (options: never) => unknown
}

/** A driver for postgres.js. The `sql` given stays as it is; `client` is a view of it that carries the context. */
export function postgresJsDriver<T extends PostgresJsLike>(
  sql: T,
  { mode = 'begin', postgres }: PostgresJsOptions = {},
): Driver<T, PostgresJsTransactionLike> {
  checkSql(sql)
  if (mode !== 'begin' && mode !== 'pipeline') {
    throw new AuditError(
      'AUDIT_CLIENT_UNKNOWN',
      `fromPostgresJs() knows no mode ${JSON.stringify(mode)}.`,
      "Leave it out, or pass 'begin' or 'pipeline'.",
    )
  }
  const carrying = (other: T): T => carryingView(other as T & SqlLike, mode)
  const client = carrying(sql)
  const connections = ownConnections(sql, postgres as Postgres | undefined)
  return {
    client,
    attach(other) {
      checkSql(other)
      return carrying(other)
    },
    writing: sessionOver((fn) => connections.with(1, fn)),
    reading: sessionOver((fn) => connections.with(2, fn)),
    asApplication: runAs(client),
    in: (transaction) => {
      if (typeof transaction?.unsafe !== 'function') {
        throw new AuditError(
          'AUDIT_CLIENT_UNKNOWN',
          'audit.in() got no transaction of postgres.js.',
          'Pass the sql that begin() gave to your function.',
        )
      }
      return runAs(transaction)
    },
    wouldDeadlock: () => false,
    close: () => connections.close(),
  }
}

function checkSql(sql: PostgresJsLike): void {
  const { unsafe, begin, reserve, options } = (sql ?? {}) as Partial<PostgresJsLike>
  if ([unsafe, begin, reserve].every((method) => typeof method === 'function') && options) return
  throw new AuditError(
    'AUDIT_CLIENT_UNKNOWN',
    'fromPostgresJs() got no sql of postgres.js.',
    'Pass what postgres(...) gave.',
  )
}

/** The type of PostgreSQL that texts are sent as. */
const text = 25

/** With what the application may have set otherwise for its own queries: types of values, names of columns. */
function runAs(sql: PostgresJsTransactionLike): RunSql {
  return async (statement, parameters = []) => {
    const given = parameters.map((value) =>
      typeof value === 'string'
        ? sql.typed(value, text)
        : Array.isArray(value)
          ? sql.typed(listOf(value as string[]), text)
          : value,
    )
    const rows = (await sql.unsafe(statement, given as never[])) as SqlRow[]
    return [...rows].map((row) =>
      Object.fromEntries(Object.entries(row).map(([name, value]) => [name.toLowerCase(), value])),
    )
  }
}

/** A list as text of PostgreSQL. */
function listOf(values: readonly string[]): string {
  return `{${values.map((value) => `"${value.replaceAll(/["\\]/g, '\\$&')}"`).join(',')}}`
}
