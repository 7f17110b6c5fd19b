import { AuditError, kinds, type NewEntry, storedJson } from '../../core/internal.ts'
import type { Statement } from '../dialect.ts'

const columns = [
  'ref', 'at', 'kind', 'action', 'model', 'target_id', 'label', 'changes', 'subject', 'category', 'severity', 'about', 'details',
  'actor', 'request_id', 'tenant', 'context',
] as const // prettier-ignore

const firstYear = Date.UTC(1970)
const endOfYears = Date.UTC(10_000)

/** All entries of a batch in one parameter: one statement, whatever their number. `tx` is SQL for the transaction's number. */
export function recordStatement(entries: readonly NewEntry[], joined: boolean, tx: string): Statement {
  const rows = entries.map((entry) => {
    check(entry)
    return [
      entry.ref,
      entry.at.getTime(),
      entry.kind,
      entry.action,
      entry.target?.model ?? null,
      entry.target?.id ?? null,
      entry.target?.label ?? null,
      entry.changes ? storedJson(entry.changes) : null,
      entry.subject ?? null,
      entry.category ?? null,
      entry.severity ?? null,
      entry.about ?? null,
      entry.details ? storedJson(entry.details) : null,
      entry.context.actor || null,
      entry.context.request || null,
      entry.context.tenant || null,
      entry.context.rest || null,
    ]
  })
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
