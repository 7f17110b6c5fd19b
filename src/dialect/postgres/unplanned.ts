import type { PlannedColumn, TablePlan } from '../../capture/plan.ts'
import { literal } from './quote.ts'

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
