import { createHash } from 'node:crypto'
import type { TablePlan, PlannedColumn } from '../../capture/plan.ts'
import { partSeparator, secretWords, skipMark } from '../../core/internal.ts'
import { dollarQuote, literal, name, table } from './quote.ts'
import { differs, hideOr, json, keyText, shown } from './values.ts'

/** Sorts before the triggers of people, so that what they change in turn is recorded after, in order. */
export const triggerName = '!whodunit'
export const truncateTriggerName = '!whodunit_truncate'

/** The function of a table's trigger: readable in the catalogue, within the 63 bytes of a name. */
export function functionName(of: { readonly schema: string; readonly name: string }): string {
  const full = `capture ${of.schema}.${of.name}`
  if (Buffer.byteLength(full) <= 63) return full
  const hash = createHash('sha256').update(full).digest('hex').slice(0, 10)
  return `${Buffer.from(full)
    .subarray(0, 50)
    .toString()
    .replace(/\uFFFD+$/, '')} ${hash}`
}

/** Settings that would change how values print are pinned; `search_path` also keeps foreign operators out. */
const pinned = [
  ['search_path', 'pg_catalog, pg_temp'],
  ['DateStyle', "'ISO, YMD'"],
  ['IntervalStyle', "'postgres'"],
  ['TimeZone', "'UTC'"],
  ['bytea_output', "'hex'"],
  ['extra_float_digits', '1'],
  ['xmloption', "'content'"],
] as const

/** Each one costs a little with every row, so these only where a column needs them. */
const pinnedFor = [
  [/^money/, 'lc_monetary', "'C'"],
  [/^reg/, 'quote_all_identifiers', 'off'],
] as const

export function createFunction(plan: TablePlan): string {
  const settings = [
    ...pinned,
    ...pinnedFor
      .filter(([types]) => plan.columns.some(({ type }) => types.test(type)))
      .map(([, setting, value]) => [setting, value]),
  ]
  return [
    `create or replace function whodunit.${name(functionName(plan.table))}() returns trigger`,
    `language plpgsql security definer`,
    ...settings.map(([setting, value]) => `set ${setting} = ${value}`),
    `as ${dollarQuote(captureText(plan))}`,
  ].join('\n')
}

/** The body of the trigger's function. What is compared to find drift is this text. */
export function captureText(plan: TablePlan): string {
  const { actions } = plan
  const updates = actions.update || (plan.softDelete !== null && (actions.softDelete || actions.restore))
  const branches = [
    updates ? `if tg_op = 'UPDATE' then\n${update(plan)}` : `if tg_op = 'UPDATE' then\n      return null;`,
    actions.create
      ? `elsif tg_op = 'INSERT' then\n${wholeRow(plan, 'new', 'CREATE')}`
      : `elsif tg_op = 'INSERT' then\n      return null;`,
    actions.delete
      ? `elsif tg_op = 'DELETE' then\n${wholeRow(plan, 'old', 'DELETE')}`
      : `elsif tg_op = 'DELETE' then\n      return null;`,
    `end if;`,
  ]
  return `
declare
  context text := coalesce(current_setting('whodunit.context', true), '');
  action text;
  changes text := '';  -- a change of these columns makes an entry
  ignored text := '';  -- of these alone it does not
  target text;
  moved text;
  label text;
  subject text;
  rest record;
  drift bool := false;
begin
  if tg_op = 'TRUNCATE' then
    ${actions.truncate ? `perform whodunit.capture_statement('TRUNCATE', ${literal(plan.model)}, context);` : ''}
    return null;
  end if;
  if context like '${skipMark}%' then
    ${
      plan.allowSkip
        ? `perform whodunit.capture_statement('SKIPPED', ${literal(plan.model)}, context);
    return null;`
        : `context := substr(context, ${skipMark.length + 1});  -- the policy forbids to skip`
    }
  end if;
  begin
    ${branches.join('\n    ')}
  exception when others then
    drift := true;  -- a column was renamed, dropped or retyped since migrate
  end;
  if drift then
    ${driftBranch(plan)}
  end if;
  if changes = '' then
    return null;
  end if;${
    plan.reasonRequired
      ? `
  perform whodunit.require_reason(${literal(plan.model)}, context);`
      : ''
  }
  insert into whodunit.entry (kind, action, model, target_id, moved_to, label, changes, subject${constantColumns(
    plan,
  )
    .map(([column]) => `, ${column}`)
    .join('')}, actor, request_id, tenant, context, application, address)
  values ('change', action, ${literal(plan.model)}, target, moved, left(label, 200), '{' || substr(changes || ignored, 2) || '}', left(subject, 200)${constantColumns(
    plan,
  )
    .map(([, value]) => `, ${value}`)
    .join('')},
    left(nullif(split_part(context, ${separator}, 1), ''), 200), left(nullif(split_part(context, ${separator}, 2), ''), 200),
    left(nullif(split_part(context, ${separator}, 3), ''), 200), left(nullif(split_part(context, ${separator}, 4), ''), 20000),
    case when context = '' then nullif(current_setting('application_name'), '') end,
    ${plan.addresses ? `case when context = '' then inet_client_addr() end` : 'null'});
  return null;
end`
}

const separator = `e'\\x${partSeparator.charCodeAt(0).toString(16)}'`

function constantColumns(plan: TablePlan): [string, string][] {
  const columns: [string, string | null][] = [
    ['category', plan.category],
    ['severity', plan.severity],
    ['details', plan.tags.length > 0 ? JSON.stringify({ tags: plan.tags }) : null],
  ]
  return columns.flatMap(([column, value]) => (value === null ? [] : [[column, literal(value)]]))
}

function update(plan: TablePlan): string {
  const lines = ['rest := new;']
  for (const column of plan.columns) {
    if (column.virtual) continue
    const [before, after] = [`old.${name(column.name)}`, `new.${name(column.name)}`]
    if (column.recorded) {
      const into = column.ignored ? 'ignored' : 'changes'
      lines.push(
        `if ${differs(column, before, after)} then`,
        `  ${into} := ${into} || ${literal(`,${JSON.stringify(column.name)}:`)} || json_build_array(${json(plan, column, before)}, ${json(plan, column, after)})::text;`,
        `  rest.${name(column.name)} := ${before};`,
        'end if;',
      )
    } else lines.push(`rest.${name(column.name)} := ${before};`)
  }
  // a column that this text does not know has changed
  lines.push('drift := rest operator(pg_catalog.*<>) old;')
  lines.push(
    `if changes <> '' then`,
    `  action := ${actionOfUpdate(plan)};`,
    ...notRecorded(plan),
    ...rowFacts(plan, 'old', 'new').map((line) => `  ${line}`),
    'end if;',
  )
  return indent(lines)
}

function actionOfUpdate({ softDelete }: TablePlan): string {
  if (!softDelete) return `'UPDATE'`
  const column = name(softDelete.name)
  return `case when old.${column} is null and new.${column} is not null then 'SOFT_DELETE' when old.${column} is not null and new.${column} is null then 'RESTORE' else 'UPDATE' end`
}

/** Of updates, which with a soft delete are of three kinds, the policy may leave out some. */
function notRecorded({ softDelete, actions }: TablePlan): string[] {
  if (!softDelete) return []
  const left = Object.entries({
    UPDATE: actions.update,
    SOFT_DELETE: actions.softDelete,
    RESTORE: actions.restore,
  })
    .filter(([, does]) => !does)
    .map(([action]) => literal(action))
  return left.length > 0 ? [`  if action in (${left.join(', ')}) then return null; end if;`] : []
}

/** Columns a single expression joins at most: the server's stack bounds how deep one may be. */
const chunk = 60

function wholeRow(plan: TablePlan, row: 'new' | 'old', action: string): string {
  const lines = [`action := '${action}';`, `rest := ${row};`]
  const recorded = plan.columns.filter((column) => column.recorded)
  for (let start = 0; start < recorded.length; start += chunk) {
    const parts = recorded.slice(start, start + chunk).map((column) => {
      const key = literal(`,${JSON.stringify(column.name)}:[${row === 'new' ? 'null,' : ''}`)
      const value = `coalesce(to_json(${json(plan, column, `${row}.${name(column.name)}`)})::text, 'null')`
      return `${key} || ${value} || ${row === 'new' ? `']'` : `',null]'`}`
    })
    lines.push(`changes := changes || ${parts.join(' || ')};`)
  }
  const domains = plan.columns.filter((column) => column.domain && !column.virtual)
  for (const column of plan.columns) {
    if (!column.virtual && !column.domain) lines.push(`rest.${name(column.name)} := null;`)
  }
  // a domain may refuse NULL, so its columns stay, and what else is there is looked for
  lines.push(
    domains.length === 0
      ? 'drift := not (rest is null);'
      : `drift := (json_strip_nulls(row_to_json(rest))::jsonb - array[${domains.map((column) => literal(column.name)).join(', ')}]) <> '{}';`,
    ...rowFacts(plan, row, row),
  )
  return indent(lines)
}

function rowFacts(plan: TablePlan, before: 'new' | 'old', after: 'new' | 'old'): string[] {
  const lines = []
  if (plan.key.length > 0) {
    lines.push(`target := ${keyText(plan, before)};`)
    if (before !== after) lines.push(`moved := nullif(${keyText(plan, after)}, target);`)
  }
  if (plan.label.length > 0) {
    const pieces = plan.label.map((piece) =>
      typeof piece === 'string' ? literal(piece) : shown(piece, after),
    )
    lines.push(`label := concat(${pieces.join(', ')});`)
  }
  if (plan.subject)
    lines.push(`subject := ${hideOr(plan.subject, after, `${after}.${name(plan.subject.name)}::text`)};`)
  return lines
}

function driftBranch(plan: TablePlan): string {
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
  const sql = `whodunit.generic_capture(tg_relid, tg_op, ${literal(JSON.stringify(known))})`
  return `action := case tg_op when 'INSERT' then 'CREATE' else tg_op end;
    ignored := '';
    if tg_op = 'INSERT' then
      execute ${sql} using new, new into changes, target, moved;
    elsif tg_op = 'DELETE' then
      execute ${sql} using old, old into changes, target, moved;
    else
      execute ${sql} using old, new into changes, target, moved;
    end if;`
}

function indent(lines: readonly string[]): string {
  return lines.map((line) => `      ${line}`).join('\n')
}

export function createTriggers(plan: TablePlan): readonly string[] {
  const on = table(plan.table)
  const call = `execute function whodunit.${name(functionName(plan.table))}()`
  return [
    `create or replace trigger ${name(triggerName)} after insert or update or delete on ${on} for each row ${call}`,
    `create or replace trigger ${name(truncateTriggerName)} after truncate on ${on} for each statement ${call}`,
  ]
}

export function dropCapture(of: { readonly schema: string; readonly name: string }): readonly string[] {
  return [triggerName, truncateTriggerName].map(
    (trigger) => `drop trigger if exists ${name(trigger)} on ${table(of)}`,
  )
}

/** Removes the functions that no trigger calls any more. */
export const sweep = `do $$ declare unused regprocedure; begin
  for unused in select p.oid from pg_proc p where p.pronamespace = 'whodunit'::regnamespace and p.proname like 'capture %'
    and not exists (select from pg_trigger t where t.tgfoid = p.oid)
  loop execute format('drop function %s', unused); end loop; end $$`

/** The built-in secret names as they show in a text that has lost everything but letters and digits. */
export const secretPattern: string = literal(secretWords.map((word) => word.replaceAll(' ', '')).join('|'))

/** For the trail's own functions: the built-in secret names as a list. */
export const secretWordList: string = `array[${secretWords.map(literal).join(', ')}]::text[]`
