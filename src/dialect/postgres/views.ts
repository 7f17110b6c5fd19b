import { actorTypes } from '../../core/internal.ts'
import { contextLine } from './context.ts'
import { objectOf } from './values.ts'

const line = (which: Parameters<typeof contextLine>[1]): string => contextLine('e.context', which)
const agent = `whodunit.full_agent(${line('userAgent')})`
const types = actorTypes.map((type) => `'${type}'`).join(', ')

/** The public, stable reading of the trail for people who read with SQL (docs/sql.md). */
export const trailViews: readonly string[] = [
  `create or replace view whodunit.entries as select
    e.id, e.ref, e.at, e.kind, e.action, e.model, e.target_id, e.label as target_label,
    (${objectOf('e.changes')})::json as changes,
    case when split_part(e.actor, ':', 1) in (${types}) then split_part(e.actor, ':', 1) end as actor_type,
    case when split_part(e.actor, ':', 1) in (${types}) then nullif(substr(e.actor, position(':' in e.actor) + 1), '') else e.actor end as actor_id,
    ${line('label')} as actor_label,
    e.subject, e.tenant, e.request_id,
    ${line('ip')} as ip, ${agent} as user_agent, ${line('session')} as session_id, ${line('reason')} as reason,
    e.category, coalesce(e.severity, 'info') as severity,
    coalesce(${line('origin')}, 'sql') as origin,
    case when coalesce(e.joined, true) then e.xid end as tx,
    case when coalesce(e.actor, e.request_id, e.tenant) is not null or ${line('origin')} <> 'sql' or ${line('reason')} is not null then
      jsonb_strip_nulls(jsonb_build_object('actor', e.actor, 'label', ${line('label')}, 'request', e.request_id, 'tenant', e.tenant,
        'ip', ${line('ip')}, 'session', ${line('session')}, 'userAgent', ${agent}, 'reason', ${line('reason')}))
      || coalesce(whodunit.read_json(${line('extra')}), '{}') end as context,
    coalesce(whodunit.read_json(e.details), '{}') || jsonb_strip_nulls(jsonb_build_object(
      'role', e.role, 'about', e.about,
      'application', case when e.request_id is null and ${line('origin')} = 'sql' then ${agent} end,
      'address', case when e.request_id is null and ${line('origin')} = 'sql' then ${line('ip')} end)) as details
  from whodunit.entry e`,

  `create or replace view whodunit.login_attempts as select
    e.id, e.ref, e.at, e.action, e.details ->> 'username' as username, e.details ->> 'status' as status,
    e.reason, e.actor_type, e.actor_id, e.actor_label, e.ip, e.user_agent, e.session_id, e.request_id, e.tenant
  from whodunit.entries e where e.kind = 'login'`,

  `create or replace view whodunit.data_exports as select
    e.id, e.ref, e.at, e.details ->> 'exportType' as export_type, e.details ->> 'fileFormat' as file_format,
    coalesce((later.details ->> 'recordCount'), (e.details ->> 'recordCount'))::bigint as record_count,
    coalesce((later.details ->> 'fileSize'), (e.details ->> 'fileSize'))::bigint as file_size,
    e.details -> 'filters' as filters, later.at as finished_at, downloads.count as downloads, downloads.last_at as last_download_at,
    e.actor_type, e.actor_id, e.actor_label, e.ip, e.request_id, e.tenant, e.reason
  from whodunit.entries e
  left join lateral (select f.at, whodunit.read_json(f.details) as details from whodunit.entry f
    where f.about = e.ref and f.action = 'EXPORT_FINISHED' order by f.id desc limit 1) later on true
  left join lateral (select count(*) as count, max(d.at) as last_at from whodunit.entry d
    where d.about = e.ref and d.action = 'DOWNLOAD') downloads on true
  where e.kind = 'export' and e.action = 'EXPORT'`,

  `create or replace view whodunit.system_events as select
    e.id, e.ref, e.at, e.action as event_type, e.severity, e.details ->> 'title' as title,
    e.details ->> 'description' as description, e.details -> 'error' as error,
    done.id is not null as resolved, done.at as resolved_at, done.actor as resolved_by, done.note as resolution_note,
    e.actor_type, e.actor_id, e.actor_label, e.ip, e.request_id, e.tenant
  from whodunit.entries e
  left join lateral (select r.id, r.at, r.actor, whodunit.read_json(r.details) ->> 'note' as note from whodunit.entry r
    where r.about = e.ref and r.action = 'RESOLVED' order by r.id desc limit 1) done on true
  where e.kind = 'system' and e.action <> 'RESOLVED'`,

  `create or replace view whodunit.requests as select
    e.id, e.ref, e.at, e.request_id, e.context ->> 'method' as method, e.context ->> 'path' as path,
    e.details ->> 'route' as route, (e.details ->> 'status')::int as status,
    (e.details ->> 'duration')::float8 as duration_ms, coalesce((e.details ->> 'aborted')::boolean, false) as aborted,
    e.actor_type, e.actor_id, e.actor_label, e.ip, e.user_agent, e.session_id, e.tenant
  from whodunit.entries e where e.kind = 'request'`,
]
