import { type NewEntry, storedJson } from '../../core/internal.ts'
import type { Statement } from '../dialect.ts'

/**
 * All entries of a batch in one parameter: one statement, whatever their number. In hexadecimal, so that neither the
 * character set nor the `sql_mode` of the application's connection can change it.
 */
export function recordStatement(entries: readonly NewEntry[], joined: boolean): Statement {
  const rows = entries.map((entry) => ({
    ref: entry.ref,
    at: entry.at
      .toISOString()
      .replace('T', ' ')
      .replace('Z', String(entry.micros ?? 0).padStart(3, '0')),
    kind: entry.kind,
    action: entry.action,
    model: entry.target?.model,
    target_id: entry.target?.id,
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
  }))
  const given = Buffer.from(JSON.stringify(rows)).toString('hex')
  return {
    sql: 'call whodunit_record(convert(unhex(?) using utf8mb4), ?)',
    parameters: [given, joined ? 1 : 0],
  }
}
