import type { PlannedColumn, TablePlan } from '../../capture/plan.ts'
import { literal, name } from './quote.ts'
import { secretStems, squeezed } from './secrets.ts'

/** Beyond these, JavaScript would round: such an integer is recorded as text. */
const largest = '9007199254740991'
/** A row in a trigger: before, after, or one that is looked up. */
export type Row = 'old' | 'new' | 'x'

const masked = `'{"$":"masked"}'`

/** How the values of a column are taken: as the fourth of {@link listed}. */
const taken = { openly: 0, json: 1, masked: 2, withoutLook: 3 } as const

/**
 * The recorded columns as a table of rows, so that the text that encodes a value stands in a trigger once, not once a
 * column: SQLite parses all triggers whenever a connection opens. `+` takes a value without its column's affinity.
 */
export function listed(columns: readonly PlannedColumn[], rows: readonly Row[]): string {
  return `(values ${columns
    .map((column) => {
      const values = rows.map((row) => `+${of(column, row)}`)
      return `(${[literal(`,${JSON.stringify(column.name)}:[`), howTaken(column), ...values].join(', ')})`
    })
    .join(', ')}) v`
}

function howTaken(column: PlannedColumn): number {
  if (column.redaction !== 'keep') return taken.masked
  if (column.form === 'json') return taken.json
  return holdsText(column.type) ? taken.openly : taken.withoutLook
}

/** Whether text is what a column of this type is meant for: there, a look is taken whether it is JSON. */
function holdsText(type: string): boolean {
  return !/int|real|floa|doub/i.test(type) && (type === '' || /char|clob|text|blob|any/i.test(type))
}

/** A value of the list in the text of JSON, whatever its storage class: SQLite decides that by the value. */
export function encoded(plan: TablePlan, value: string): string {
  const how = 'v.column2'
  const limit = plan.maxValueBytes
  // length() counts characters, and of a text only those before a NUL
  const cut = `when length(${value}) > ${Math.floor(limit / 4)} and length(cast(${value} as blob)) > ${limit} then '{"$":"cut","length":' || length(${value}) || '}'`
  const look = `${how} < ${taken.masked} and (${how} = ${taken.json} or ${mayBeJson(value)})`
  const secret = `case when json_valid(${value}) then ${hasSecret(plan, value)} else ${how} = ${taken.json} end`
  const hides = `when ${look} and ${maySecret(plan, value)} and ${secret} then ${masked}`
  return `case when ${value} is null then 'null' when ${how} = ${taken.masked} then ${masked} else case typeof(${value}) when 'text' then case ${cut} ${hides} else json_quote(${value}) end when 'integer' then ${integer(value)} when 'real' then ${real(value)} else ${blob(plan, value)} end end`
}

function integer(value: string): string {
  return `case when ${value} between -${largest} and ${largest} then ${value} else '"' || ${value} || '"' end`
}

/** JSON may stand in any text, since there is no type of it: by its first character, which may be white space. */
function mayBeJson(value: string): string {
  const [from, to] = [`${value} collate binary >=`, `${value} collate binary <`]
  return `(${to} '!' or ${from} '[' and (${to} '\\' or ${from} '{' and ${to} '|'))`
}

/** A plain look at the text, since few texts have to be parsed. Without a colon there are no names; an escape may hide one. */
function maySecret(plan: TablePlan, value: string): string {
  const words = ['\\u', ...secretStems, ...plan.nestedSecrets.map((secret) => secret.toLowerCase())]
  const looks = words.map((word) => `instr(w.text, ${literal(word)})`)
  return `instr(${value}, ':') and (select ${looks.join(' or ')} from (select lower(${value}) as text limit 1) w)`
}

function hasSecret(plan: TablePlan, value: string): string {
  const named = plan.nestedSecrets.map((secret) => literal(secret.toLowerCase())).join(', ')
  const builtIn = `exists (select 1 from whodunit_secret s where instr(k.squeezed, s.word) and '-' || k.key || '-' glob s.pattern)`
  const keys = `select t.key, ${squeezed('t.key')} as squeezed from json_tree(${value}) t where typeof(t.key) = 'text' and t.type <> 'null' limit -1 offset 0`
  return `exists (select 1 from (${keys}) k where ${builtIn}${named && ` or lower(k.key) in (${named})`})`
}

/** The shortest text that reads back as the same number. */
function real(value: string): string {
  return `case when abs(${value}) > 1.7976931348623157e308 then case when ${value} > 0 then '"Infinity"' else '"-Infinity"' end when cast(printf('%!.15g', ${value}) as real) = ${value} then printf('%!.15g', ${value}) else printf('%!.17g', ${value}) end`
}

/** JSON in binary, which older versions cannot look into, is hidden where JSON is meant. */
function blob(plan: TablePlan, value: string): string {
  return `case when v.column2 = ${taken.json} then ${masked} when length(${value}) * 2 > ${plan.maxValueBytes} then '{"$":"cut","length":' || length(${value}) || '}' else '{"$":"blob","hex":"' || hex(${value}) || '"}' end`
}

/** Whether the stored images differ: by type, and by every byte whatever the column's collation. */
export function differs(column: PlannedColumn): string {
  const [before, after] = [of(column, 'old'), of(column, 'new')]
  if (column.form === 'native') return `${before} is not ${after}`
  const images = `${before} is not ${after} collate binary`
  return column.exactEquality ? images : `(${images} or typeof(${before}) <> typeof(${after}))`
}

/** The key as text; a composite key is a compact JSON array of texts. */
export function keyText(plan: TablePlan, row: Row): string {
  const texts = plan.key.map((column) => plainText(column, row))
  return texts.length === 1 ? texts[0]! : `json_array(${texts.join(', ')})`
}

/** A value as text, for keys, labels and subjects; a secret is starred. */
export function plainText(column: PlannedColumn, row: Row): string {
  const value = of(column, row)
  if (column.redaction !== 'keep') return `case when ${value} is not null then '***' end`
  if (column.form === 'native') return `cast(${value} as text)`
  return `case typeof(${value}) when 'text' then ${value} when 'blob' then hex(${value}) else cast(${value} as text) end`
}

export function of(column: PlannedColumn, row: string): string {
  return `${row}.${name(column.name)}`
}
