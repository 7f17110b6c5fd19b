import type { SqlRow } from '../../../dialect/dialect.ts'

/** A connection whose statements are done when the call returns, used past the wrapper: without a context. */
export interface SyncConnection {
  inTransaction(): boolean
  /** Runs one statement and answers its rows. */
  run(sql: string, parameters?: readonly unknown[]): readonly SqlRow[]
  close(): void
}

/** Parameters as SQLite takes them: it has no booleans and no lists. */
export function toSqlite(parameters: readonly unknown[] = []): unknown[] {
  return parameters.map((value) => {
    if (typeof value === 'boolean') return value ? 1 : 0
    if (Array.isArray(value)) return JSON.stringify(value)
    return value === undefined ? null : value
  })
}

/** Whether a statement failed since others hold the database right now. */
export function isBusy(error: unknown): boolean {
  const { code, errcode, rawCode } = (error ?? {}) as { code?: unknown; errcode?: unknown; rawCode?: unknown }
  const number = typeof errcode === 'number' ? errcode : rawCode
  if (typeof number === 'number') return (number & 0xff) === 5 || (number & 0xff) === 6
  return typeof code === 'string' && /^(SQLITE_(BUSY|LOCKED)|TRANSACTION_ACTIVE)/.test(code)
}

/** The one connection there is, is in a transaction. */
export class Waiting extends Error {
  readonly code = 'SQLITE_BUSY'
  constructor() {
    super('a transaction stayed open')
  }
}
