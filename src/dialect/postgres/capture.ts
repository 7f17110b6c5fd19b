import type { TablePlan } from '../../capture/plan.ts'
import { skipMark } from '../../core/internal.ts'
import { connectionLines, contextParts, longestContext } from './context.ts'
import { storedKeySql } from './key.ts'
import { recogniseMigration } from './migrations.ts'
import { dollarQuote, literal, name, table } from './quote.ts'
import { pinned } from './settings.ts'
import { comparable, functionName, inBulk, triggerNames } from './triggers.ts'
import { generic, whatIsKnown } from './unplanned.ts'
import { letThrough, letThroughVariables } from './unrecorded.ts'
import {
  changedColumn,
  constants,
  differs,
  factsOf,
  joinedByCalls,
  joinedByOperators,
  keyText,
  type RowFacts,
  whereTypesHold,
  wholeRow,
} from './values.ts'

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
  action text;  -- NULL for UPDATE
  changes text;  -- a change of these columns makes an entry
${plan.columns.some(({ ignored }) => ignored) ? `  ignored text;  -- of these alone it does not\n` : ''}  target text;
  moved text;
  label text;
  subject text;
  parts text[];
  actor text;
  request text;
  tenant text;
${inBulk(plan) || plan.truncateRows ? '  present text[];\n' : ''}${letThroughVariables(plan)}begin
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
  ${requireReason(plan)}${insertOne(plan)}
  return null;
${letThrough(plan)}end`
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
  ${generic(plan, 'old', 'new')}
  ${insertMoved(plan, 'target', 'moved')}
else
  raise;
end if;
if changes is null then
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
    action: `coalesce(action, 'UPDATE')`,
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

/**
 * Takes the context apart; in place of none, it says where the connection comes from. By as few calls as can be: each
 * costs a transaction that writes one row more than any work that it does.
 */
function prepareContext(plan: TablePlan): string {
  return `${recogniseMigration(plan)}if context <> '' then
    if context like '${skipMark}%' or octet_length(context) > ${longestContext} then
      ${unusual(plan)}
    end if;
    parts := ${contextParts('context')};
    actor := parts[1];
    request := parts[2];
    tenant := parts[3];
    context := parts[4];
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
  if (!plan.reasonRequired) return ''
  const require = `perform whodunit.require_reason(${literal(plan.model)}, context);\n  `
  return plan.letsThrough ? `refused := true;\n  ${require}refused := false;\n  ` : require
}

/** A context that says to skip, or one that is too long. */
function unusual(plan: TablePlan): string {
  const skips = plan.allowSkip
    ? `perform whodunit.capture_skip(${literal(plan.model)}, context);
        return null;`
    : `context := substr(context, ${skipMark.length + 1});  -- the policy forbids to skip`
  return `if context like '${skipMark}%' then
        ${skips}
      end if;
      context := whodunit.cut_context(context);`
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
      changes: whereTypesHold(plan.columns, 'r', joinedByOperators(wholeRow(plan, side, 'r'))),
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
    const differ = differs(column, `old.${name(column.name)}`, `new.${name(column.name)}`)
    lines.push(`if ${whereTypesHold([column], 'new', differ)} then`)
    if (column.recorded) lines.push(`  ${into} := concat(${into}, ${changedColumn(plan, column)});`)
    if (isKey) lines.push(plan.key.length === 1 ? `  ${keyMoved}` : `  moved := '';`)
    lines.push('end if;')
  }
  if (plan.key.length > 1) lines.push(`if moved is not null then`, `  ${keyMoved}`, `end if;`)
  lines.push(
    `if changes is null then`,
    `  return null;`,
    `end if;`,
    ...kindOfUpdate(plan),
    ...(plan.columns.some(({ ignored }) => ignored) ? [`changes := concat(changes, ignored);`] : []),
    ...(target ? [`target := ${target};`] : []),
    ...afterwards(factsOf(plan, 'new')),
  )
  return indent(lines)
}

/** With a soft delete, updates are of three kinds, of which the policy may leave out some. */
function kindOfUpdate({ softDelete, actions }: TablePlan): string[] {
  if (!softDelete) return []
  const column = name(softDelete.name)
  const kinds = [
    [`old.${column} is null and new.${column} is not null`, 'SOFT_DELETE', actions.softDelete],
    [`old.${column} is not null and new.${column} is null`, 'RESTORE', actions.restore],
  ] as const
  return [
    ...kinds.map(
      ([condition, action, does], index) =>
        `${index > 0 ? 'els' : ''}if ${condition} then ${does ? `action := '${action}'` : 'return null'};`,
    ),
    ...(actions.update ? [] : ['else return null;']),
    'end if;',
  ]
}

function oneRow(plan: TablePlan, side: 'new' | 'old', action: string): string {
  const facts = factsOf(plan, side)
  return indent([
    `action := '${action}';`,
    ...joinedByCalls(wholeRow(plan, side, side)).map(
      (piece, index) =>
        `changes := ${index > 0 ? `changes || ${piece}` : whereTypesHold(plan.columns, side, piece)};`,
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

function indent(lines: readonly string[]): string {
  return lines.map((line) => `      ${line}`).join('\n')
}
