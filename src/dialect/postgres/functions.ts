import { agentPieces, kinds, secretWords, skipMark } from '../../core/internal.ts'
import { everySetting } from './settings.ts'
import { baseType, nestedType } from './catalogue.ts'
import {
  connectionLines,
  contextLine,
  contextLines,
  contextParts,
  cutContext,
  joinLines,
  joinParts,
} from './context.ts'
import { storedKeySql } from './key.ts'
import { migrationContext } from './migrations.ts'
import { literal } from './quote.ts'
import { storedChanges } from './values.ts'
import { halves, monthsAhead } from './trail.ts'
import { letThroughFunction } from './unrecorded.ts'

const pinned = `set search_path = pg_catalog, pg_temp`

/** The built-in secret names as they show in a text that has lost everything but letters and digits; none holds another. */
const stems = secretWords
  .map((word) => word.replaceAll(' ', ''))
  .filter((word, _, all) => !all.some((other) => other !== word && word.includes(other)))
const secretPatterns = `array[${stems.map((stem) => literal(`%${stem}%`)).join(', ')}]`

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

  `create or replace function whodunit.hash(value text) returns text
  language sql stable strict security definer ${pinned} as $$
    select encode(substr(sha256(key || sha256(key || convert_to(value, 'UTF8'))), 1, 16), 'hex') from whodunit.secret
  $$`,

  `create or replace function whodunit.is_secret(name text) returns boolean
  language plpgsql immutable strict ${pinned} as $$
  declare
    secrets text[] := array[${secretWords.map(literal).join(', ')}]::text[];
    words text[] := array_remove(regexp_split_to_array(lower(regexp_replace(name, '([a-z0-9])([A-Z])', e'\\\\1 \\\\2', 'g')), '[^a-z0-9]+'), '');
  begin
    for i in 1 .. coalesce(array_length(words, 1), 0) loop
      if words[i] = any(secrets) or (words[i] || ' ' || words[i + 1]) = any(secrets) or (words[i] || words[i + 1]) = any(secrets) then
        return true;
      end if;
    end loop;
    return false;
  end $$`,

  `create or replace function whodunit.mask_json(value jsonb, names text[]) returns jsonb
  language plpgsql immutable ${pinned} as $$
  begin
    return case jsonb_typeof(value)
      when 'object' then (
        select coalesce(jsonb_object_agg(key, case
          when (whodunit.is_secret(key) or lower(key) = any(names)) and item <> 'null' then jsonb_build_object('$', 'masked')
          else whodunit.mask_json(item, names) end), '{}')
        from jsonb_each(value) as each(key, item))
      when 'array' then (
        select coalesce(jsonb_agg(whodunit.mask_json(item, names) order by place), '[]')
        from jsonb_array_elements(value) with ordinality as each(item, place))
      else value end;
  end $$`,

  // The exact text where nothing in it is secret; masked as a whole where it cannot be read. To read it costs, so first
  // it is looked for words that could make a name secret, in whatever way it is written: separators inside of a name
  // are taken out, the usual ones by calls that cost little, others only where there are any. One pattern for all words
  // would cost ten times as much
  `create or replace function whodunit.redact_json(value text, names text[]) returns text
  language plpgsql immutable ${pinned} as $$
  declare
    other_separators text := e'(\\\\\\\\[\\\\\\\\/"bfnrt]|[^a-z0-9])+';
    squeezed text := lower(replace(replace(replace(replace(value, '_', ''), '-', ''), '.', ''), ' ', ''));
    suspicious bool;
    plain jsonb;
    masked jsonb;
  begin
    if value is null then return null; end if;
    if squeezed ~ e'\\\\\\\\|[a-z0-9][^a-z0-9"]+[a-z0-9]' then
      squeezed := regexp_replace(squeezed, other_separators, '', 'g');
    end if;
    suspicious := squeezed like any (${secretPatterns}) or position(e'\\\\u' in value) > 0;
    if cardinality(names) > 0 and not suspicious then
      suspicious := squeezed like any (select '%' || regexp_replace(lower(name), other_separators, '', 'g') || '%' from unnest(names) as name);
    end if;
    if not suspicious then return value; end if;
    -- jsonb takes neither NUL nor half a character, which json may hold
    plain := regexp_replace(value, e'(?<!\\\\\\\\)((\\\\\\\\\\\\\\\\)*)\\\\\\\\u(0000|d[89a-f][0-9a-f]{2})', e'\\\\1', 'gi')::jsonb;
    masked := whodunit.mask_json(plain, array(select lower(name) from unnest(names) as name));
    return case when masked = plain then value else masked::text end;
  exception when others then
    return '{"$":"masked"}';
  end $$`,

  // As json: what is secret in it is masked, in the form of JSON; else it is its exact text
  `create or replace function whodunit.redact_nested(value text, exact text, names text[]) returns text
  language sql immutable ${pinned} as $$
    select case when redacted = value then exact else redacted end from (select whodunit.redact_json(value, names) as redacted) as r
  $$`,

  // SQL that records rows without knowing their columns: for the time between a change of the table and migrate.
  // A column unknown to the plan may be a known one renamed: it is masked while a hidden one, or one left out, is missing.
  // present are the columns of the row itself: a transaction that began before the table changed reads its catalogue
  // as it was then, and would name columns that are no more. source gives the rows before as o, and after as n.
  `create or replace function whodunit.any_sql(relation oid, operation text, plan json, present text[], source text)
  returns text language plpgsql stable ${pinned} as $$
  declare
    known text[] := array(select json_array_elements_text(plan -> 'known'));
    hidden text[] := array(select json_array_elements_text(plan -> 'hidden'));
    dropped text[] := array(select json_array_elements_text(plan -> 'dropped'));
    ignored text[] := array(select json_array_elements_text(plan -> 'ignored'));
    secrets text[] := array(select json_array_elements_text(plan -> 'secrets'));
    nested text[] := array(select json_array_elements_text(plan -> 'nested'));
    closed bool := (plan ->> 'closed')::bool;
    renamed bool := not (hidden || dropped) <@ present;
    lost bool := not known <@ present;
    pieces text[] := '{}';
    counted text[] := '{}';
    keys text[] := '{}';
    new_keys text[] := '{}';
    side text;
    sides text[];
    whole text;
    differs text;
    c record;
  begin
    for c in
      select p.name, format('%I', p.name) as quoted, b.typname as type, k.place,
        coalesce(${nestedType}, true) as nested, p.name = any(known) as known,
        p.name = any(hidden) or not p.name = any(known)
          and (renamed or closed or whodunit.is_secret(p.name) or lower(p.name) = any(secrets)) as secret
      from unnest(present) with ordinality as p(name, place)
      left join pg_attribute a on a.attrelid = relation and a.attname = p.name and a.attnum > 0 and not a.attisdropped
      left join pg_type t on t.oid = a.atttypid left join pg_type b on b.oid = ${baseType}
      left join (
        select pg_get_indexdef(best.indexrelid, key.place::int, false) as name, key.place from (
          select i.indexrelid, i.indkey, i.indnkeyatts from pg_index i
          where i.indrelid = relation and i.indisunique and i.indisvalid and i.indpred is null and i.indexprs is null
            and (i.indisprimary or not exists (
              select from pg_attribute n where n.attrelid = relation and n.attnum = any(i.indkey) and not n.attnotnull))
          order by i.indisprimary desc, i.indisreplident desc, i.indnkeyatts, i.indexrelid limit 1
        ) best, unnest(best.indkey::int2[]) with ordinality as key(attnum, place)
        where key.place <= best.indnkeyatts) k on k.name = format('%I', p.name)
      where a.attgenerated is distinct from 'v'
      order by p.place
    loop
      if c.place is not null then
        keys[c.place] := case when c.secret and not closed then '''***''::text' else format('o.%s::text', c.quoted) end;
        new_keys[c.place] := case when c.secret and not closed then '''***''::text' else format('n.%s::text', c.quoted) end;
      end if;
      sides := '{}';
      continue when c.name = any(dropped) or (closed and not lost and not c.known);
      foreach side in array array['o', 'n'] loop
        whole := format('%s.%s::text', side, c.quoted);
        sides := sides || case
          when c.secret then format('case when %s.%s is not null then ''{"$":"masked"}''::json end', side, c.quoted)
          when c.type in ('bool', 'int2', 'int4', 'float4', 'float8') then format('%s.%s', side, c.quoted)
          else format('case ' || case when c.type is null then 'when pg_typeof(%4$s) = any (''{bool,int2,int4,float4,float8}''::regtype[]) then to_json(%4$s) ' else '' end
            || 'when octet_length(%1$s) > %2$s then json_build_object(''$'', ''cut'', ''length'', length(%1$s)) else to_json(%3$s) end',
            whole, plan ->> 'limit', case
              when c.type in ('json', 'jsonb') then format('whodunit.redact_json(%s, %L)', whole, nested)
              when c.nested then format('whodunit.redact_nested(to_json(%s.%s)::text, %s, %L)', side, c.quoted, whole, nested)
              else whole end, format('%s.%s', side, c.quoted))
          end;
      end loop;
      differs := format('row(n.%1$s)::record operator(pg_catalog.*<>) row(o.%1$s)::record', c.quoted);
      pieces := pieces || format('case when %s then %L || json_build_array(%s, %s)::text else '''' end',
        case when operation = 'UPDATE' then differs else 'true' end,
        ',' || to_json(c.name)::text || ':',
        case when operation = 'INSERT' then 'null' else sides[1] end,
        case when operation = 'DELETE' then 'null' else sides[2] end);
      if not c.name = any(ignored) then
        counted := counted || differs;
      end if;
    end loop;
    -- a key that this transaction cannot see is no key to it
    if cardinality(keys) <> cardinality(array_remove(keys, null)) then keys := '{}'; new_keys := '{}'; end if;
    return format('select case when %s then array_to_string(array[%s]::text[], '''') end, %s, nullif(%s, %s) from %s',
      case when operation = 'UPDATE' then coalesce(nullif(array_to_string(counted, ' or '), ''), 'false') else 'true' end,
      array_to_string(pieces, ','), whodunit.key_sql(keys), whodunit.key_sql(new_keys), whodunit.key_sql(keys), source);
  end $$`,

  // One row. Its columns' names are those of a row without values, since json may hold what does not parse; and it is
  // taken apart once, not for every mention of a column
  `create or replace function whodunit.capture_any(before anyelement, after anyelement, relation oid, operation text, plan json,
    out changes text, out target text, out moved text)
  language plpgsql ${pinned} ${everySetting} as $$
  declare
    present text[];
  begin
    execute 'select array(select json_object_keys(row_to_json(r))) from (select t.* from (values (1)) v left join (select ($1).* where false) t on true) r'
      using after into present;
    execute whodunit.any_sql(relation, operation, plan, present, '(select ($1).* offset 0) o, (select ($2).* offset 0) n')
      using before, after into changes, target, moved;
    target := ${storedKeySql('target')};
    moved := ${storedKeySql('moved')};
  end $$`,

  `create or replace function whodunit.key_sql(keys text[]) returns text language sql immutable ${pinned} as $$
    select case cardinality(keys) when 0 then 'null::text' when 1 then keys[1]
      else '''['' || ' || (select string_agg(format('to_json(%s)::text', key), ' || '','' || ') from unnest(keys) as key) || ' || '']''' end
  $$`,

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
