import { AuditError, kinds, type NewEntry } from '../../core/internal.ts'
import type { Statement } from '../dialect.ts'
import { libraryColumnNames, libraryColumns } from '../library-entry.ts'

const firstYear = Date.UTC(1970)
const endOfYears = Date.UTC(10_000)

/** All entries of a batch in one parameter: one statement, whatever their number. `tx` is SQL for the transaction's number. */
export function recordStatement(entries: readonly NewEntry[], joined: boolean, tx: string): Statement {
  const rows = entries.map((entry) => {
    check(entry)
    const columns = libraryColumns(entry)
    return [entry.at.getTime(), ...libraryColumnNames.map((name) => columns[name] ?? null)]
  })
  const columns = ['at', ...libraryColumnNames]
  const values = columns.map((_, index) => `json_extract(value, '$[${index}]')`).join(', ')
  return {
    sql: `insert into whodunit_entry (${columns.join(', ')}, tx, joined) select ${values}, ${joined ? tx : 'null'}, ${joined ? 1 : 0} from json_each(?) order by key`,
    parameters: [JSON.stringify(rows)],
  }
}

/** Row changes are written by triggers alone, and nothing may get in that readers could not read. */
function check({ kind, action, at }: NewEntry): void {
  const time = at.getTime()
  const known = (kinds as readonly string[]).includes(kind) && (kind as string) !== 'change'
  if (known && typeof action === 'string' && time >= firstYear && time < endOfYears) return
  throw new AuditError(
    'AUDIT_ENTRY_INVALID',
    `The trail refused an entry of kind ${JSON.stringify(kind)}, action ${JSON.stringify(action)}, time ${time}.`,
    'Row changes are written by triggers alone; every other entry has an action and a time between the years 1970 and 9999.',
  )
}
