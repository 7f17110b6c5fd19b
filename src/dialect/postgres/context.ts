import { lineSeparator, partSeparator, restLines } from '../../core/internal.ts'

const part = `e'\\x${partSeparator.charCodeAt(0).toString(16)}'`
const line = lineSeparator === '\n' ? `e'\\n'` : lineSeparator

/** Parts, and the lines of the last one, put together. */
export const joinParts = (parts: string): string => `concat_ws(${part}, ${parts})`
export const joinLines = (lines: string): string => `concat_ws(${line}, ${lines})`

/** A part of the context that travels, as it is stored: too long a text must not fail the application's write. */
export function contextPart(context: string, which: 1 | 2 | 3 | 4): string {
  return `left(nullif(split_part(${context}, ${part}, ${which}), ''), ${which === 4 ? 20_000 : 200})`
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
  const places = { ip: '%s', userAgent: '%s', origin: 'sql' }
  const lines = restLines.map((name) => places[name as keyof typeof places] ?? '').join('\\n')
  const address = withAddress ? 'host(inet_client_addr())' : 'null'
  return `format(e'${lines}', ${address}, current_setting('application_name'))`
}
