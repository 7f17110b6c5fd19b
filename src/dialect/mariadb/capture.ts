import { createHash } from 'node:crypto'
import type { PlannedColumn, TablePlan } from '../../capture/plan.ts'
import { skipMark } from '../../core/internal.ts'
import { cascades } from './cascade.ts'
import { declarations, insertEntry, requireReason } from './entry.ts'
import { recogniseMigration } from './migrations.ts'
import { literal, name } from './quote.ts'
import { lettingThrough } from './unrecorded.ts'
import { type Cell, json, keyText, labelText, same, shownText, pair } from './values.ts'

/** One trigger of a table; MariaDB wants one for each event. */
interface Trigger {
  readonly name: string
  /** `after update`, and so on. */
  readonly event: string
  readonly body: string
}

/** Names of triggers are unique in a database, not in a table, and have 64 characters. */
function triggerName(table: string, event: string): string {
  const full = `whodunit_${event.replace(' ', '_')}_${table}`
  if (full.length <= 64) return full
  return `${full.slice(0, 53)}_${createHash('sha256').update(full).digest('hex').slice(0, 10)}`
}

const cell =
  (row: string): Cell =>
  (column) =>
    `${row}.${name(column.name)}`
const [before, after] = [cell('OLD'), cell('NEW')]

function triggersOf(plan: TablePlan): readonly Trigger[] {
  const { actions, softDelete } = plan
  const updates = actions.update || (softDelete !== null && (actions.softDelete || actions.restore))
  const [onUpdate, onDelete] = [cascades(plan, 'onUpdate'), cascades(plan, 'onDelete')]
  const bodies: [event: string, body: string][] = [
    ...(onUpdate ? [['before update', body(plan, onUpdate)] as [string, string]] : []),
    ...(onDelete ? [['before delete', body(plan, onDelete)] as [string, string]] : []),
    ...(actions.create ? [['after insert', wholeRow(plan, 'CREATE')] as [string, string]] : []),
    ...(updates ? [['after update', update(plan)] as [string, string]] : []),
    ...(actions.delete ? [['after delete', wholeRow(plan, 'DELETE')] as [string, string]] : []),
  ]
  return bodies.map(([event, text]) => ({ name: triggerName(plan.table.name, event), event, body: text }))
}

/** The text that is compared to find drift. */
export function captureText(plan: TablePlan): string {
  return triggerText(triggersOf(plan))
}

/** Triggers in an order that does not depend on who made them when. */
export function triggerText(triggers: readonly Pick<Trigger, 'event' | 'body'>[]): string {
  return triggers
    .map(({ event, body: text }) => `${event}\n${text}`)
    .toSorted()
    .join('\n\n')
}

interface Recording {
  readonly operation: 'INSERT' | 'UPDATE' | 'DELETE'
  readonly row: Cell
}

/** Reads the context, leaves where capture is skipped, and does its work, which records a row of the table, or of others. */
function body(plan: TablePlan, work: string, records?: Recording): string {
  const guarded = (text: string): string => {
    if (!records) return text
    const key = plan.key.length > 0 ? keyText(plan, records.row) : undefined
    return lettingThrough(plan, records.operation, text, { key })
  }
  const skipped = records ? `${guarded(skipEntry(plan))}\n    leave capture;` : 'leave capture;'
  return `capture: begin
  ${declarations}
  ${recogniseMigration(plan)}if context like '${skipMark}%' then
    set context = substr(context, ${skipMark.length + 1});
    ${plan.allowSkip ? skipped : '-- the policy forbids to skip'}
  end if;
${guarded(work)}
end`
}

/** One a transaction and table. That of a savepoint rolled back is gone, and written again. */
function skipEntry(plan: TablePlan): string {
  return `if not binary @whodunit_token <=> binary token or not exists (
      select 1 from whodunit_entry e where e.id >= @whodunit_tx and (e.id = @whodunit_tx or e.xid = @whodunit_tx)
        and e.action = 'SKIPPED' and e.model = ${literal(plan.model)}) then
      ${insertEntry(plan, { action: `'SKIPPED'`, facts: false })}
    end if;`
}

/**
 * The expressions name columns, which may have been renamed or dropped since migrate. That shows when an expression is
 * run, and is caught: then each column is tried by itself, and what is still there is recorded. So it is with a change
 * too long for one packet, which has no text at all.
 */
function withDrift(fast: readonly string[], slow: readonly string[]): string {
  return `  begin
    declare exit handler for sqlexception set drift = true;
${fast.map((item) => `    ${item}`).join('\n')}
  end;
  if drift or changes is null then
    set drift = true, changes = '', ignored = '';
    begin
      declare continue handler for sqlexception set piece = null;
${slow.map((item) => `      ${item}`).join('\n')}
    end;
  end if;`
}

/** A variable whose expression fails is set to NULL, so the text so far must not be that variable. */
function addTried(into: string, expression: string): string {
  return `set piece = ${expression}; set ${into} = ifnull(concat(${into}, piece), ${into});`
}

function joined(pieces: readonly string[]): string {
  return pieces.length === 0 ? `''` : `concat(\n      ${pieces.join(',\n      ')})`
}

/**
 * Adds the columns that differ. Each statement of a trigger is resolved anew for every row, with all of its expressions,
 * so what is seldom needed stands in a statement that is seldom run.
 */
function addChanged(into: string, columns: readonly PlannedColumn[], changed: Changed): string[] {
  return [
    `set ${into} = '';`,
    ...columns.map(
      (column) =>
        `if not (${changed.same(column)}) then set ${into} = concat(${into}, ${changed.pair(column)}); end if;`,
    ),
  ]
}

interface Changed {
  same(column: PlannedColumn): string
  pair(column: PlannedColumn): string
}

function update(plan: TablePlan): string {
  const changed: Changed = {
    same: (column) => same(column, before(column), after(column)),
    pair: (column) => pair(column, json(plan, column, before(column)), json(plan, column, after(column))),
  }
  const piece = (column: PlannedColumn): string => `if(${changed.same(column)}, '', ${changed.pair(column)})`
  const columns = plan.columns.filter(({ recorded }) => recorded)
  const ignored = columns.filter((column) => column.ignored)
  const facts = rowFacts(plan, before, after)
  const fast = [
    ...addChanged(
      'changes',
      columns.filter((column) => !column.ignored),
      changed,
    ),
    `if changes <> '' then`,
    `  set action = 'UPDATE';`,
    ...(ignored.length > 0 ? addChanged('ignored', ignored, changed).map((item) => `  ${item}`) : []),
    ...facts.map((item) => `  ${item}`),
    'end if;',
  ]
  const slow = columns.map((column) => {
    const into = column.ignored ? 'ignored' : 'changes'
    return addTried(into, piece(column))
  })
  const work = `${withDrift(fast, [...slow, ...facts])}
  if changes = '' and not drift then
    leave capture;
  end if;
  set action = ifnull(action, 'UPDATE');
${leftOut(plan)}${requireReason(plan)}  ${insertEntry(plan, { action: 'action' })}`
  return body(plan, work, { operation: 'UPDATE', row: before })
}

/** Of updates, which with a soft delete are of three kinds, the policy may leave out some. */
function leftOut({ softDelete, actions }: TablePlan): string {
  if (!softDelete) return ''
  const kinds = { UPDATE: actions.update, SOFT_DELETE: actions.softDelete, RESTORE: actions.restore }
  const left = Object.entries(kinds).flatMap(([action, does]) => (does ? [] : [literal(action)]))
  return left.length > 0 ? `  if action in (${left.join(', ')}) then\n    leave capture;\n  end if;\n` : ''
}

function wholeRow(plan: TablePlan, action: 'CREATE' | 'DELETE'): string {
  const row = action === 'CREATE' ? after : before
  const piece = (column: PlannedColumn): string => {
    const value = json(plan, column, row(column))
    return action === 'CREATE' ? pair(column, `'null'`, value) : pair(column, value, `'null'`)
  }
  const pieces = plan.columns.filter(({ recorded }) => recorded).map(piece)
  const facts = rowFacts(plan, row, row)
  const slow = pieces.map((item) => addTried('changes', item))
  const work = `${withDrift([`set changes = ${joined(pieces)};`, ...facts], [...slow, ...facts])}
${requireReason(plan)}  ${insertEntry(plan, { action: `'${action}'` })}`
  return body(plan, work, { operation: action === 'CREATE' ? 'INSERT' : 'DELETE', row })
}

function rowFacts(plan: TablePlan, was: Cell, is: Cell): string[] {
  const { key, label, subject, softDelete } = plan
  const facts = []
  if (key.length > 0) facts.push(`set target = ${keyText(plan, was)};`)
  if (key.length > 0 && was !== is) {
    const moved = keyText(plan, is)
    facts.push(`set moved = if(binary ${moved} <=> binary target, null, ${moved});`)
  }
  if (label.length > 0) facts.push(`set label = ${labelText(plan, is)};`)
  if (subject) facts.push(`set subject = ${shownText(subject, is(subject))};`)
  if (softDelete && was !== is) {
    const [old, now] = [was(softDelete), is(softDelete)]
    facts.push(
      `set action = case when ${old} is null and ${now} is not null then 'SOFT_DELETE' when ${old} is not null and ${now} is null then 'RESTORE' else 'UPDATE' end;`,
    )
  }
  return facts
}

/** All triggers of a table are replaced while no other connection can write to it. */
export function createTriggers(plan: TablePlan): readonly string[] {
  const on = name(plan.table.name)
  const triggers = triggersOf(plan)
  const old = new Set([...namesOf(plan.table.installed?.name), ...triggers.map((trigger) => trigger.name)])
  return [
    `lock tables ${on} write`,
    ...[...old].map((item) => `drop trigger if exists ${name(item)}`),
    ...triggers.map(
      (trigger) =>
        `create trigger ${name(trigger.name)} ${trigger.event} on ${on} for each row ${trigger.body}`,
    ),
    'unlock tables',
  ]
}

export function dropTriggers(names: string | undefined): readonly string[] {
  return namesOf(names).map((item) => `drop trigger if exists ${name(item)}`)
}

/** Names of triggers, as `InstalledCapture.name` holds those of a table. */
function namesOf(names = ''): readonly string[] {
  return names.split('\n').filter((item) => item !== '')
}
