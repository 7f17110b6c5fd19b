import type { NewEntry } from '../../core/internal.ts'
import type { Statement } from '../dialect.ts'
import { libraryColumns } from '../library-entry.ts'
import { storedKey } from './key.ts'

/** All entries of a batch in one parameter: one statement, whatever their number. */
export function recordStatement(entries: readonly NewEntry[], joined: boolean): Statement {
  const rows = entries.map((entry) => {
    const columns = libraryColumns(entry)
    return {
      ...columns,
      at: entry.at.toISOString().replace('Z', `${String(entry.micros ?? 0).padStart(3, '0')}Z`),
      target_id: columns.target_id && storedKey(columns.target_id),
    }
  })
  return { sql: 'select whodunit.record($1::json, $2)', parameters: [JSON.stringify(rows), joined] }
}
