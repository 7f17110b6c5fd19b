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

export function hideOr(column: PlannedColumn, row: string, open: string): string {
  if (column.redaction === 'hash') return `whodunit.hash(${row}.${name(column.name)}::text)`
  return column.redaction === 'keep' ? open : `'***'::text`
}

export function shown(column: PlannedColumn, row: string): string {
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

/**
 * Types whose text can stand in JSON as it is, with the function that gives it. Unlike a cast it takes no other type: a
 * column that was given one since would bring quotes into the JSON, and so is found out.
 */
const outputs: readonly (readonly [type: RegExp, output: string, quote: '' | '"'])[] = [
  [/^smallint$/, 'int2out', ''],
  [/^integer$/, 'int4out', ''],
  [/^bigint$/, 'int8out', '"'],
  [/^numeric(\(|$)/, 'numeric_out', '"'],
  [/^uuid$/, 'uuid_out', '"'],
  [/^date$/, 'date_out', '"'],
]

/**
 * The value as an expression for its JSON text, never NULL. To put it together is cheaper than the functions of JSON, which
 * look up the type of their argument in each call: those are for what may need escaping.
 */
export function jsonText(plan: TablePlan, column: PlannedColumn, value: string): string {
  const orNull = (text: string): string => `coalesce(${text}, 'null')`
  if (column.redaction === 'mask') return `case when ${value} is null then 'null' else '{"$":"masked"}' end`
  if (column.redaction === 'hash')
    return orNull(`'{"$":"hash","v":"' || whodunit.hash(${value}::text) || '"}'`)
  const [, output, quote] = outputs.find(([type]) => type.test(column.type)) ?? []
  if (output) {
    const text = `textin(${output}(${value}))`
    return orNull(quote ? `'"' || ${text} || '"'` : text)
  }
  if (column.type === 'boolean')
    return `case when ${value} then 'true' when not ${value} then 'false' else 'null' end`
  if (column.form === 'native') return orNull(`to_json(${value})::text`)
  const text = column.form === 'text' ? value : `${value}::text`
  const open =
    column.form === 'json'
      ? `whodunit.redact_json(${text}, ${secretNames(plan)})`
      : column.form === 'nested'
        ? `whodunit.redact_nested(to_json(${value})::text, ${text}, ${secretNames(plan)})`
        : text
  const whole = orNull(`to_json(${open})::text`)
  if (!column.unbounded && (column.form !== 'text' || plan.maxValueBytes >= longestBounded)) return whole
  return `case when octet_length(${text}) > ${plan.maxValueBytes} then '{"$":"cut","length":' || length(${text}) || '}' else ${whole} end`
}

function secretNames(plan: TablePlan): string {
  return `array[${plan.nestedSecrets.map(literal).join(', ')}]::text[]`
}
