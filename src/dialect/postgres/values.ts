import type { PlannedColumn, TablePlan } from '../../capture/plan.ts'
import { literal, name } from './quote.ts'

/** The key as text; a composite key is a compact JSON array of texts. A masked key can no longer be told apart. */
export function keyText(plan: TablePlan, row: string): string {
  const texts = plan.key.map((column) => hideOr(column, row, `${row}.${name(column.name)}::text`))
  if (texts.length === 1) return texts[0]!
  return `'[' || ${texts.map((text) => `coalesce(to_json(${text})::text, 'null')`).join(` || ',' || `)} || ']'`
}

export function hideOr(column: PlannedColumn, row: string, open: string): string {
  if (column.redaction === 'hash') return `whodunit.hash(${row}.${name(column.name)}::text)`
  return column.redaction === 'keep' ? open : `'***'::text`
}

export function shown(column: PlannedColumn, row: string): string {
  return column.redaction === 'keep' ? `${row}.${name(column.name)}` : `'***'`
}

export function differs(column: PlannedColumn, before: string, after: string): string {
  if (column.exactEquality) return `${after} is distinct from ${before}`
  return `row(${after})::record operator(pg_catalog.*<>) row(${before})::record`
}

/** Bytes of a text whose type bounds it, at most: a `varchar(9999)`. */
const longestBounded = 40_000

/** The value as an expression that `json_build_array` and `to_json` print as the trail wants it. */
export function json(plan: TablePlan, column: PlannedColumn, value: string): string {
  if (column.redaction === 'mask') return `case when ${value} is not null then '{"$":"masked"}'::json end`
  if (column.redaction === 'hash') {
    return `case when ${value} is not null then json_build_object('$', 'hash', 'v', whodunit.hash(${value}::text)) end`
  }
  if (column.form === 'native') return value
  const text = column.form === 'text' ? value : `${value}::text`
  const open =
    column.form === 'json'
      ? `whodunit.redact_json(${text}, ${secretNames(plan)})`
      : column.form === 'nested'
        ? `whodunit.redact_nested(to_json(${value})::text, ${text}, ${secretNames(plan)})`
        : text
  if (!column.unbounded && (column.form !== 'text' || plan.maxValueBytes >= longestBounded)) return open
  const size = column.form === 'text' ? `octet_length(${value})` : `octet_length(${text})`
  return `case when ${size} > ${plan.maxValueBytes} then json_build_object('$', 'cut', 'length', length(${text})) else to_json(${open}) end`
}

function secretNames(plan: TablePlan): string {
  return `array[${plan.nestedSecrets.map(literal).join(', ')}]::text[]`
}
