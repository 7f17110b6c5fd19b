/** A name as SQL: always quoted, so that keywords, quotes and Unicode need no care. */
export function name(value: string): string {
  return `\`${value.replaceAll('`', '``')}\``
}

/**
 * A text as SQL, for statements that run with the `sql_mode` of {@link ownMode}: triggers, routines and views keep the
 * mode of their creation, whatever that of the application is.
 */
export function literal(value: string): string {
  return `'${value.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
}

/**
 * Without the strict modes: in a trigger, a text that is too long is to be cut, not to fail the application's write.
 * Without ANSI_QUOTES, PIPES_AS_CONCAT and NO_BACKSLASH_ESCAPES: {@link literal} counts on that.
 */
export const ownMode = `set session sql_mode = ''`
