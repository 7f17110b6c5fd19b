import { type AuditScope, currentScope, partSeparator, skipMark } from '../../../core/internal.ts'
import type { SyncConnection } from './connection.ts'
import type { LibraryTransaction } from './session.ts'
import type { StatementKind } from './statement.ts'

/** The number of a transaction is the id of its first entry. */
const nextId = '(select coalesce(max(id), 0) + 1 from whodunit_entry)'
export const fillRow: string = `update whodunit_context set skip = ?, actor = ?, request_id = ?, tenant = ?, context = ?, tx = coalesce(tx, ?, ${nextId}) where id = 1`
export const emptyRow = `update whodunit_context set skip = null, actor = null, request_id = null, tenant = null, context = null, tx = null, skipped = '' where id = 1`

/** Carries the context of the calling code into the statements of one connection. */
export interface Carrier {
  /** Runs a statement of the application; `changed` says how many rows it changed. */
  run<T>(kind: StatementKind, execute: () => T, changed?: (result: T) => number): T
  /** In front of a COMMIT that does not come by {@link run}. */
  beforeCommit(): void
  /** Behind what may have undone or ended the transaction. */
  forget(): void
  /** What the triggers' function answers, where they ask one: a list in JSON. */
  answer(): string
}

export function createCarrier(
  connection: SyncConnection,
  library: LibraryTransaction,
  byFunction: boolean,
): Carrier {
  /** What is in the row, where that is certain. */
  let known: string | undefined
  /** Whether the row may be filled in this transaction. */
  let filled = false
  /** Whether a RELEASE may commit. */
  let bySavepoint = false
  let answer = noContext
  let tx: unknown

  function forget(): void {
    known = undefined
    filled = false
    bySavepoint = false
    answer = noContext
    tx = undefined
  }

  function fill(text: string): void {
    if (known === text) return
    try {
      const parts = partsOf(text)
      if (byFunction) {
        tx ??= connection.run(`select ${nextId} as id`)[0]!['id']
        answer = JSON.stringify([...parts, Number(tx)])
      }
      // what is skipped leaves a mark in the row, also where a function answers
      if (!byFunction || text.startsWith(skipMark)) {
        connection.run(fillRow, [...parts, tx])
        filled = true
      }
      known = text
    } catch (error) {
      if (!isMissing(error)) throw error // without a trail, there is nothing that would record
    }
  }

  /** Must come before every commit: the row would speak for whoever writes next. */
  function empty(): void {
    if (filled && connection.inTransaction()) {
      const [before] = connection.run('select changes() as rows, tx from whodunit_context where id = 1')
      tx = before!['tx'] // a commit that fails leaves the transaction open
      connection.run(emptyRow)
      // the application may ask SQL for changes() after its commit; emptying the row has left 1
      if (Number(before!['rows']) === 0) connection.run('update whodunit_context set id = id where id = 0')
    }
    known = undefined
    filled = false
    answer = noContext
  }

  function alone<T>(text: string, execute: () => T): T {
    forget()
    if (byFunction && !text.startsWith(skipMark)) {
      try {
        fill(text)
        return execute()
      } finally {
        forget()
      }
    }
    connection.run('begin immediate')
    try {
      fill(text)
      return keepingWhatStays(execute)
    } finally {
      // what fails here has its error already, or it is that of the commit
      if (connection.inTransaction()) connection.run('rollback')
      forget()
    }
  }

  /** A statement that fails undoes itself, or by OR FAIL a part of itself, and the rest is committed, as without us. */
  function keepingWhatStays<T>(execute: () => T): T {
    let failed = true
    try {
      const result = execute()
      failed = false
      empty()
      connection.run('commit')
      return result
    } catch (error) {
      if (failed && connection.inTransaction()) {
        try {
          empty()
          connection.run('commit')
        } catch {
          // the first error says more, and what stays is rolled back
        }
      }
      throw error
    }
  }

  function write<T>(execute: () => T, changed?: (result: T) => number): T {
    const scope: AuditScope | undefined = currentScope()
    const text = scope?.text() ?? ''
    let result: T
    if (connection.inTransaction()) {
      fill(text)
      result = execute()
    } else result = alone(text, execute)
    if (scope && changed) scope.note(changed(result))
    return result
  }

  return {
    run(kind, execute, changed) {
      if (kind === 'read') return execute()
      library.giveWay()
      if (kind === 'write') return write(execute, changed)
      if (kind === 'begin' || (kind === 'savepoint' && !connection.inTransaction())) forget()
      if (kind === 'savepoint' && !connection.inTransaction()) bySavepoint = true
      if (kind === 'commit' || (kind === 'release' && bySavepoint)) empty()
      const result = execute()
      if (kind === 'rollback to') known = undefined
      if (kind === 'commit' || kind === 'rollback') forget()
      return result
    },
    beforeCommit: empty,
    forget,
    answer: () => answer,
  }
}

/** The answer where there is no context. */
export const noContext: string = JSON.stringify([null, null, null, null, null, null])

/** The columns of the row, of a text in the form of the wire. */
export function partsOf(text: string): unknown[] {
  const skip = text.startsWith(skipMark)
  const parts = (skip ? text.slice(skipMark.length) : text).split(partSeparator)
  return [skip ? 1 : null, ...[0, 1, 2, 3].map((index) => parts[index] || null)]
}

/** Whether the trail is not there, so that nothing would record. */
export function isMissing(error: unknown): boolean {
  return /no such table: (main\.)?whodunit_/.test(String((error as { message?: unknown } | null)?.message))
}
