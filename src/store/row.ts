import { type AuditEntry, decodeParts, fromActorKey, severities, type Severity } from '../core/internal.ts'
import type { EntryRow } from '../dialect/dialect.ts'

/** An entry as the application reads it, of a row as it is stored. */
export function toEntry(row: EntryRow): AuditEntry {
  const context = decodeParts({
    actor: row.actor,
    request: row.request_id,
    tenant: row.tenant,
    rest: row.context,
  })
  const { tags, ...details } = parseObject(row.details)
  const actor = context.actor ?? (row.actor ? (fromActorKey(row.actor) ?? null) : null)
  // a write that came with no context says which program it came from, and where that ran
  const bare = context.origin === 'sql' && row.request_id === null ? context.request : undefined
  const where = { application: bare?.userAgent, address: bare?.ip, about: row.about ?? undefined }
  for (const [key, value] of Object.entries(where)) if (value !== undefined) details[key] = value
  const entry = {
    id: row.id,
    ref: row.ref,
    at: new Date(Number(BigInt(row.at) / 1_000n)),
    kind: row.kind,
    action: row.action,
    target:
      row.model === null
        ? null
        : { model: row.model, id: row.target_id, ...(row.label ? { label: row.label } : {}) },
    changes: row.changes === null ? null : (parseObject(row.changes) as AuditEntry['changes']),
    actor,
    subject: row.subject,
    tenant: row.tenant,
    request: (bare ? null : context.request) ?? null,
    reason: context.reason ?? null,
    description: null,
    metadata: context.metadata ?? null,
    category: row.category,
    severity: severities.includes(row.severity as Severity) ? (row.severity as Severity) : 'info',
    tags: Array.isArray(tags) ? (tags as string[]) : [],
    origin: context.origin ?? 'sql',
    app: context.app ?? null,
    tx: Number(row.joined ?? true) === 0 ? null : row.xid, // not every database has a boolean
    role: row.role,
    details,
  }
  return entry as unknown as AuditEntry
}

function parseObject(text: string | null): Record<string, unknown> {
  if (text === null) return {}
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? { ...value } : {}
  } catch {
    return { unreadable: text }
  }
}
