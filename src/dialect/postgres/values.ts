import type { PlannedColumn, TablePlan } from '../../capture/plan.ts'
import { storedKeySql } from './key.ts'
import { literal, name } from './quote.ts'

/** The key as text; a composite key is a compact JSON array of texts. A masked key can no longer be told apart. */
export function keyText(plan: TablePlan, row: string): string {
  const texts = plan.key.map((column) => hideOr(column, row, `${row}.${name(column.name)}::text`))
  const key =
    texts.length === 1
      ? texts[0]!
      : `'[' || ${texts.map((text) => `coalesce(to_json(${text})::text, 'null')`).join(` || ',' || `)} || ']'`
  const short = plan.key.length === 1 && plan.key.every(({ unbounded }) => !unbounded)
  return short ? key : storedKeySql(key)
}

function hideOr(column: PlannedColumn, row: string, open: string): string {
  if (column.redaction === 'hash') return `whodunit.hash(${row}.${name(column.name)}::text)`
  return column.redaction === 'keep' ? open : `'***'::text`
}

function shown(column: PlannedColumn, row: string): string {
  return column.redaction === 'keep' ? `${row}.${name(column.name)}` : `'***'`
}

export function differs(column: PlannedColumn, before: string, after: string): string {
  const distinct = `${after} is distinct from ${before}`
  if (column.exactEquality) return distinct
  // of equal numbers, only the count of decimals can differ
  if (/^numeric(\(|$)/.test(column.type)) return `${distinct} or scale(${after}) <> scale(${before})`
  return `row(${after})::record operator(pg_catalog.*<>) row(${before})::record`
}

/** Bytes of a text whose type bounds it, at most: a `varchar(9999)`. */
const longestBounded = 40_000

/** Of an integer, the same. It takes no other type: a column that was given one since is found out. */
const integers: Readonly<Record<string, string>> = { smallint: 'int2up', integer: 'int4up' }

/** The value as an expression that `json_build_array` and `to_json` print as the trail wants it. */
function json(plan: TablePlan, column: PlannedColumn, value: string): string {
  if (column.redaction === 'mask') return `case when ${value} is not null then '{"$":"masked"}'::json end`
  if (column.redaction === 'hash') {
    return `case when ${value} is not null then json_build_object('$', 'hash', 'v', whodunit.hash(${value}::text)) end`
  }
  if (column.form === 'native') return column.type in integers ? `${integers[column.type]}(${value})` : value
  const text = column.form === 'text' ? value : `${value}::text`
  const open =
    column.form === 'json'
      ? `whodunit.redact_json(${text}, ${secretNames(plan)})`
      : column.form === 'nested'
        ? `whodunit.redact_nested(to_json(${value})::text, ${text}, ${secretNames(plan)})`
        : text
  if (!column.unbounded && (column.form !== 'text' || plan.maxValueBytes >= longestBounded)) return open
  return `case when octet_length(${text}) > ${plan.maxValueBytes} then json_build_object('$', 'cut', 'length', length(${text})) else to_json(${open}) end`
}

/** Arguments that one call takes at most, columns that make it up. */
const columnsInCall = 49

/**
 * `{"column":[null,value],...` of a new row, `[value,null]` of one that is gone, not yet closed: as expressions to be
 * joined. One call of `concat` for many columns costs less than as many operators.
 */
export function wholeRow(plan: TablePlan, side: 'new' | 'old', row: string): readonly string[] {
  const recorded = plan.columns.filter((column) => column.recorded)
  const calls = recorded.length === 0 ? [`'{'`] : []
  for (let start = 0; start < recorded.length; start += columnsInCall) {
    const pieces = recorded.slice(start, start + columnsInCall).flatMap((column, index) => {
      const before = start + index === 0 ? '{' : side === 'new' ? '],' : ',null],'
      const head = literal(`${before}${JSON.stringify(column.name)}:[${side === 'new' ? 'null,' : ''}`)
      return [head, `coalesce(to_json(${json(plan, column, `${row}.${name(column.name)}`)})::text, 'null')`]
    })
    const last = start + columnsInCall >= recorded.length
    calls.push(`concat(${[...pieces, ...(last ? [side === 'new' ? `']'` : `',null]'`] : [])].join(', ')})`)
  }
  return calls
}

/** `"column":[before,after]` */
export function changedColumn(plan: TablePlan, column: PlannedColumn): string {
  const [before, after] = ['old', 'new'].map((row) => json(plan, column, `${row}.${name(column.name)}`))
  return `${literal(`${JSON.stringify(column.name)}:`)} || json_build_array(${before}, ${after})::text`
}

function secretNames(plan: TablePlan): string {
  return `array[${plan.nestedSecrets.map(literal).join(', ')}]::text[]`
}

/** What an entry says of a row beside its values, as expressions. */
export interface RowFacts {
  readonly target?: string
  readonly label?: string
  readonly subject?: string
}

export function factsOf(plan: TablePlan, row: string): RowFacts {
  const { key, label, subject } = plan
  const pieces = label.map((piece) => (typeof piece === 'string' ? literal(piece) : shown(piece, row)))
  return {
    ...(key.length > 0 ? { target: keyText(plan, row) } : {}),
    ...(label.length > 0 ? { label: `left(concat(${pieces.join(', ')}), 200)` } : {}),
    ...(subject
      ? { subject: `left(${hideOr(subject, row, `${row}.${name(subject.name)}::text`)}, 200)` }
      : {}),
  }
}

/** The columns of an entry that are the same for every row of a table. */
export function constants(plan: TablePlan): Record<string, string> {
  const columns = {
    category: plan.category,
    severity: plan.severity,
    details: plan.tags.length > 0 ? JSON.stringify({ tags: plan.tags }) : null,
  }
  return Object.fromEntries(
    Object.entries(columns).flatMap(([column, value]) => (value === null ? [] : [[column, literal(value)]])),
  )
}
