import { lineSeparator, partSeparator, restLines } from '../../core/internal.ts'

const part = `e'\\x${partSeparator.charCodeAt(0).toString(16)}'`
const line = lineSeparator === '\n' ? `e'\\n'` : lineSeparator

/** Parts, and the lines of the last one, put together. */
export const joinParts = (parts: string): string => `concat_ws(${part}, ${parts})`
export const joinLines = (lines: string): string => `concat_ws(${line}, ${lines})`

/** Bytes of a context that is stored as it is: each of its parts then fits an index. A longer one is cut before. */
export const longestContext = 2_500

/** The parts of the context that travels, as they are stored: an array, with NULL for an empty part. */
export function contextParts(context: string): string {
  return `string_to_array(${context}, ${part}, '')`
}

/** A context with each of its parts cut: too long a text must not fail the application's write. */
export function cutContext(context: string): string {
  const parts = [1, 2, 3, 4].map(
    (which) => `left(split_part(${context}, ${part}, ${which}), ${which === 4 ? 20_000 : 200})`,
  )
  return joinParts(parts.join(', '))
}

/** The line of a stored context, as SQL. Total: text of any form has an answer. */
export function contextLine(context: string, which: (typeof restLines)[number]): string {
  return `nullif(split_part(${context}, ${line}, ${restLines.indexOf(which) + 1}), '')`
}

/** The lines of a context of which these are known, as SQL. */
export function contextLines(known: Partial<Record<(typeof restLines)[number], string>>): string {
  return joinLines(restLines.map((of) => (known[of] ? `coalesce(${known[of]}, '')` : `''`)).join(', '))
}

/** What stands for the context of a write that came with none: the connection's address and program. */
export function connectionLines(withAddress: boolean): string {
  const between = (call: string): string => `', ${call}, e'`
  const lines: Partial<Record<(typeof restLines)[number], string>> = {
    ...(withAddress ? { ip: between('inet_client_addr()') } : {}),
    userAgent: between(`current_setting('application_name')`),
    origin: 'sql',
  }
  return `concat(e'${restLines.map((name) => lines[name] ?? '').join('\\n')}')`
}
