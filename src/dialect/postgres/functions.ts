import { agentPieces, kinds, skipMark } from '../../core/internal.ts'
import {
  connectionLines,
  contextLine,
  contextLines,
  contextParts,
  cutContext,
  joinLines,
  joinParts,
} from './context.ts'
import { migrationContext } from './migrations.ts'
import { literal } from './quote.ts'
import { secretFunctions } from './secrets.ts'
import { pinnedPath as pinned } from './settings.ts'
import { storedChanges } from './values.ts'
import { halves, monthsAhead } from './trail.ts'
import { unplannedFunctions } from './unplanned.ts'
import { letThroughFunction } from './unrecorded.ts'

/**
 * The trail's own functions. They hold no state, so every migrate replaces them when their text has changed. Those that
 * write run as the owner: nobody else has rights on the table.
 */
export const trailFunctions: readonly string[] = [
  `create or replace function whodunit.cut_context(context text) returns text
  language sql immutable ${pinned} as $$ select ${cutContext('context')} $$`,

  // One SKIPPED entry a transaction and table
  `create or replace function whodunit.capture_skip(about_model text, given text) returns void
  language plpgsql security definer ${pinned} as $$
  declare
    who text[] := ${contextParts(`whodunit.cut_context(substr(given, ${skipMark.length + 1}))`)};
    marker text := txid_current()::text || ' ' || about_model || e'\\n';
    -- local: forgotten at commit, and undone together with the entry by a rollback to a savepoint
    known text := coalesce(current_setting('whodunit.skipped', true), '');
  begin
    if position(marker in known) > 0 then return; end if;
    perform set_config('whodunit.skipped', known || marker, true);
    insert into whodunit.change (kind, action, model, actor, request_id, tenant, context)
    values ('change', 'SKIPPED', about_model, who[1], who[2], who[3], who[4]);
  end $$`,

  letThroughFunction(pinned),

  // What stands for the context where a replica writes; null where the trail itself comes by a subscription, as in an
  // upgrade of a whole database: the entry comes with the row. Asked once a transaction, since apply may write many rows
  `create or replace function whodunit.replica_context(with_address bool) returns text
  language plpgsql ${pinned} as $$
  declare
    known text := current_setting('whodunit.applied', true);
  begin
    if coalesce(known, '') = '' then
      known := case
        when not exists (select from pg_stat_get_subscription(null) w where w.pid = pg_backend_pid()) then 'by hand'
        when exists (select from pg_subscription_rel s join pg_class c on c.oid = s.srrelid where c.relnamespace = 'whodunit'::regnamespace)
          then 'with entries' else 'alone' end;
      perform set_config('whodunit.applied', known, true);
    end if;
    return case known
      when 'with entries' then null
      when 'alone' then ${contextLines({ origin: `'replication'` })}
      else case when with_address then ${connectionLines(true)} else ${connectionLines(false)} end end;
  end $$`,

  migrationContext,

  `create or replace function whodunit.require_reason(model text, given text) returns void
  language plpgsql ${pinned} as $$
  begin
    -- who replicates has nobody to ask, and would stop for good
    if coalesce(${contextLine('given', 'reason')}, '') = '' and current_setting('session_replication_role') <> 'replica' then
      raise exception 'a change of % needs a reason', model
        using errcode = 'check_violation', hint = 'AUDIT: give one by audit.withContext({ reason }) or audit.set({ reason }).';
    end if;
  end $$`,

  ...secretFunctions,
  ...unplannedFunctions,

  // The only way in for entries that no trigger wrote. A row change cannot be forged through it.
  `create or replace function whodunit.record(entries json, joined boolean) returns void
  language plpgsql security definer ${pinned} as $$
  begin
    perform txid_current(); -- before any id is taken: who follows the trail relies on that order
    if exists (select from json_to_recordset(entries) as e(kind text) where kind is null or kind not in (${kinds
      .filter((kind) => kind !== 'change')
      .map((kind) => `'${kind}'`)
      .join(', ')})) then
      raise exception 'whodunit.record takes no entries of this kind: row changes are written by triggers alone'
        using errcode = 'check_violation';
    end if;
    -- nothing may get in that readers could not read
    if exists (select from json_to_recordset(entries) as e(at timestamptz, action text, changes text, details text)
      where action is null or not isfinite(at) or extract(year from at) not between 1970 and 9999
        or json_typeof(changes::json) <> 'object' or json_typeof(details::json) <> 'object') then
      raise exception 'whodunit.record takes entries with an action, a time, and objects as changes and details'
        using errcode = 'check_violation';
    end if;
    insert into whodunit.entry (ref, at, kind, action, model, target_id, label, changes, subject, category, severity, about, details,
      actor, request_id, tenant, context, joined)
    select ref, coalesce(at, clock_timestamp()), kind, action, model, target_id, label, ${storedChanges('changes')}, subject, category, severity, about,
      details, actor, request_id, tenant, context, record.joined
    from rows from (json_to_recordset(entries) as (ref text, at timestamptz, kind text, action text, model text, target_id text,
      label text, changes text, subject text, category text, severity text, about text, details text, actor text, request_id text,
      tenant text, context text)) with ordinality as e(ref, at, kind, action, model, target_id, label, changes, subject, category,
      severity, about, details, actor, request_id, tenant, context, place)
    order by place;
  end $$`,

  // For people who write by hand: select whodunit.set_context(actor => 'user:42', reason => 'ticket 123')
  `create or replace function whodunit.set_context(actor text default '', request text default '', tenant text default '',
    label text default '', reason text default '', origin text default 'sql') returns void
  language sql ${pinned} as $$
    select set_config('whodunit.context', ${joinParts(`actor, request, tenant, ${joinLines(`label, '', '', '', reason, origin, ''`)}`)}, true)
  $$`,

  // Attached, not created in place: that would lock out every writer of the trail
  `create or replace function whodunit.prepare_months() returns int
  language plpgsql security definer ${pinned} set TimeZone = 'UTC' as $$
  declare
    half text;
    first timestamptz;
    made int := 0;
    partition text;
    taken bool;
  begin
    foreach half in array array[${halves.map((half) => `'${half}'`).join(', ')}] loop
      for first in select date_trunc('month', now()) + make_interval(months => n) from generate_series(0, ${monthsAhead}) as n loop
        partition := half || '_' || to_char(first, 'YYYY_MM');
        continue when to_regclass('whodunit.' || partition) is not null;
        execute format('select exists (select from whodunit.%I where at >= $1 and at < $1 + interval ''1 month'')', half || '_default')
          into taken using first;
        continue when taken;
        begin
          execute format('create table whodunit.%I (like whodunit.%I including defaults including constraints)', partition, half);
          execute format('alter table whodunit.%I attach partition whodunit.%I for values from (%L) to (%L)',
            half, partition, first, first + interval '1 month');
          execute format('create trigger refuse_truncate before truncate on whodunit.%I for each statement execute function whodunit.refuse_change()', partition);
          made := made + 1;
        exception when check_violation then
          null; -- entries of this month came into the default partition meanwhile, and stay there
        end;
      end loop;
    end loop;
    return made;
  end $$`,

  // The planner puts its text in place of a call
  `create or replace function whodunit.full_agent(stored text) returns text language sql immutable parallel safe
  return ${agentPieces.reduce((rest, [code, piece]) => `replace(${rest}, chr(${code.charCodeAt(0)}), ${literal(piece)})`, 'stored')}`,

  // Malformed text, set by hand, must not fail whoever reads the trail
  `create or replace function whodunit.read_json(value text) returns jsonb
  language plpgsql immutable strict ${pinned} as $$
  begin
    return case jsonb_typeof(value::jsonb) when 'object' then value::jsonb else jsonb_build_object('value', value::jsonb) end;
  exception when others then
    return jsonb_build_object('unreadable', value);
  end $$`,
]
