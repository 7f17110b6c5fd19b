import type { PlannedColumn, TablePlan } from '../../capture/plan.ts'
import { literal, name } from './quote.ts'
import { squeezed } from './secrets.ts'

/** Beyond these, JavaScript would round: such an integer is recorded as text. */
const largest = '9007199254740991'
/** A row in a trigger: before, after, or one that is looked up. */
export type Row = 'old' | 'new' | 'x'

const masked = `'{"$":"masked"}'`

/** A value in the text of JSON, whatever its storage class: SQLite decides that by the value, not by the column. */
export function json(plan: TablePlan, column: PlannedColumn, row: Row): string {
  const value = of(column, row)
  if (column.redaction !== 'keep') return `case when ${value} is null then 'null' else ${masked} end`
  if (column.form === 'native') return integer(value)
  const classes = [
    `when 'text' then ${text(plan, column, value)}`,
    `when 'integer' then ${integer(value)}`,
    `when 'null' then 'null'`,
    `when 'real' then ${real(value)}`,
  ]
  if (!holdsText(column.type)) classes.push(classes.shift()!) // the likely one first
  return `case typeof(${value}) ${classes.join(' ')} else ${blob(plan, column, value)} end`
}

/** Whether text is what a column of this type is meant for. */
function holdsText(type: string): boolean {
  return !/int|real|floa|doub/i.test(type) && (type === '' || /char|clob|text|json|blob|any/i.test(type))
}

function integer(value: string): string {
  return `case when ${value} between -${largest} and ${largest} then ${value} else '"' || ${value} || '"' end`
}

function text(plan: TablePlan, column: PlannedColumn, value: string): string {
  const cut = `when length(${value}) > ${Math.floor(plan.maxValueBytes / 4)} and length(cast(${value} as blob)) > ${plan.maxValueBytes} then '{"$":"cut","length":' || length(${value}) || '}'`
  const secret =
    column.form === 'json'
      ? ` when ${maySecret(plan, value)} and (not json_valid(${value}) or ${hasSecret(plan, value)}) then ${masked}`
      : holdsText(column.type)
        ? ` when ${mayBeJson(value)} and ${maySecret(plan, value)} and json_valid(${value}) and ${hasSecret(plan, value)} then ${masked}`
        : ''
  return `case ${cut}${secret} else json_quote(${value}) end`
}

/** JSON may stand in any text, since there is no type of it: by its first character, which may be white space. */
function mayBeJson(value: string): string {
  const from = (low: string, high: string): string =>
    `${value} >= '${low}' collate binary and ${value} < '${high}' collate binary`
  return `(${from('[', '\\')} or ${from('{', '|')} or ${value} < '!' collate binary)`
}

/** A plain look at the text, since few texts have to be parsed. An escape may hide a name. */
function maySecret(plan: TablePlan, value: string): string {
  const named = plan.nestedSecrets
    .map((secret) => ` or instr(w.text, ${literal(secret.toLowerCase())})`)
    .join('')
  return `exists (select 1 from (select lower(${value}) as text limit 1) w where instr(w.text, '\\u')${named} or exists (select 1 from whodunit_secret_stem s where instr(w.text, s.stem)))`
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

function blob(plan: TablePlan, column: PlannedColumn, value: string): string {
  if (column.form === 'json') return masked // JSON in binary, which older versions cannot look into
  return `case when length(${value}) * 2 > ${plan.maxValueBytes} then '{"$":"cut","length":' || length(${value}) || '}' else '{"$":"blob","hex":"' || hex(${value}) || '"}' end`
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
