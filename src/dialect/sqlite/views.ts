import { actorTypes, agentPieces } from '../../core/internal.ts'
import { contextLine } from './lines.ts'

const line = (which: Parameters<typeof contextLine>[1]): string => contextLine('e.context', which)
const agent = agentPieces.reduce(
  (rest, [code, piece]) => `replace(${rest}, char(${code.charCodeAt(0)}), '${piece}')`,
  line('userAgent'),
)
const types = actorTypes.map((type) => `'${type}'`).join(', ')
const type = `substr(e.actor, 1, instr(e.actor, ':') - 1)`
const iso = (millis: string): string => `strftime('%Y-%m-%dT%H:%M:%fZ', ${millis} / 1000.0, 'unixepoch')`

/** Malformed text, set by hand, must not fail whoever reads the trail. */
function readJson(text: string): string {
  return `case when ${text} is null then '{}' when not json_valid(${text}) then json_object('unreadable', cast(${text} as text)) when json_type(${text}) = 'object' then ${text} else json_object('value', json(${text})) end`
}

const who = 'e.actor_type, e.actor_id, e.actor_label'
const later = (column: string, action: string): string =>
  `(select ${column} from whodunit_entry f where f.about = e.ref and f.action = '${action}' order by f.id desc limit 1)`

/** The public, stable reading of the trail for people who read with SQL (docs/sql.md). `json_patch` leaves out nulls. */
const views: readonly string[] = [
  `create view whodunit_entries as select
    e.id, e.ref, ${iso('e.at')} as at, e.kind, e.action, e.model, e.target_id, e.label as target_label, e.changes,
    case when ${type} in (${types}) then ${type} end as actor_type,
    case when ${type} in (${types}) then nullif(substr(e.actor, instr(e.actor, ':') + 1), '') else e.actor end as actor_id,
    ${line('label')} as actor_label,
    e.subject, e.tenant, e.request_id,
    ${line('ip')} as ip, ${agent} as user_agent, ${line('session')} as session_id, ${line('reason')} as reason,
    e.category, coalesce(e.severity, 'info') as severity,
    coalesce(${line('origin')}, 'sql') as origin,
    case when coalesce(e.joined, 1) then e.tx end as tx,
    case when coalesce(e.actor, e.request_id, e.tenant, e.context) is not null then
      json_patch(${readJson(line('extra'))}, json_object('actor', cast(e.actor as text), 'label', ${line('label')},
        'request', cast(e.request_id as text), 'tenant', cast(e.tenant as text), 'ip', ${line('ip')}, 'session', ${line('session')},
        'userAgent', ${agent}, 'reason', ${line('reason')})) end as context,
    json_patch(${readJson('e.details')}, json_object('about', cast(e.about as text))) as details
  from whodunit_entry e`,

  `create view whodunit_login_attempts as select
    e.id, e.ref, e.at, e.action, json_extract(e.details, '$.username') as username, json_extract(e.details, '$.status') as status,
    e.reason, ${who}, e.ip, e.user_agent, e.session_id, e.request_id, e.tenant
  from whodunit_entries e where e.kind = 'login'`,

  `create view whodunit_data_exports as select
    e.id, e.ref, e.at, json_extract(e.details, '$.exportType') as export_type, json_extract(e.details, '$.fileFormat') as file_format,
    coalesce(json_extract(e.finished, '$.recordCount'), json_extract(e.details, '$.recordCount')) as record_count,
    coalesce(json_extract(e.finished, '$.fileSize'), json_extract(e.details, '$.fileSize')) as file_size,
    json_extract(e.details, '$.filters') as filters, ${iso('e.finished_at')} as finished_at,
    (select count(*) from whodunit_entry f where f.about = e.ref and f.action = 'DOWNLOAD') as downloads,
    (select ${iso('max(f.at)')} from whodunit_entry f where f.about = e.ref and f.action = 'DOWNLOAD') as last_download_at,
    ${who}, e.ip, e.request_id, e.tenant, e.reason
  from (select e.*, ${later(readJson('f.details'), 'EXPORT_FINISHED')} as finished, ${later('f.at', 'EXPORT_FINISHED')} as finished_at
    from whodunit_entries e where e.kind = 'export' and e.action = 'EXPORT') e`,

  `create view whodunit_system_events as select
    e.id, e.ref, e.at, e.action as event_type, e.severity, json_extract(e.details, '$.title') as title,
    json_extract(e.details, '$.description') as description, json_extract(e.details, '$.error') as error,
    ${later('f.id', 'RESOLVED')} is not null as resolved, ${later(iso('f.at'), 'RESOLVED')} as resolved_at,
    ${later('f.actor', 'RESOLVED')} as resolved_by, ${later(`json_extract(${readJson('f.details')}, '$.note')`, 'RESOLVED')} as resolution_note,
    ${who}, e.ip, e.request_id, e.tenant
  from whodunit_entries e where e.kind = 'system' and e.action <> 'RESOLVED'`,

  `create view whodunit_requests as select
    e.id, e.ref, e.at, e.request_id, json_extract(e.context, '$.method') as method, json_extract(e.context, '$.path') as path,
    json_extract(e.details, '$.route') as route, json_extract(e.details, '$.status') as status,
    json_extract(e.details, '$.duration') as duration_ms, coalesce(json_extract(e.details, '$.aborted'), 0) as aborted,
    ${who}, e.user_agent, e.ip, e.session_id, e.tenant
  from whodunit_entries e where e.kind = 'request'`,
]

/** On one line: drizzle-kit breaks off at a view that has more. */
export const trailViews: readonly string[] = views.map((view) => view.replace(/\s+/g, ' '))
