import type { PlannedColumn, TablePlan } from '../../capture/plan.ts'
import { baseType, nestedType } from './catalogue.ts'
import { storedKeySql } from './key.ts'
import { literal } from './quote.ts'
import { everySetting, pinnedPath as pinned } from './settings.ts'

/** Records a row without knowing its columns. */
export function generic(plan: TablePlan, before: string, after: string): string {
  return `select c.changes, c.target, c.moved into changes, target, moved
      from whodunit.capture_any(${before}, ${after}, tg_relid, tg_op, ${whatIsKnown(plan)}) as c;`
}

/** The plan, as far as it holds for columns that it does not know. */
export function whatIsKnown(plan: TablePlan): string {
  const names = (which: (column: PlannedColumn) => boolean): string[] =>
    plan.columns.filter(which).map((column) => column.name)
  const known = {
    known: names(() => true),
    hidden: names((column) => column.redaction !== 'keep'),
    dropped: names((column) => !column.recorded),
    ignored: names((column) => column.ignored),
    secrets: plan.secretColumns,
    nested: plan.nestedSecrets,
    closed: plan.closed,
    limit: plan.maxValueBytes,
  }
  return literal(JSON.stringify(known))
}

/** The functions that record a row by looking at it instead of the plan. */
export const unplannedFunctions: readonly string[] = [
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
]
