import type { NewEntry } from '../../core/internal.ts'
import type { Statement } from '../dialect.ts'
import { libraryColumns } from '../library-entry.ts'

/**
 * All entries of a batch in one parameter: one statement, whatever their number. In hexadecimal, so that neither the
 * character set nor the `sql_mode` of the application's connection can change it.
 */
export function recordStatement(entries: readonly NewEntry[], joined: boolean): Statement {
  const rows = entries.map((entry) => ({
    ...libraryColumns(entry),
    at: entry.at
      .toISOString()
      .replace('T', ' ')
      .replace('Z', String(entry.micros ?? 0).padStart(3, '0')),
  }))
  const given = Buffer.from(JSON.stringify(rows)).toString('hex')
  return {
    sql: 'call whodunit_record(convert(unhex(?) using utf8mb4), ?)',
    parameters: [given, joined ? 1 : 0],
  }
}
