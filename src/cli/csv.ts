import { stringify, type Stringifier } from 'csv-stringify'
import { oneLine } from '../core/text.ts'
import type { AuditEntry } from '../index.ts'
import { entryJson } from './print.ts'

type Cell = string | null | undefined

/** The columns of the export: those of the view `whodunit.entries`, with its JSON `context` laid out flat. */
const columns: Readonly<Record<string, (entry: AuditEntry) => Cell>> = {
  id: ({ id }) => id,
  ref: ({ ref }) => ref,
  at: ({ at }) => at.toISOString(),
  kind: ({ kind }) => kind,
  action: ({ action }) => action,
  model: ({ target }) => target?.model,
  target_id: ({ target }) => target?.id,
  target_label: ({ target }) => target?.label,
  changes: ({ changes }) => changes && entryJson(changes),
  actor_type: ({ actor }) => actor?.type,
  actor_id: ({ actor }) => actor?.id,
  actor_label: ({ actor }) => actor?.label,
  on_behalf_of: ({ actor }) => actor?.onBehalfOf && entryJson(actor.onBehalfOf),
  subject: ({ subject }) => subject,
  tenant: ({ tenant }) => tenant,
  request_id: ({ request }) => request?.id,
  method: ({ request }) => request?.method,
  path: ({ request }) => request?.path,
  ip: ({ request }) => request?.ip,
  user_agent: ({ request }) => request?.userAgent,
  session_id: ({ request }) => request?.sessionId,
  reason: ({ reason }) => reason,
  category: ({ category }) => category,
  severity: ({ severity }) => severity,
  tags: ({ tags }) => (tags.length > 0 ? entryJson(tags) : null),
  origin: ({ origin }) => origin,
  app: ({ app }) => app,
  tx: ({ tx }) => tx,
  role: ({ role }) => role,
  metadata: ({ metadata }) => metadata && entryJson(metadata),
  details: ({ details }) => (Object.keys(details).length > 0 ? entryJson(details) : null),
}

export const csvColumns: readonly string[] = Object.keys(columns)

/** The cells of an entry. Control marks become visible, so that one entry is one line, whatever reads the file. */
export function csvCells(entry: AuditEntry): string[] {
  return Object.values(columns).map((cell) => {
    const text = cell(entry) ?? ''
    return oneLine(text, Infinity)
  })
}

/** Cells in, CSV out. A cell that a spreadsheet would take for a formula gets an apostrophe in front. */
export function csvStream(): Stringifier {
  return stringify({ header: true, columns: [...csvColumns], escape_formulas: true })
}
