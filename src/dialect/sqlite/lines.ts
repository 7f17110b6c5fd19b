import { lineSeparator, restLines } from '../../core/internal.ts'

/** A character that nobody uses, and that JSON does not escape. */
const mark = 'char(57344)'

/**
 * A line of a stored context, as SQL. Total: text of any form has an answer. SQLite has no function that splits a text,
 * so it is made a list in JSON.
 */
export function contextLine(context: string, which: (typeof restLines)[number]): string {
  const text = `json_quote(replace(${context}, char(${lineSeparator.charCodeAt(0)}), ${mark}))`
  return `nullif(json_extract('[' || replace(${text}, ${mark}, '","') || ']', '$[${restLines.indexOf(which)}]'), '')`
}
