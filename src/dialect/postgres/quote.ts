/** A name as SQL: always quoted, so that keywords, capitals, quotes and Unicode need no care. */
export function name(value: string): string {
  return `"${value.replaceAll('"', '""')}"`
}

/** A text as SQL, whatever `standard_conforming_strings` says. */
export function literal(value: string): string {
  const quoted = `'${value.replaceAll("'", "''")}'`
  return value.includes('\\') ? `E${quoted.replaceAll('\\', '\\\\')}` : quoted
}

export function table(of: { readonly schema: string; readonly name: string }): string {
  return `${name(of.schema)}.${name(of.name)}`
}

/** A body between dollar quotes that it cannot close by itself, whatever names are in it. */
export function dollarQuote(body: string): string {
  let tag = '$whodunit$'
  for (let n = 1; body.includes(tag); n++) tag = `$whodunit${n}$`
  return `${tag}${body}${tag}`
}
