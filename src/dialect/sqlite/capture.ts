import type { CatalogueTable, UniqueKey } from '../../capture/catalogue.ts'
import type { PlannedColumn, TablePlan } from '../../capture/plan.ts'
import type { ContextSource } from './context.ts'
import { contextLine } from './lines.ts'
import { literal, name } from './quote.ts'
import { differs, json, keyText, of, plainText, type Row } from './values.ts'

/** The events of a table, each with a trigger of its own. */
const events = ['replace', 'overwrite', 'insert', 'update', 'delete'] as const
type Event = (typeof events)[number]

export const triggerPrefix = '!whodunit '

/** Triggers share one space of names, and keep theirs when their table is renamed. */
function triggerName(table: Pick<CatalogueTable, 'name' | 'capture'>, event: Event): string {
  return `${triggerPrefix}${event} ${table.capture ?? table.name}`
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
  if (actions.update || (plan.softDelete && (actions.softDelete || actions.restore)))
    make('update', 'after update', captured(plan, source, update(plan)))
  if (actions.delete) make('delete', 'after delete', captured(plan, source, wholeRow(plan, 'old', 'DELETE')))
  return made
}

export function dropTriggers(table: Pick<CatalogueTable, 'name' | 'capture'>): readonly string[] {
  return events.map((event) => `drop trigger if exists ${name(triggerName(table, event))}`)
}

/** The facts of one entry as expressions, and where they come from. */
interface Facts {
  readonly action: string
  /** Pairs, each behind a comma. Empty text where nothing changed, which only an update can do. */
  readonly changes: string
  /** Of an update, pairs that are recorded beside others, and make no entry by themselves. */
  readonly ignored?: string
  /** The row that gives the key, and that which gives label and subject. */
  readonly before: Row
  readonly after: Row
  /** What else is read than the context. */
  readonly from: string
  readonly where: readonly string[]
}

function captured(plan: TablePlan, context: ContextSource, facts: Facts): readonly string[] {
  const { from, where, changes } = withChanges(facts)
  const columns: [string, string | null][] = [
    ['tx', 'c.tx'],
    ['action', facts.action],
    ['model', literal(plan.model)],
    ['target_id', plan.key.length > 0 ? keyText(plan, facts.before) : null],
    ['moved_to', moved(plan, facts)],
    ['label', label(plan, facts.after)],
    ['changes', `'{' || substr(${changes}, 2) || '}'`],
    ['subject', plan.subject ? `substr(${plainText(plan.subject, facts.after)}, 1, 200)` : null],
    ['category', plan.category === null ? null : literal(plan.category)],
    ['severity', plan.severity === null ? null : literal(plan.severity)],
    ['details', plan.tags.length > 0 ? literal(JSON.stringify({ tags: plan.tags })) : null],
    ...(['actor', 'request_id', 'tenant', 'context'] as const).map((part): [string, string] => [
      part,
      `c.${part}`,
    ]),
  ]
  const given = columns.filter(([, value]) => value !== null)
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

/** Of an update, the changes are made first, to see whether there are any. */
function withChanges({ changes, ignored, from, where }: Facts): {
  from: string
  where: readonly string[]
  changes: string
} {
  if (ignored === undefined) return { from, where, changes }
  return {
    from: `${from}, (select ${changes} as changes${ignored && `, ${ignored} as ignored`}) r`,
    where: [`r.changes <> ''`, ...where],
    changes: ignored ? 'r.changes || r.ignored' : 'r.changes',
  }
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
  const piece = (column: PlannedColumn): string =>
    `case when ${differs(column)} then ${literal(`,${JSON.stringify(column.name)}:[`)} || ${json(plan, column, 'old')} || ',' || ${json(plan, column, 'new')} || ']' else '' end`
  const recorded = plan.columns.filter((column) => column.recorded)
  const ignored = recorded.filter((column) => column.ignored)
  return {
    action: actionOfUpdate(plan),
    changes: joined(recorded.filter((column) => !column.ignored).map(piece)),
    ignored: ignored.length > 0 ? joined(ignored.map(piece)) : '',
    before: 'old',
    after: 'new',
    from: '',
    where: notRecorded(plan),
  }
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

function wholeRow(plan: TablePlan, row: Row, action: 'CREATE' | 'DELETE'): Facts {
  const [begin, end] = action === 'CREATE' ? ['null,', ']'] : ['', ',null]']
  const pieces = plan.columns
    .filter((column) => column.recorded)
    .map((column, index, { length }) => {
      const before = index === 0 ? '' : end
      const key = literal(`${before},${JSON.stringify(column.name)}:[${begin}`)
      return `${key} || ${json(plan, column, row)}${index === length - 1 ? ` || ${literal(end)}` : ''}`
    })
  return { action: `'${action}'`, changes: joined(pieces), before: row, after: row, from: '', where: [] }
}

/** Rows that REPLACE removes: their DELETE triggers fire only where \`recursive_triggers\` is on. */
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

function joined(pieces: readonly string[]): string {
  if (pieces.length === 0) return `''`
  if (pieces.length <= chunk) return pieces.join(' || ')
  const groups = Array.from({ length: Math.ceil(pieces.length / chunk) }, (_, n) =>
    pieces.slice(n * chunk, (n + 1) * chunk),
  )
  return groups.map((group) => `(${group.join(' || ')})`).join(' || ')
}
