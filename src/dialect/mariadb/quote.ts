/** A name as SQL: always quoted, so that keywords, quotes and Unicode need no care. */
export function name(value: string): string {
  return `\`${value.replaceAll('`', '``')}\``
}

/**
 * A text as SQL, whatever `sql_mode` says of backslashes. Without one in it, and without a line break, also because
 * information_schema shows those of a trigger's text in another form than they were given in: it could not be compared.
 */
export function literal(value: string): string {
  if (/[\\\n]/.test(value)) return `convert(unhex('${Buffer.from(value).toString('hex')}') using utf8mb4)`
  return `'${value.replaceAll("'", "''")}'`
}

/**
 * Without the strict modes: in a trigger, a text that is too long is to be cut, not to fail the application's write.
 * Triggers, routines and views keep the mode of their creation, whatever that of the application is.
 */
export const ownMode = `set session sql_mode = ''`
