import type { PlannedColumn, TablePlan } from '../../capture/plan.ts'
import { secretWords } from '../../core/internal.ts'
import { literal } from './quote.ts'

/** How to write a column of one row, before or after a change: `OLD.x`, or of a joined table. */
export type Cell = (column: PlannedColumn) => string

const is = (column: PlannedColumn, types: string): boolean =>
  types.split(' ').includes(/^[a-z0-9]+/.exec(column.type)?.[0] ?? '')

/** Digits that a number is shown with, and that are no part of it. */
const padded = (column: PlannedColumn): boolean =>
  /^[a-z]+(\([\d,]+\))?( unsigned)? zerofill/.test(column.type) || is(column, 'bit year')

const isBinary = (column: PlannedColumn): boolean =>
  is(column, 'binary varbinary tinyblob blob mediumblob longblob vector geometry point linestring polygon') ||
  is(column, 'multipoint multilinestring multipolygon geometrycollection geomcollection')

/** Whether two values, as stored, are the same: `<=>` alone takes `b` for `B`, and one hour in autumn for the next. */
export function same(column: PlannedColumn, before: string, after: string): string {
  if (is(column, 'timestamp')) return `unix_timestamp(${after}) <=> unix_timestamp(${before})`
  return column.exactEquality ? `${after} <=> ${before}` : `binary ${after} <=> binary ${before}`
}

/** The value as text, as people would type it; NULL for NULL. */
function text(column: PlannedColumn, value: string): string {
  if (isBinary(column)) return `lower(hex(${value}))`
  if (is(column, 'timestamp')) return timestampText(column, value)
  if (padded(column)) return `${value} + 0`
  return `convert(${value} using utf8mb4)`
}

/** In UTC, whatever the session's time zone is, and exact also in the hour that autumn repeats. */
function timestampText(column: PlannedColumn, value: string): string {
  const digits = Number(/\((\d)\)/.exec(column.type)?.[1] ?? 0)
  const length = digits === 0 ? 19 : 20 + digits
  const utc = `timestamp'1970-01-01 00:00:00' + interval nullif(unix_timestamp(${value}), 0) second`
  return `ifnull(left(${utc}, ${length}), ${value})` // the zero date has no moment
}

/** The value as JSON text, never NULL. */
export function json(plan: TablePlan, column: PlannedColumn, value: string): string {
  if (column.redaction === 'mask') return `if(${value} is null, 'null', '${masked}')`
  if (column.redaction === 'hash') {
    return `if(${value} is null, 'null', concat('{"$":"hash","v":"', ${hash(text(column, value))}, '"}'))`
  }
  return limited(plan, column, value, `ifnull(${open(plan, column, value)}, 'null')`)
}

/** `,"column":[before,after]` */
export function pair(column: PlannedColumn, before: string, after: string): string {
  return `concat(${literal(`,${JSON.stringify(column.name)}:[`)}, ${before}, ',', ${after}, ']')`
}

const masked = '{"$":"masked"}'

function open(plan: TablePlan, column: PlannedColumn, value: string): string {
  if (isBinary(column)) return `concat('{"$":"blob","hex":"', lower(hex(${value})), '"}')`
  if (column.form === 'native') return nativeNumber(column, value)
  if (column.form === 'json') {
    const shown = `json_quote(convert(${value} using utf8mb4))`
    return `if(${holdsSecret(plan, value)}, '${masked}', ${shown})`
  }
  if (is(column, 'char varchar tinytext text mediumtext longtext')) return `json_quote(${value})`
  if (is(column, 'bit bigint decimal date datetime time timestamp'))
    return `concat('"', ${text(column, value)}, '"')`
  return `json_quote(${text(column, value)})`
}

/** Numbers as JSON writes them. A float prints six digits: where these are not all there is, it is printed as a double. */
function nativeNumber(column: PlannedColumn, value: string): string {
  if (is(column, 'float')) {
    const [short, exact] = [`cast(${value} as char)`, `cast(${value} + 0e0 as char)`]
    return `if(cast(${short} as float) = ${value}, ${short}, ${exact})`
  }
  return padded(column) ? `${value} + 0` : value
}

function limited(plan: TablePlan, column: PlannedColumn, value: string, shown: string): string {
  const longest = Number(/^[a-z]+\((\d+)\)/.exec(column.type)?.[1] ?? Infinity) * (isBinary(column) ? 1 : 4)
  if (!column.unbounded || longest <= plan.maxValueBytes) return shown
  const size = `octet_length(${value})`
  return `if(${size} > ${plan.maxValueBytes}, concat('{"$":"cut","length":', char_length(${value}), '}'), ${shown})`
}

/** With the key of the trail, so that equal values can be told and nobody can try values without it. */
export function hash(value: string): string {
  const bytes = `cast(convert(${value} using utf8mb4) as binary)`
  return `(select left(sha2(concat(k.secret, unhex(sha2(concat(k.secret, ${bytes}), 256))), 256), 32) from whodunit_secret k)`
}

/** The key as text; a composite key is a compact JSON array of texts. A masked key can no longer be told apart. */
export function keyText(plan: TablePlan, cell: Cell): string {
  const texts = plan.key.map((column) => shownText(column, cell(column)))
  if (texts.length === 1) return texts[0]!
  return `concat('[', ${texts.map((item) => `ifnull(json_quote(concat(${item}, '')), 'null')`).join(`, ',', `)}, ']')`
}

/** A value where only text can stand: in a key, a label, a subject. */
export function shownText(column: PlannedColumn, value: string): string {
  if (column.redaction === 'hash') return hash(text(column, value))
  return column.redaction === 'keep' ? text(column, value) : `'***'`
}

export function labelText(plan: TablePlan, cell: Cell): string {
  const pieces = plan.label.map((piece) => {
    if (typeof piece === 'string') return literal(piece)
    return piece.redaction === 'keep' ? `ifnull(${text(piece, cell(piece))}, '')` : `'***'`
  })
  return `concat(${pieces.join(', ')})`
}

/**
 * Whether a JSON text has a member whose name is secret: it is then masked as a whole, since a trigger cannot take it
 * apart. A name written with escapes counts as secret. What decides is the same as `isSecretName`.
 */
function holdsSecret(plan: TablePlan, value: string): string {
  const edge = String.raw`(?<=[a-z0-9])(?=[A-Z])`
  const begin = String.raw`(?:(?<![A-Za-z0-9])|${edge})`
  const end = String.raw`(?:(?![A-Za-z0-9])|${edge})`
  const words = secretWords.map((word) => word.replaceAll(' ', '[^A-Za-z0-9\\"]*'))
  const rest = String.raw`(?:[^"\\]++|\\.)*+"\s*+:`
  const named = plan.nestedSecrets.map((word) => `(?i:${word.replace(/[^\w]/g, '\\$&')})"\\s*+:`)
  const pattern = [
    `${begin}(?i:${words.join('|')})${end}${rest}`,
    String.raw`\\u[0-9a-fA-F]{4}${rest}`,
    ...named.map((item) => `"${item}`),
  ].join('|')
  return `convert(${value} using utf8mb4) collate utf8mb4_bin regexp ${literal(pattern)}`
}
