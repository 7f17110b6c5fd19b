/**
 * How the context may be set for a statement. `plain`: in front of it, in the same transaction. `none`: it controls the
 * session or the transaction, or changes the schema, and writes no audited row. `apart`: it may end transactions itself,
 * so nothing can share one with it.
 */
export type StatementKind = 'plain' | 'none' | 'apart'

// White space, comments and opening brackets before the first word
const firstWord = /^(?:\s+|--[^\n]*(?:\n|$)|\/\*(?:[^*]|\*(?!\/))*\*\/|\()*([a-z]+)/i

const none = new Set([
  'begin', 'start', 'commit', 'end', 'rollback', 'abort', 'savepoint', 'release', 'set', 'reset', 'show', 'discard',
  'prepare', 'deallocate', 'listen', 'unlisten', 'notify', 'checkpoint', 'load', 'lock', 'create', 'alter', 'drop',
  'vacuum', 'reindex', 'cluster', 'analyze', 'grant', 'revoke', 'comment', 'refresh', 'security', 'import', 'close',
]) // prettier-ignore
const apart = new Set(['call', 'do'])
/** Refused by the server inside a transaction, so they must stay alone even in a list of statements. */
const alone = new Set(['vacuum', 'reindex', 'cluster', 'checkpoint'])

/** `list`: the text may hold several statements (the simple protocol), and is judged as a whole. */
export function statementKind(text: string, list: boolean): StatementKind {
  const word = firstWord.exec(text)?.[1]?.toLowerCase() ?? ''
  if (list && /;\s*[^\s;]/.test(text)) return apart.has(word) ? 'apart' : alone.has(word) ? 'none' : 'plain'
  if (apart.has(word)) return 'apart'
  return none.has(word) ? 'none' : 'plain'
}

// After these, what was set in the transaction may hold no more
const forgets = /^(ROLLBACK|COMMIT|SET|RESET|DISCARD|PREPARE)/i
/** Whether a finished command may have changed or undone the context that was set. */
export function forgetsContext(command: string): boolean {
  return forgets.test(command)
}

/** Rows that a finished command changed, by the server's own count; 0 for everything that changes none. */
export function rowsChanged(command: string): number {
  const match = /^(?:INSERT \d+|UPDATE|DELETE|MERGE|COPY) (\d+)/.exec(command)
  return match ? Number(match[1]) : 0
}
