import { createHash } from 'node:crypto'
import type { PlannedColumn, TablePlan } from '../../capture/plan.ts'
import { skipMark } from '../../core/internal.ts'
import { connectionLines, contextPart } from './context.ts'
import { storedKeySql } from './key.ts'
import { dollarQuote, literal, name, table } from './quote.ts'
import { changedColumn, differs, hideOr, keyText, shown, wholeRow } from './values.ts'

/** Sorts before the triggers of people, so that what they change in turn is recorded after, in order. */
export const triggerName = '!whodunit'
export const truncateTriggerName: string = `${triggerName}_truncate`

/** A trigger of a table: its name, and when it fires. */
interface Trigger {
  readonly name: string
  readonly fires: string
}

/** The triggers that capture a table. All of them call its one function. */
function triggersOf(plan: TablePlan): readonly Trigger[] {
  const truncate = plan.truncateRows ? 'before' : 'after'
  const statement = (event: string, rows: string): Trigger => ({
    name: `${triggerName}_${event}`,
    fires: `after ${event} on ${table(plan.table)} referencing ${rows} for each statement`,
  })
  return [
    {
      name: triggerName,
      fires: `after ${inBulk(plan) ? 'update' : 'insert or update or delete'} on ${table(plan.table)} for each row`,
    },
    ...(inBulk(plan)
      ? [statement('delete', 'old table as gone'), statement('insert', 'new table as added')]
      : []),
    ...(plan.table.hidesTruncate
      ? []
      : [
          {
            name: truncateTriggerName,
            fires: `${truncate} truncate on ${table(plan.table)} for each statement`,
          },
        ]),
  ]
}

/** Why a table is not captured by statement though the policy asks for it. */
export function whyNotInBulk(plan: TablePlan): string | undefined {
  return plan.reasonRequired ? 'each change needs a reason' : plan.table.notInBulk
}

function inBulk(plan: TablePlan): boolean {
  return plan.bulk && !whyNotInBulk(plan)
}

/** What tells one capture from another: the text of the function, and the triggers that call it. */
export function comparable(body: string, triggers: readonly string[]): string {
  return `${body}\n-- ${triggers.toSorted().join(', ')}`
}

export function captureText(plan: TablePlan): string {
  return comparable(
    functionBody(plan),
    triggersOf(plan).map((trigger) => trigger.name),
  )
}

/** The function of a table's trigger: readable in the catalogue, within the 63 bytes of a name. */
function functionName(of: { readonly schema: string; readonly name: string }): string {
  const full = `capture ${of.schema}.${of.name}`
  if (Buffer.byteLength(full) <= 63) return full
  const hash = createHash('sha256').update(full).digest('hex').slice(0, 10)
  return `${Buffer.from(full)
    .subarray(0, 50)
    .toString()
    .replace(/\uFFFD+$/, '')} ${hash}`
}

/** Settings that change how values print, and the types whose values they change. Each costs a little with every row. */
const settings: readonly (readonly [types: RegExp, setting: string, value: string])[] = [
  [/^(date|timestamp)/, 'DateStyle', "'ISO, YMD'"],
  [/^(timestamp|time) .*with time zone/, 'TimeZone', "'UTC'"],
  [/^interval/, 'IntervalStyle', "'postgres'"],
  [/^bytea/, 'bytea_output', "'hex'"],
  [/^(real|double precision)/, 'extra_float_digits', '1'],
  [/^xml/, 'xmloption', "'content'"],
  [/^money/, 'lc_monetary', "'C'"],
  [/^reg/, 'quote_all_identifiers', 'off'],
]

/** Of values that may be made of anything, every setting but the rare ones. */
const inDoubt = 6

/** All that decide how any value prints, for the functions that do not know beforehand which there will be. */
export const everySetting: string = settings
  .map(([, setting, value]) => `set ${setting} = ${value}`)
  .join(' ')

/** The settings that the columns of a table need. `search_path` keeps foreign operators and functions out. */
function pinned(plan: TablePlan): string[] {
  const unsettled = plan.columns.filter(({ settled, virtual }) => !settled && !virtual)
  const known = ({ type }: PlannedColumn): boolean =>
    settings.some(([types]) => types.test(type)) && !type.endsWith('[]')
  // where many rows share the cost, for any column that may be added
  const all = inBulk(plan) || plan.truncateRows
  const needed = settings.filter(
    ([types], index) =>
      all ||
      unsettled.some(({ type }) => types.test(type)) ||
      (index < inDoubt && unsettled.some((column) => !known(column))),
  )
  return [
    ['search_path', 'pg_catalog, pg_temp'],
    ...needed.map(([, setting, value]) => [setting, value]),
  ].map(([setting, value]) => `set ${setting} = ${value}`)
}

export function createFunction(plan: TablePlan): string {
  return [
    `create or replace function whodunit.${name(functionName(plan.table))}() returns trigger`,
    `language plpgsql security definer`,
    ...pinned(plan),
    `as ${dollarQuote(functionBody(plan))}`,
  ].join('\n')
}

/**
 * The body of the trigger's function. All values are put into variables first, for what stands in an INSERT is prepared
 * anew each time; and there are few expressions, for each is prepared anew in each transaction, and most write one row.
 */
function functionBody(plan: TablePlan): string {
  const { actions } = plan
  const updates = actions.update || (plan.softDelete !== null && (actions.softDelete || actions.restore))
  const nothing = '      return null;'
  const statement = inBulk(plan)
  return `
declare
  context text := current_setting('whodunit.context', true);
  action text;
  changes text := '';  -- a JSON object, not yet closed; a change of these columns makes an entry
${plan.columns.some(({ ignored }) => ignored) ? `  ignored text := '';  -- of these alone it does not\n` : ''}  target text;
  moved text;
  label text;
  subject text;
  actor text;
  request text;
  tenant text;
${inBulk(plan) || plan.truncateRows ? '  present text[];\n' : ''}begin
  ${prepareContext(plan)}
  begin
    if ${unknownColumn(plan)} then
      raise exception 'a column was added since migrate';
    elsif tg_op = 'UPDATE' then
${updates ? update(plan) : nothing}
    elsif tg_op = 'INSERT' then
${actions.create ? (statement ? wholeTable(plan, 'new', 'CREATE', 'added') : oneRow(plan, 'new', 'CREATE')) : nothing}
    elsif tg_op = 'DELETE' then
${actions.delete ? (statement ? wholeTable(plan, 'old', 'DELETE', 'gone') : oneRow(plan, 'old', 'DELETE')) : nothing}
    else
${actions.truncate ? truncated(plan) : nothing}
    end if;
  exception when others then  -- a column was added, renamed, dropped or retyped
${indent(unplanned(plan).split('\n'))}
  end;
  ${requireReason(plan)}changes := changes || '}';
  ${insertOne(plan)}
  return null;
end`
}

/** Records a row, or each row of a statement, without knowing its columns. */
function unplanned(plan: TablePlan): string {
  const row = `if tg_op = 'INSERT' then
  action := 'CREATE';
  ${generic(plan, 'new', 'new')}
elsif tg_op = 'DELETE' then
  action := 'DELETE';
  ${generic(plan, 'old', 'old')}
elsif tg_op = 'UPDATE' then
  action := 'UPDATE';
  ${generic(plan, 'old', 'new')}
  ${insertMoved(plan, 'target', 'moved')}
else
  raise;
end if;
if changes = '' then
  return null;
end if;`
  // one record would have no type that its columns could be found by, so the rows are looked at where they are
  const each = (
    action: string,
    rows: string,
  ): string => `  select array(select json_object_keys(row_to_json(r))) into present
    from (select t.* from (values (1)) v left join (select * from ${rows} where false) t on true) r;
  action := '${action}';
  for changes, target in execute whodunit.any_sql(tg_relid, '${action === 'CREATE' ? 'INSERT' : 'DELETE'}', ${whatIsKnown(plan)}, present,
    ${literal(`(select * from ${rows} offset 0) o cross join lateral (select o.*) n`)})
  loop
    changes := changes || '}';
    target := ${storedKeySql('target')};
    ${insertOne(plan)}
  end loop;
  return null;`
  const sets = [
    ...(inBulk(plan) ? [['INSERT', 'CREATE', 'added'] as const, ['DELETE', 'DELETE', 'gone'] as const] : []),
    ...(plan.truncateRows ? [['TRUNCATE', 'DELETE', table(plan.table)] as const] : []),
  ]
  return [
    ...sets.map(
      ([event, action, rows]) => `if tg_op = '${event}' then
${event === 'TRUNCATE' ? insertTruncate(plan) : ''}${each(action, rows)}
end if;`,
    ),
    ...(plan.truncateRows ? [] : [`if tg_op = 'TRUNCATE' then ${insertTruncate(plan)} return null; end if;`]),
    row,
  ].join('\n')
}

/** One row with values that stand in variables. */
function insertOne(plan: TablePlan): string {
  return insertEntry({
    action: 'action',
    model: literal(plan.model),
    ...(plan.key.length > 0 ? { target_id: 'target' } : {}),
    ...(plan.label.length > 0 ? { label: 'label' } : {}),
    changes: 'changes',
    ...(plan.subject ? { subject: 'subject' } : {}),
    ...constants(plan),
  })
}

function insertTruncate(plan: TablePlan): string {
  return plan.actions.truncate
    ? insertEntry({ action: `'TRUNCATE'`, model: literal(plan.model), ...constants(plan) })
    : ''
}

/** Where a table is given, one entry for each of its rows. */
function insertEntry(given: Readonly<Record<string, string>>, from?: string): string {
  const values = { kind: `'change'`, ...given, ...stored }
  const list = Object.values(values).join(', ')
  return `insert into whodunit.change (${Object.keys(values).join(', ')})
  ${from ? `select ${list} from ${from}` : `values (${list})`};`
}

/** Remembers that a key has become another, which is rare, so that a history goes on. */
function insertMoved(plan: TablePlan, from: string, to: string): string {
  if (plan.key.length === 0) return ''
  return `insert into whodunit.moved (model, from_id, to_id)
    select ${literal(plan.model)}, k.f, k.t from (select ${from} as f, ${to} as t) k where k.f <> k.t;`
}

/** The columns of the context, as {@link prepareContext} leaves their values. */
const stored = { actor: 'actor', request_id: 'request', tenant: 'tenant', context: 'context' }

/** Takes the context apart; in place of none, it says where the connection comes from. */
function prepareContext(plan: TablePlan): string {
  return `if context <> '' then
    if context like '${skipMark}%' then
      ${skipped(plan)}
    end if;
    actor := ${contextPart('context', 1)};
    request := ${contextPart('context', 2)};
    tenant := ${contextPart('context', 3)};
    context := ${contextPart('context', 4)};
  else
    context := ${connectionLines(plan.addresses)};
  end if;`
}

function constants(plan: TablePlan): Record<string, string> {
  const columns = {
    category: plan.category,
    severity: plan.severity,
    details: plan.tags.length > 0 ? JSON.stringify({ tags: plan.tags }) : null,
  }
  return Object.fromEntries(
    Object.entries(columns).flatMap(([column, value]) => (value === null ? [] : [[column, literal(value)]])),
  )
}

function requireReason(plan: TablePlan): string {
  return plan.reasonRequired ? `perform whodunit.require_reason(${literal(plan.model)}, context);\n  ` : ''
}

function skipped(plan: TablePlan): string {
  if (!plan.allowSkip)
    return `context := substr(context, ${skipMark.length + 1});  -- the policy forbids to skip`
  return `perform whodunit.capture_skip(${literal(plan.model)}, context);
      return null;`
}

function truncated(plan: TablePlan): string {
  const rows = plan.truncateRows ? `${wholeTable(plan, 'old', 'DELETE', table(plan.table))}\n` : ''
  return indent([insertTruncate(plan), ...(rows ? rows.trim().split('\n') : ['return null;'])])
}

/** One statement for all rows of a table or of a transition table. */
function wholeTable(plan: TablePlan, side: 'new' | 'old', action: string, from: string): string {
  const { target, label, subject } = factsOf(plan, 'r')
  const entry = insertEntry(
    {
      action: `'${action}'`,
      model: literal(plan.model),
      ...(target ? { target_id: target } : {}),
      ...(label ? { label: `left(${label}, 200)` } : {}),
      changes: `${wholeRow(plan, side, 'r').join(' || ')} || '}'`,
      ...(subject ? { subject: `left(${subject}, 200)` } : {}),
      ...constants(plan),
    },
    `${from} r`,
  )
  return indent([entry, 'return null;'])
}

/**
 * Whether the table has a column that this text does not know. Numbers of columns are never given twice, so the next one
 * exists once a column was added; the look costs less than any comparison of rows.
 */
function unknownColumn({ table: of }: TablePlan): string {
  const relation = of.partitioned ? 'pg_partition_root(tg_relid)' : 'tg_relid'
  return `has_column_privilege(${relation}, ${(of.lastColumn ?? 0) + 1}::smallint, 'select') is not null`
}

function update(plan: TablePlan): string {
  const { target } = factsOf(plan, 'old')
  const keyMoved = insertMoved(plan, keyText(plan, 'old'), keyText(plan, 'new'))
  const lines = []
  for (const column of plan.columns) {
    const isKey = plan.key.some((key) => key.name === column.name)
    if (column.virtual || !(column.recorded || isKey)) continue
    const into = column.ignored ? 'ignored' : 'changes'
    lines.push(`if ${differs(column, `old.${name(column.name)}`, `new.${name(column.name)}`)} then`)
    if (column.recorded)
      lines.push(
        `  ${into} := ${into} || case when ${into} = '' then '{' else ',' end || ${changedColumn(plan, column)};`,
      )
    if (isKey) lines.push(plan.key.length === 1 ? `  ${keyMoved}` : `  moved := '';`)
    lines.push('end if;')
  }
  if (plan.key.length > 1) lines.push(`if moved is not null then`, `  ${keyMoved}`, `end if;`)
  lines.push(
    `if changes = '' then`,
    `  return null;`,
    `end if;`,
    `action := ${actionOfUpdate(plan)};`,
    ...notRecorded(plan),
    ...(plan.columns.some(({ ignored }) => ignored)
      ? [`changes := changes || coalesce(',' || nullif(substr(ignored, 2), ''), '');`]
      : []),
    ...(target ? [`target := ${target};`] : []),
    ...afterwards(factsOf(plan, 'new')),
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
  return left.length > 0 ? [`if action in (${left.join(', ')}) then return null; end if;`] : []
}

function oneRow(plan: TablePlan, side: 'new' | 'old', action: string): string {
  const facts = factsOf(plan, side)
  return indent([
    `action := '${action}';`,
    ...wholeRow(plan, side, side).map(
      (piece, index) => `changes := ${index > 0 ? 'changes || ' : ''}${piece};`,
    ),
    ...(plan.columns.some(({ recorded }) => recorded) ? [] : ['return null;']),
    ...(facts.target ? [`target := ${facts.target};`] : []),
    ...afterwards(facts),
  ])
}

/** What an entry says of a row beside its values, as expressions. */
interface RowFacts {
  readonly target?: string
  readonly label?: string
  readonly subject?: string
}

function factsOf(plan: TablePlan, row: string): RowFacts {
  const { key, label, subject } = plan
  const pieces = label.map((piece) => (typeof piece === 'string' ? literal(piece) : shown(piece, row)))
  return {
    ...(key.length > 0 ? { target: keyText(plan, row) } : {}),
    ...(label.length > 0 ? { label: `concat(${pieces.join(', ')})` } : {}),
    ...(subject ? { subject: hideOr(subject, row, `${row}.${name(subject.name)}::text`) } : {}),
  }
}

/** Label and subject, which are those of the row as it is now. */
function afterwards({ label, subject }: RowFacts): string[] {
  return [
    ...(label ? [`label := left(${label}, 200);`] : []),
    ...(subject ? [`subject := left(${subject}, 200);`] : []),
  ]
}

/** Records a row without knowing its columns. */
function generic(plan: TablePlan, before: string, after: string): string {
  return `select c.changes, c.target, c.moved into changes, target, moved
      from whodunit.capture_any(${before}, ${after}, tg_relid, tg_op, ${whatIsKnown(plan)}) as c;`
}

/** The plan, as far as it holds for columns that it does not know. */
function whatIsKnown(plan: TablePlan): string {
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

function indent(lines: readonly string[]): string {
  return lines.map((line) => `      ${line}`).join('\n')
}

/** The triggers of a table as planned, and none else of ours. */
export function createTriggers(plan: TablePlan): readonly string[] {
  const call = `execute function whodunit.${name(functionName(plan.table))}()`
  const planned = triggersOf(plan)
  const left = installedTriggers(plan).filter((old) => !planned.some((trigger) => trigger.name === old))
  return [
    ...left.map((trigger) => `drop trigger ${name(trigger)} on ${table(plan.table)}`),
    ...planned.map((trigger) => `create or replace trigger ${name(trigger.name)} ${trigger.fires} ${call}`),
  ]
}

function installedTriggers({ table: { installed } }: TablePlan): string[] {
  return installed ? installed.text.slice(installed.text.lastIndexOf('\n-- ') + 4).split(', ') : []
}

/** To record the rows that a TRUNCATE removes, the owner of the trail has to read them. */
export function grantRows({ truncateRows, table: of }: TablePlan): readonly string[] {
  if (!truncateRows) return []
  const grants = `grant usage on schema ${name(of.schema)} to whodunit_owner; grant select on ${table(of)} to whodunit_owner;`
  const block = `begin if exists (select from pg_roles where rolname = 'whodunit_owner') then ${grants} end if; end`
  return [`do ${dollarQuote(block)}`]
}

/** Whether the triggers that stand are those that are planned, so that to replace the function is enough. */
export function hasTriggers(plan: TablePlan): boolean {
  const planned = triggersOf(plan).map((trigger) => trigger.name)
  return (
    plan.table.installed?.name === functionName(plan.table) &&
    installedTriggers(plan).join() === planned.toSorted().join()
  )
}

export function enableTriggers(plan: TablePlan): readonly string[] {
  return triggersOf(plan).map(
    (trigger) => `alter table ${table(plan.table)} enable trigger ${name(trigger.name)}`,
  )
}

const everyTrigger = ['', '_delete', '_insert', '_truncate'].map((event) => triggerName + event)

export function dropCapture(of: { readonly schema: string; readonly name: string }): readonly string[] {
  return everyTrigger.map((trigger) => `drop trigger if exists ${name(trigger)} on ${table(of)}`)
}

/** Removes the functions that no trigger calls any more. */
export const sweep = `do $$ declare unused regprocedure; begin
  for unused in select p.oid from pg_proc p where p.pronamespace = 'whodunit'::regnamespace and p.proname like 'capture %'
    and not exists (select from pg_trigger t where t.tgfoid = p.oid)
  loop execute format('drop function %s', unused); end loop; end $$`
