import { actorTypes, agentPieces } from '../../core/internal.ts'
import { contextLine } from './entry.ts'

const line = (which: Parameters<typeof contextLine>[1]): string => contextLine('e.context', which)
const agent = agentPieces.reduce(
  (rest, [code, piece]) => `replace(${rest}, char(${code.charCodeAt(0)} using utf8mb4), '${piece}')`,
  line('userAgent'),
)
const types = actorTypes.map((type) => `'${type}'`).join(', ')
const actorType = `substring_index(e.actor, ':', 1)`
/** A member of `details`; NULL where the text is not JSON. */
const detail = (field: string): string => `json_value(e.details, '$.${field}')`
const object = (text: string): string => `ifnull(if(json_type(${text}) = 'OBJECT', ${text}, null), '{}')`
/** The members that are not NULL. */
const known = (members: string): string => `json_merge_patch('{}', json_object(${members}))`

const who = (of: string, ...columns: readonly string[]): string =>
  columns.map((column) => `${of}.${column}`).join(', ')

/** The public, stable reading of the trail for people who read with SQL (docs/sql.md). */
export const views: Readonly<Record<string, string>> = {
  whodunit_entries: `select
    e.id, e.ref, e.at, e.kind, e.action, e.model, e.target_id, e.label as target_label, e.changes,
    if(${actorType} in (${types}), ${actorType}, null) as actor_type,
    if(${actorType} in (${types}), nullif(substr(e.actor, locate(':', e.actor) + 1), ''), e.actor) as actor_id,
    ${line('label')} as actor_label,
    e.subject, e.tenant, e.request_id,
    ${line('ip')} as ip, ${agent} as user_agent, ${line('session')} as session_id, ${line('reason')} as reason,
    e.category, ifnull(e.severity, 'info') as severity,
    ifnull(${line('origin')}, 'sql') as origin,
    if(ifnull(e.joined, 1), ifnull(e.xid, e.id), null) as tx,
    if(coalesce(e.actor, e.request_id, e.tenant, e.context) is null, null, json_merge_patch(
      ${known(`'actor', e.actor, 'label', ${line('label')}, 'request', e.request_id, 'tenant', e.tenant, 'ip', ${line('ip')},
      'session', ${line('session')}, 'userAgent', ${agent}, 'reason', ${line('reason')}`)},
      ${object(line('extra'))})) as context,
    json_merge_patch(${object('e.details')}, ${known(`'role', e.role, 'application', e.application, 'address', e.address, 'about', e.about`)}) as details
  from whodunit_entry e`,

  whodunit_login_attempts: `select
    e.id, e.ref, e.at, e.action, ${detail('username')} as username, ${detail('status')} as status,
    ${who('e', 'reason', 'actor_type', 'actor_id', 'actor_label', 'ip', 'user_agent', 'session_id', 'request_id', 'tenant')}
  from whodunit_entries e where e.kind = 'login'`,

  whodunit_data_exports: `select
    e.id, e.ref, e.at, ${detail('exportType')} as export_type, ${detail('fileFormat')} as file_format,
    cast(ifnull(json_value(f.details, '$.recordCount'), ${detail('recordCount')}) as signed) as record_count,
    cast(ifnull(json_value(f.details, '$.fileSize'), ${detail('fileSize')}) as signed) as file_size,
    json_extract(e.details, '$.filters') as filters, f.at as finished_at,
    (select count(*) from whodunit_entry d where d.about = e.ref and d.action = 'DOWNLOAD') as downloads,
    (select max(d.at) from whodunit_entry d where d.about = e.ref and d.action = 'DOWNLOAD') as last_download_at,
    ${who('e', 'actor_type', 'actor_id', 'actor_label', 'ip', 'request_id', 'tenant', 'reason')}
  from whodunit_entries e
  left join whodunit_entry f on f.id = (select max(g.id) from whodunit_entry g where g.about = e.ref and g.action = 'EXPORT_FINISHED')
  where e.kind = 'export' and e.action = 'EXPORT'`,

  whodunit_system_events: `select
    e.id, e.ref, e.at, e.action as event_type, e.severity, ${detail('title')} as title, ${detail('description')} as description,
    json_extract(e.details, '$.error') as error, r.id is not null as resolved, r.at as resolved_at, r.actor as resolved_by,
    json_value(r.details, '$.note') as resolution_note,
    ${who('e', 'actor_type', 'actor_id', 'actor_label', 'ip', 'request_id', 'tenant')}
  from whodunit_entries e
  left join whodunit_entry r on r.id = (select max(s.id) from whodunit_entry s where s.about = e.ref and s.action = 'RESOLVED')
  where e.kind = 'system' and e.action <> 'RESOLVED'`,

  whodunit_requests: `select
    e.id, e.ref, e.at, e.request_id, json_value(e.context, '$.method') as method, json_value(e.context, '$.path') as path,
    ${detail('route')} as route, cast(${detail('status')} as signed) as status,
    cast(${detail('duration')} as double) as duration_ms, ifnull(${detail('aborted')} in ('1', 'true'), false) as aborted,
    ${who('e', 'actor_type', 'actor_id', 'actor_label', 'ip', 'user_agent', 'session_id', 'tenant')}
  from whodunit_entries e where e.kind = 'request'`,
}
