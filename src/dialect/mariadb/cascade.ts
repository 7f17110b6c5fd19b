import type { PlannedCascade, PlannedColumn, TablePlan } from '../../capture/plan.ts'
import { insertEntry } from './entry.ts'
import { literal, name } from './quote.ts'
import { lettingThrough } from './unrecorded.ts'
import { type Cell, json, keyText, labelText, same, shownText, pair } from './values.ts'

/*
 * A foreign key's action fires no trigger on the table that it changes. So the trigger of the table it refers to writes
 * the entries of the rows that are about to be changed, before they are: afterwards nobody could find them. What the
 * statement then refuses takes these entries with it.
 */

/** Rows that a chain of cascades reaches from the row of a trigger. The last table of it is `alias`. */
interface Reach {
  readonly ctes: readonly string[]
  readonly from: string
  readonly where: string
  readonly alias: string
}

/** One table with what happens to its rows, and the ways on which they are reached. */
interface Effect {
  readonly plan: TablePlan
  readonly action: 'UPDATE' | 'DELETE'
  /** The columns that change, with their new values. */
  readonly sets: ReadonlyMap<string, string>
  readonly reaches: readonly Reach[]
}

type Event = 'onUpdate' | 'onDelete'

/** What a trigger before an event does about its cascades; `null` where there is nothing to do. */
export function cascades(plan: TablePlan, event: Event): string | null {
  const effects = plan.cascades.flatMap((cascade, index) =>
    follow({ cascade, parent: plan.model, alias: `r${index}` }, event),
  )
  const blocks = merged(effects).flatMap((effect) => record(effect))
  return blocks.length === 0 ? null : `  if @@foreign_key_checks then\n${blocks.join('\n')}\n  end if;`
}

/** Tables whose changes by a cascade of this one are not recorded, since the chain runs in a circle. */
export function lostCascades(plan: TablePlan): readonly string[] {
  const lost = (list: readonly PlannedCascade[]): string[] =>
    list.flatMap((item) => [...(item.cut && item.plan ? [item.model] : []), ...lost(item.next)])
  return [...new Set(lost(plan.cascades))]
}

/** A cascade on the way down, with what was reached and changed above it. */
interface Link {
  readonly cascade: PlannedCascade
  readonly parent: string
  readonly alias: string
  readonly above?: { readonly reach: Reach; readonly sets: ReadonlyMap<string, string> }
}

function follow(link: Link, event: Event): Effect[] {
  const { plan, cut, columns, references, model, next, ...cascade } = link.cascade
  const action = cascade[event]
  if (action === null || cut) return []
  const deletes = event === 'onDelete' && action === 'cascade'
  const itself = model === link.parent
  if (itself && event === 'onUpdate') return [] // which the server refuses to do
  const reach = itself && deletes ? rowsBelow(link) : rowsAt(link, event)
  const sets = new Map<string, string>()
  for (const [index, column] of columns.entries()) {
    const source = references[index]!
    // further down, only what has changed above goes on
    const cascaded = link.above ? link.above.sets.get(source) : `NEW.${name(source)}`
    const value = event === 'onDelete' || action === 'set null' ? 'null' : cascaded
    if (!deletes && value !== undefined) sets.set(column, value)
  }
  if (!deletes && sets.size === 0) return []
  const does = deletes ? plan?.actions.delete : plan?.actions.update
  const effect =
    plan && does ? [{ plan, action: deletes ? 'DELETE' : 'UPDATE', sets, reaches: [reach] } as const] : []
  if (action === 'set null') return effect
  const further = next.flatMap((item, index) =>
    follow({ cascade: item, parent: model, alias: `${link.alias}_${index}`, above: { reach, sets } }, event),
  )
  return [...effect, ...further]
}

function joinOn({ columns, references }: PlannedCascade, child: string, parent: string): string {
  return columns
    .map((column, index) => `${child}.${name(column)} = ${parent}.${name(references[index]!)}`)
    .join(' and ')
}

function rowsAt({ cascade, alias, above }: Link, event: Event): Reach {
  const child = `${name(cascade.table.name)} ${alias}`
  if (above) {
    const { reach } = above
    return { ...reach, from: `${reach.from} join ${child} on ${joinOn(cascade, alias, reach.alias)}`, alias }
  }
  const changed = cascade.references.map((of) => `not binary NEW.${name(of)} <=> binary OLD.${name(of)}`)
  const where = [
    joinOn(cascade, alias, 'OLD'),
    ...(event === 'onUpdate' ? [`(${changed.join(' or ')})`] : []),
  ]
  return { ctes: [], from: child, where: where.join(' and '), alias }
}

/** Of a table that refers to itself: the rows below, those below them, and so on. */
function rowsBelow({ cascade, alias, above }: Link): Reach {
  const child = name(cascade.table.name)
  const below = `${alias}_below`
  const fields = cascade.references.map((column) => `x.${name(column)}`).join(', ')
  const begin = above
    ? `select ${fields} from ${above.reach.from} join ${child} x on ${joinOn(cascade, 'x', above.reach.alias)} where ${above.reach.where}`
    : `select ${fields} from ${child} x where ${joinOn(cascade, 'x', 'OLD')}`
  const repeat = `select ${fields} from ${child} x join ${below} on ${joinOn(cascade, 'x', below)}`
  const again = cascade.references.map((column) => `${alias}.${name(column)} = ${below}.${name(column)}`)
  return {
    ctes: [...(above?.reach.ctes ?? []), `${below} as (${begin} union ${repeat})`],
    from: `${below} join ${child} ${alias} on ${again.join(' and ')}`,
    where: 'true',
    alias,
  }
}

/** A row that is reached on several ways is changed once. */
function merged(effects: readonly Effect[]): Effect[] {
  const groups = new Map<string, Effect>()
  for (const effect of effects) {
    const key = JSON.stringify([effect.plan.model, effect.action, [...effect.sets]])
    const known = groups.get(key)
    groups.set(key, known ? { ...known, reaches: [...known.reaches, ...effect.reaches] } : effect)
  }
  return [...groups.values()]
}

function record({ plan, action, sets, reaches }: Effect): string[] {
  const [row, before] = ['r', (column: PlannedColumn) => `r.${name(column.name)}`] satisfies [string, Cell]
  const after: Cell = (column) => sets.get(column.name) ?? before(column)
  const columns = plan.columns.filter(({ recorded }) => recorded)
  const pieces =
    action === 'DELETE'
      ? columns.map((column) => pair(column, json(plan, column, before(column)), `'null'`))
      : columns
          .filter((column) => sets.has(column.name) && !column.ignored)
          .map((column) => {
            const values = [json(plan, column, before(column)), json(plan, column, after(column))] as const
            return `if(${same(column, before(column), after(column))}, '', ${pair(column, ...values)})`
          })
  if (pieces.length === 0) return []
  const now = action === 'DELETE' ? before : after
  const moves = action === 'UPDATE' && plan.key.some((column) => sets.has(column.name))
  const selected = [
    `concat(${pieces.join(', ')})`,
    plan.key.length > 0 ? keyText(plan, before) : 'null',
    moves ? keyText(plan, after) : 'null',
    plan.label.length > 0 ? labelText(plan, now) : 'null',
    plan.subject ? shownText(plan.subject, now(plan.subject)) : 'null',
  ]
  const entry = lettingThrough(plan, action, insertEntry(plan, { action: literal(action) }))
  const rows = `    begin
      declare done bool default false;
      declare reached cursor for ${rowsOf(plan, reaches, row, selected.join(', '))};
      declare continue handler for not found set done = true;
      declare exit handler for 1054, 1146 begin end; -- a column or the table is gone since migrate
      open reached;
      every: loop
        fetch reached into changes, target, moved, label, subject;
        if done then leave every; end if;
        if changes <> '' then
          ${entry}
        end if;
      end loop;
      close reached;
    end;`
  return [lettingThrough(plan, action, rows, { target: false })]
}

function rowsOf(plan: TablePlan, reaches: readonly Reach[], row: string, selected: string): string {
  const ctes = [...new Set(reaches.flatMap((reach) => reach.ctes))]
  const head = ctes.length > 0 ? `with recursive ${ctes.join(', ')} ` : ''
  const table = name(plan.table.name)
  const keys = plan.key.map((column) => name(column.name))
  const [only, ...more] = reaches
  if (only && (more.length === 0 || keys.length === 0)) {
    const rows = `select ${only.alias}.* from ${only.from} where ${only.where}`
    return `${head}select ${selected} from (${rows}) ${row}`
  }
  const union = reaches
    .map(
      ({ from, where, alias }) =>
        `select ${keys.map((key) => `${alias}.${key}`).join(', ')} from ${from} where ${where}`,
    )
    .join(' union ')
  const join = keys.map((key) => `${row}.${key} = k.${key}`).join(' and ')
  return `${head}select ${selected} from (${union}) k join ${table} ${row} on ${join}`
}
