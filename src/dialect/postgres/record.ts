import { type NewEntry, storedJson } from '../../core/internal.ts'
import type { Statement } from '../dialect.ts'
import { storedKey } from './key.ts'

/** All entries of a batch in one parameter: one statement, whatever their number. */
export function recordStatement(entries: readonly NewEntry[], joined: boolean): Statement {
  const rows = entries.map((entry) => ({
    ref: entry.ref,
    at: entry.at.toISOString().replace('Z', `${String(entry.micros ?? 0).padStart(3, '0')}Z`),
    kind: entry.kind,
    action: entry.action,
    model: entry.target?.model,
    target_id: entry.target?.id == null ? entry.target?.id : storedKey(entry.target.id),
    label: entry.target?.label,
    changes: entry.changes && storedJson(entry.changes),
    subject: entry.subject,
    category: entry.category,
    severity: entry.severity,
    about: entry.about,
    details: entry.details && storedJson(entry.details),
    actor: entry.context.actor || null,
    request_id: entry.context.request || null,
    tenant: entry.context.tenant || null,
    context: entry.context.rest || null,
  }))
  return { sql: 'select whodunit.record($1::json, $2)', parameters: [JSON.stringify(rows), joined] }
}
