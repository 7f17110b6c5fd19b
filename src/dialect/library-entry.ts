import { type NewEntry, storedJson } from '../core/internal.ts'

/** Columns in the order in which they are stored. */
export const libraryColumnNames = [
  'ref', 'kind', 'action', 'model', 'target_id', 'label', 'changes', 'subject', 'category', 'severity', 'about', 'details',
  'actor', 'request_id', 'tenant', 'context',
] as const // prettier-ignore

export type LibraryColumns = Readonly<Record<(typeof libraryColumnNames)[number], string | undefined>>

/** The columns of a library entry as text, what is empty left out; the time is for each database to write as it reads it. */
export function libraryColumns(entry: NewEntry): LibraryColumns {
  return {
    ref: entry.ref,
    kind: entry.kind,
    action: entry.action,
    model: entry.target?.model,
    target_id: entry.target?.id ?? undefined,
    label: entry.target?.label,
    changes: entry.changes && storedJson(entry.changes),
    subject: entry.subject,
    category: entry.category,
    severity: entry.severity,
    about: entry.about,
    details: entry.details && storedJson(entry.details),
    actor: entry.context.actor || undefined,
    request_id: entry.context.request || undefined,
    tenant: entry.context.tenant || undefined,
    context: entry.context.rest || undefined,
  }
}
