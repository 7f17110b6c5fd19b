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

/** The value as an expression that `json_build_array` and `to_json` print as the trail wants it. */
function json(plan: TablePlan, column: PlannedColumn, value: string): string {
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
  return `case when octet_length(${text}) > ${plan.maxValueBytes} then json_build_object('$', 'cut', 'length', length(${text})) else to_json(${open}) end`
}

/**
 * Changes are stored open, `,"column":[before,after]` for each column, so that a trigger only has to append. This is the
 * object that they stand for.
 */
export function objectOf(changes: string): string {
  return `'{' || substr(${changes}, 2) || '}'`
}

/** The text of an object as it is stored. */
export function storedChanges(object: string): string {
  return `',' || left(substr(btrim(${object}, e' \\t\\n\\r'), 2), -1)`
}

/** Types whose texts need no escape in JSON. */
const unescaped =
  /^(int[248]|oid|numeric|uuid|bool|date|timestamp|timestamptz|time|timetz|interval|inet|cidr|macaddr|macaddr8|bit|varbit)$/

/** The value as JSON text, `null` for NULL. To join texts costs a third of what the functions for JSON do. */
function jsonText(plan: TablePlan, column: PlannedColumn, value: string): string {
  const plain = column.redaction === 'keep' && !column.unbounded && unescaped.test(column.builtIn ?? '')
  if (!plain) return `coalesce(to_json(${json(plan, column, value)})::text, 'null')`
  return column.form === 'native'
    ? `coalesce(${value}::text, 'null')`
    : `coalesce('"' || ${value}::text || '"', 'null')`
}

/**
 * `,"column":[null,value]` for each column of a new row, `[value,null]` of one that is gone: as expressions to be joined.
 */
export function wholeRow(plan: TablePlan, side: 'new' | 'old', row: string): readonly string[] {
  const recorded = plan.columns.filter((column) => column.recorded)
  if (recorded.length === 0) return [`''`]
  const pieces = recorded.flatMap((column, index) => {
    const before = index === 0 ? ',' : side === 'new' ? '],' : ',null],'
    const head = literal(`${before}${JSON.stringify(column.name)}:[${side === 'new' ? 'null,' : ''}`)
    return [head, jsonText(plan, column, `${row}.${name(column.name)}`)]
  })
  return [...pieces, side === 'new' ? `']'` : `',null]'`]
}

/** Arguments that one call takes at most, and terms that are joined before expressions get too deep. */
const piecesAtOnce = 98

/** For one row: a call costs less than as many operators, each of which is prepared anew in each transaction. */
export const joinedByCalls = (pieces: readonly string[]): readonly string[] =>
  inGroups(pieces).map((group) => `concat(${group.join(', ')})`)

/** For many rows: each operator costs a fraction of an argument of a call. */
export const joinedByOperators = (pieces: readonly string[]): string =>
  inGroups(pieces)
    .map((group) => `(${group.join(' || ')})`)
    .join(' || ')

function inGroups(pieces: readonly string[]): readonly (readonly string[])[] {
  const count = Math.ceil(pieces.length / piecesAtOnce)
  return Array.from({ length: count }, (_, index) =>
    pieces.slice(index * piecesAtOnce, (index + 1) * piecesAtOnce),
  )
}

/**
 * The expression, which is not even prepared where a column has another type than at the time of migrate. The condition
 * is folded away before anything is run.
 */
export function whereTypesHold(columns: readonly PlannedColumn[], row: string, expression: string): string {
  const checks = columns.flatMap((column) => {
    if (!column.builtIn) return []
    const value = `${row}.${name(column.name)}`
    const isList = column.builtIn.startsWith('_')
    return isList
      ? [`${value} = null::${name(column.builtIn)}`]
      : [`array[${value}] = null::${name(column.builtIn)}[]`]
  })
  return checks.length === 0
    ? expression
    : `(case when false and ${checks.join(' and ')} then null else ${expression} end)`
}

/** `,"column":[before,after]`, as arguments of `concat`. */
export function changedColumn(plan: TablePlan, column: PlannedColumn): string {
  const [before, after] = ['old', 'new'].map((row) => json(plan, column, `${row}.${name(column.name)}`))
  return `${literal(`,${JSON.stringify(column.name)}:`)}, json_build_array(${before}, ${after})`
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
