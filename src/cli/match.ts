import { actorKey } from '../core/actor.ts'
import type { Query } from '../core/query.ts'
import type { AuditEntry } from '../index.ts'

/**
 * Whether an entry meets a filter, by the rules of `entries.find`. A feed is read without one: what follows the trail
 * takes whole batches.
 */
export function matches(entry: AuditEntry, query: Query): boolean {
  const { target, request, at } = entry
  const among = (list: readonly string[] | undefined, value: string | null | undefined): boolean =>
    list === undefined || (value !== null && value !== undefined && list.includes(value))
  const is = (wanted: string | undefined, value: string | null | undefined): boolean =>
    wanted === undefined || wanted === value
  return (
    among(query.kinds, entry.kind) &&
    among(query.actions, entry.action) &&
    among(query.models, target?.model) &&
    among(query.severities, entry.severity) &&
    among(query.actors, entry.actor && actorKey(entry.actor)) &&
    is(query.targetId, target?.id) &&
    is(query.subject, entry.subject) &&
    is(query.request, request?.id) &&
    is(query.tenant, entry.tenant) &&
    is(query.ip, request?.ip) &&
    is(query.category, entry.category) &&
    is(query.tx, entry.tx) &&
    (query.since === undefined || at >= query.since) &&
    (query.until === undefined || at < query.until) &&
    (query.changed === undefined ||
      query.changed.some((name) => columns(entry).includes(name.toLowerCase()))) &&
    (query.tag === undefined || entry.tags.includes(query.tag)) &&
    (query.text === undefined || searchable(entry).includes(query.text.toLowerCase()))
  )
}

function columns({ changes }: AuditEntry): string[] {
  return Object.keys(changes ?? {}).map((column) => column.toLowerCase())
}

function searchable(entry: AuditEntry): string {
  const { actor, target, request } = entry
  const texts = [
    target?.label, target?.model, target?.id, actor && actorKey(actor), actor?.label, entry.action, entry.reason, entry.origin, entry.app,
    request?.ip, request?.sessionId, request?.userAgent, request?.method, request?.path,
  ] // prettier-ignore
  const data = [entry.changes, entry.metadata, entry.details, entry.tags].map((item) => JSON.stringify(item))
  return [...texts, ...data].join('\n').toLowerCase()
}
