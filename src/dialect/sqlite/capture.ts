import type { CatalogueTable, UniqueKey } from '../../capture/catalogue.ts'
import type { PlannedColumn, TablePlan } from '../../capture/plan.ts'
import type { ContextSource } from './context.ts'
import { contextLine } from './lines.ts'
import type { Captured } from '../dialect.ts'
import { literal, name } from './quote.ts'
import { differs, encoded, keyText, listed, of, plainText, type Row } from './values.ts'

/** The events of a table, each with a trigger of its own. */
const events = ['replace', 'overwrite', 'insert', 'update', 'delete'] as const
type Event = (typeof events)[number]

export const triggerPrefix = '!whodunit '

/** Triggers share one space of names, and keep theirs when their table is renamed. */
function triggerName(table: Captured & Pick<CatalogueTable, 'capture'>, event: Event): string {
  return `${triggerPrefix}${event} ${table.capture ?? table.installed?.name ?? table.name}`
}

/** The triggers of a table, letter by letter as SQLite keeps their text. */
export function createTriggers(plan: TablePlan, source: ContextSource): readonly string[] {
  const { actions, table } = plan
  if (!plan.columns.some((column) => column.recorded)) return []
  const made: string[] = []
  const make = (event: Event, moment: string, body: readonly string[], when?: string): void => {
    const head = `CREATE TRIGGER ${name(triggerName(table, event))} ${moment} on ${name(table.name)}`
    made.push(`${head}${when ? ` when ${when}` : ''} begin\n${body.map((sql) => `  ${sql};\n`).join('')}end`)
  }
  if (actions.delete && table.unique) {
    const keys = table.unique.keys
    const columns = [...new Set(keys.flat().map((column) => name(column.name)))]
    make('replace', 'before insert', replaced(plan, source, keys), conflicts(plan, keys))
    const updating = `before update of ${columns.join(', ')}`
    make('overwrite', updating, replaced(plan, source, keys, true), conflicts(plan, keys, true))
  }
  if (actions.create) make('insert', 'after insert', captured(plan, source, wholeRow(plan, 'new', 'CREATE')))
  const updates = actions.update || (plan.softDelete && (actions.softDelete || actions.restore))
  if (updates && counted(plan) !== '')
    make('update', 'after update', captured(plan, source, update(plan)), counted(plan))
  if (actions.delete) make('delete', 'after delete', captured(plan, source, wholeRow(plan, 'old', 'DELETE')))
  return made
}

export function dropTriggers(table: Captured & Pick<CatalogueTable, 'capture'>): readonly string[] {
  return events.map((event) => `drop trigger if exists ${name(triggerName(table, event))}`)
}

/** The facts of one entry as expressions, and where they come from. */
interface Facts {
  readonly action: string
  readonly changes: string
  /** The row that gives the key, and that which gives label and subject. */
  readonly before: Row
  readonly after: Row
  /** What else is read than the context. */
  readonly from: string
  readonly where: readonly string[]
}

/** The columns of an entry that are the row's, with their values. */
export function entryColumns(plan: TablePlan, facts: Facts): readonly (readonly [string, string])[] {
  const columns: [string, string | null][] = [
    ['action', facts.action],
    ['model', literal(plan.model)],
    ['target_id', plan.key.length > 0 ? keyText(plan, facts.before) : null],
    ['moved_to', moved(plan, facts)],
    ['label', label(plan, facts.after)],
    ['changes', facts.changes],
    ['subject', plan.subject ? `substr(${plainText(plan.subject, facts.after)}, 1, 200)` : null],
    ['category', plan.category === null ? null : literal(plan.category)],
    ['severity', plan.severity === null ? null : literal(plan.severity)],
    ['details', plan.tags.length > 0 ? literal(JSON.stringify({ tags: plan.tags })) : null],
  ]
  return columns.filter((column): column is [string, string] => column[1] !== null)
}

function captured(plan: TablePlan, context: ContextSource, facts: Facts): readonly string[] {
  const { from, where } = facts
  const given = [
    ['tx', 'c.tx'],
    ...entryColumns(plan, facts),
    ...(['actor', 'request_id', 'tenant', 'context'] as const).map((part) => [part, `c.${part}`]),
  ]
  const source = `from ${context.from} c${from} where ${[
    'c.id = 1',
    ...(plan.allowSkip ? ['c.skip is null'] : []),
    ...where,
  ].join(' and ')}`
  const names = given.map(([column]) => column).join(', ')
  return [
    ...(plan.reasonRequired ? [requireReason(plan, source)] : []),
    `insert into whodunit_entry (${names}) select ${given.map(([, value]) => value).join(', ')} ${source}`,
    ...(plan.allowSkip && facts.before !== 'x' ? [skipped(plan, context)] : []),
  ]
}

/** One entry a transaction and table: a trigger of the context's row writes it. */
function skipped(plan: TablePlan, context: ContextSource): string {
  const model = literal(`\n${plan.model}\n`)
  return `update whodunit_context set skipped = skipped || ${model} where id = 1 and ${context.skips} and instr(skipped, ${model}) = 0`
}

function requireReason(plan: TablePlan, source: string): string {
  const message = `a change of ${plan.model} needs a reason: give one by audit.withContext({ reason }) or audit.set({ reason })`
  return `select raise(abort, ${literal(message)}) ${source} and ${contextLine('c.context', 'reason')} is null`
}

function moved(plan: TablePlan, { before, after }: Facts): string | null {
  if (plan.key.length === 0 || before === after) return null
  const changed = plan.key.map(differs).join(' or ')
  return `case when ${changed} then nullif(${keyText(plan, after)}, ${keyText(plan, before)}) end`
}

function label(plan: TablePlan, row: Row): string | null {
  if (plan.label.length === 0) return null
  const pieces = plan.label.map((piece) => typeof piece === 'string' ? literal(piece) : `coalesce(${plainText(piece, row)}, '')`) // prettier-ignore
  return `substr(${joined(pieces)}, 1, 200)`
}

function update(plan: TablePlan): Facts {
  const [before, after] = ['v.column3', 'v.column4']
  const pair = `v.column1 || ${encoded(plan, before)} || ',' || ${encoded(plan, after)} || ']'`
  const changed = `${before} is not ${after} collate binary or typeof(${before}) <> typeof(${after})`
  return {
    action: actionOfUpdate(plan),
    changes: object(pair, `${listed(recorded(plan), ['old', 'new'])} where ${changed}`),
    before: 'old',
    after: 'new',
    from: '',
    where: notRecorded(plan),
  }
}

function recorded(plan: TablePlan): readonly PlannedColumn[] {
  return plan.columns.filter((column) => column.recorded)
}

/** The JSON of pairs, each of which has a comma in front. */
function object(pair: string, from: string): string {
  return `(select '{' || substr(group_concat(${pair}, ''), 2) || '}' from ${from})`
}

/** An update makes an entry if one of these has changed; what is ignored is recorded beside others alone. */
function counted(plan: TablePlan): string {
  const columns = plan.columns.filter((column) => column.recorded && !column.ignored)
  return joined(columns.map(differs), ' or ')
}

function actionOfUpdate({ softDelete }: TablePlan): string {
  if (!softDelete) return `'UPDATE'`
  const [before, after] = [of(softDelete, 'old'), of(softDelete, 'new')]
  return `case when ${before} is null and ${after} is not null then 'SOFT_DELETE' when ${before} is not null and ${after} is null then 'RESTORE' else 'UPDATE' end`
}

/** Of updates, which with a soft delete are of three kinds, the policy may leave out some. */
function notRecorded(plan: TablePlan): string[] {
  const { softDelete, actions } = plan
  if (!softDelete) return []
  const left = [
    ...(actions.update ? [] : [`'UPDATE'`]),
    ...(actions.softDelete ? [] : [`'SOFT_DELETE'`]),
    ...(actions.restore ? [] : [`'RESTORE'`]),
  ]
  return left.length > 0 ? [`${actionOfUpdate(plan)} not in (${left.join(', ')})`] : []
}

export function wholeRow(plan: TablePlan, row: Row, action: 'CREATE' | 'DELETE'): Facts {
  const value = encoded(plan, 'v.column3')
  const pair =
    action === 'CREATE' ? `v.column1 || 'null,' || ${value} || ']'` : `v.column1 || ${value} || ',null]'`
  const changes = object(pair, listed(recorded(plan), [row]))
  return { action: `'${action}'`, changes, before: row, after: row, from: '', where: [] }
}

/** Rows that REPLACE removes: their DELETE triggers fire only where `recursive_triggers` is on. */
function replaced(
  plan: TablePlan,
  context: ContextSource,
  keys: readonly UniqueKey[],
  byUpdate = false,
): readonly string[] {
  const facts: Facts = {
    ...wholeRow(plan, 'x', 'DELETE'),
    from: ` cross join ${name(plan.table.name)} x`,
    where: [
      'exists (select 1 from whodunit_replacing where id = 1 and here = 1)',
      'not exists (select 1 from whodunit_replacing where id = 2)',
      `(${keys.map((key) => conflict(key)).join(' or ')})`,
      ...(byUpdate ? [another(plan)] : []),
    ],
  }
  return [
    `insert or ${plan.table.unique!.replace ? 'replace' : 'ignore'} into whodunit_replacing (id, here) values (1, 1)`,
    ...captured(plan, context, facts),
    `update whodunit_replacing set here = null where id = 1 and here is not null`,
    `delete from whodunit_replacing where id = 2`,
  ]
}

function conflicts(plan: TablePlan, keys: readonly UniqueKey[], byUpdate = false): string {
  const rest = byUpdate ? ` and ${another(plan)}` : ''
  return keys
    .map((key) => `exists (select 1 from ${name(plan.table.name)} x where ${conflict(key)}${rest})`)
    .join(' or ')
}

function conflict(key: UniqueKey): string {
  return key
    .map((column) => `x.${name(column.name)} = new.${name(column.name)} collate ${name(column.collation)}`)
    .join(' and ')
}

/** That `x` is not the row being updated. */
function another(plan: TablePlan): string {
  if (plan.key.length === 0) return 'x._rowid_ <> old._rowid_'
  return `not (${plan.key.map((column) => `x.${name(column.name)} is old.${name(column.name)}`).join(' and ')})`
}

/** Terms that one expression joins: SQLite bounds how deep it may be (1000), and how many arguments a function has (127). */
const chunk = 90

function joined(pieces: readonly string[], by: ' || ' | ' or ' = ' || '): string {
  if (pieces.length === 0) return `''`
  if (pieces.length <= chunk) return pieces.join(by)
  const groups = Array.from({ length: Math.ceil(pieces.length / chunk) }, (_, n) =>
    pieces.slice(n * chunk, (n + 1) * chunk),
  )
  return groups.map((group) => `(${group.join(by)})`).join(by)
}
