import type { PlannedColumn, TablePlan } from '../../capture/plan.ts'
import { skipMark } from '../../core/internal.ts'
import { connectionLines, contextPart } from './context.ts'
import { storedKeySql } from './key.ts'
import { recogniseMigration } from './migrations.ts'
import { dollarQuote, literal, name, table } from './quote.ts'
import { pinned } from './settings.ts'
import { comparable, functionName, inBulk, triggerNames } from './triggers.ts'
import { changedColumn, constants, differs, factsOf, keyText, type RowFacts, wholeRow } from './values.ts'

export function captureText(plan: TablePlan): string {
  return comparable(functionBody(plan), triggerNames(plan))
}

export function createFunction(plan: TablePlan): string {
  return [
    `create or replace function whodunit.${name(functionName(plan.table))}() returns trigger`,
    `language plpgsql security definer`,
    // where many rows share the cost, for any column that may be added
    ...pinned(plan, inBulk(plan) || plan.truncateRows),
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
  return `${recogniseMigration(plan)}if context <> '' then
    if context like '${skipMark}%' then
      ${skipped(plan)}
    end if;
    actor := ${contextPart('context', 1)};
    request := ${contextPart('context', 2)};
    tenant := ${contextPart('context', 3)};
    context := ${contextPart('context', 4)};
  elsif current_setting('session_replication_role') = 'replica' then
    context := whodunit.replica_context(${plan.addresses});
    if context is null then
      return null;  -- the entry comes with the row
    end if;
  else
    context := ${connectionLines(plan.addresses)};
  end if;`
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
      ...(label ? { label } : {}),
      changes: `${wholeRow(plan, side, 'r').join(' || ')} || '}'`,
      ...(subject ? { subject } : {}),
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

/** Label and subject, which are those of the row as it is now. */
function afterwards({ label, subject }: RowFacts): string[] {
  return [...(label ? [`label := ${label};`] : []), ...(subject ? [`subject := ${subject};`] : [])]
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
