/** A name as SQL: always quoted, so that keywords, capitals, quotes and Unicode need no care. */
export function name(value: string): string {
  return `"${value.replaceAll('"', '""')}"`
}

/** A text as SQL. It cannot hold a NUL, which ends a statement. */
export function literal(value: string): string {
  return `'${value.replaceAll('\u0000', '\\u0000').replaceAll("'", "''")}'`
}
