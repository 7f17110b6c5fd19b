/**
 * How the context may be set for a statement. `plain`: in front of it, in the same transaction. `none`: it controls the
 * session or the transaction, or changes the schema, and writes no audited row. `apart`: it may end transactions itself,
 * so nothing can share one with it.
 */
export type StatementKind = 'plain' | 'none' | 'apart'

const none = new Set([
  'begin', 'start', 'commit', 'end', 'rollback', 'abort', 'savepoint', 'release', 'set', 'reset', 'show', 'discard',
  'prepare', 'deallocate', 'listen', 'unlisten', 'notify', 'checkpoint', 'load', 'lock', 'create', 'alter', 'drop',
  'vacuum', 'reindex', 'cluster', 'analyze', 'grant', 'revoke', 'comment', 'refresh', 'security', 'import', 'close',
]) // prettier-ignore
const apart = new Set(['call', 'do'])
/** After these, what was set in the transaction may hold no more. */
const forgetting = new Set(['commit', 'end', 'rollback', 'abort', 'set', 'reset', 'discard', 'prepare'])

// Its answers go past the client, raw, to whoever copies: nothing may stand in front of them
const copiesOut = /^\s*copy\b.*\bto\s+stdout\b/is

// White space, comments and opening brackets before the first word
const firstWord = /^(?:\s+|--[^\n]*(?:\n|$)|\/\*(?:[^*]|\*(?!\/))*\*\/|\()*([a-z]+)/i

function wordOf(text: string): string {
  return firstWord.exec(text)?.[1]?.toLowerCase() ?? ''
}

function kindOf(word: string): StatementKind {
  return apart.has(word) ? 'apart' : none.has(word) ? 'none' : 'plain'
}

// Words without which a DO block can neither end a transaction nor call what does
const mayEnd = /commit|rollback|\bcall\b|\bexecute\b/i

function kindOfSingle(text: string): StatementKind {
  const word = wordOf(text)
  return word === 'do' && !mayEnd.test(text) ? 'plain' : kindOf(word)
}

/**
 * `list`: the text may hold several statements (the simple protocol). Several share one transaction whatever they are,
 * so a list is `plain` if anything in it may write: a CALL in it cannot end transactions either.
 */
export function statementKind(text: string, list: boolean): StatementKind {
  if (list && copiesOut.test(text)) return 'none'
  if (!list || isSingle(text)) return kindOfSingle(text)
  const statements = statementsOf(text)
  if (statements.length < 2) return kindOfSingle(text)
  return statements.some(({ word }) => kindOf(word) !== 'none') ? 'plain' : 'none'
}

/** A text with setters in it, as it goes to the server, and what is needed to hide them again. */
export interface TextWithContext {
  readonly text: string
  /** Where the setters stand in the text as it was sent, and how long they are, in characters. */
  readonly shifts: readonly { readonly at: number; readonly length: number }[]
  /** Of each completed SET, in order, whether it is ours. */
  readonly sets: boolean[]
  /** Whether the context still holds behind the text. */
  readonly holds: boolean
}

/**
 * Sets the context in a text so that it holds for every statement in it that may write: at the first one, if it does not
 * hold already, and again behind each one that may end or undo what was set.
 */
export function withContext(text: string, context: string, holds: boolean): TextWithContext {
  if (text.trim() === '' || copiesOut.test(text)) return { text, shifts: [], sets: [], holds }
  const setter = `${setContext(context, 'local')};`
  const length = [...setter].length
  const shifts: { at: number; length: number }[] = []
  const sets: boolean[] = []
  let sent = ''
  let from = 0
  for (const { at, word } of isSingle(text) ? [{ at: 0, word: wordOf(text) }] : statementsOf(text)) {
    if (word === 'set' && !/^set\s+constraints\b/i.test(text.slice(at, at + 40))) sets.push(false)
    if (forgetting.has(word)) holds = false
    if (holds || kindOf(word) === 'none') continue
    sent += text.slice(from, at)
    shifts.push({ at: [...sent].length, length })
    sets.push(true)
    sent += setter
    from = at
    holds = true
  }
  return { text: sent + text.slice(from), shifts, sets, holds }
}

/** An error's position, counted in the text as the application wrote it. */
export function shiftBack(
  error: { position?: string | undefined },
  { shifts }: Pick<TextWithContext, 'shifts'>,
): void {
  const position = Number(error.position)
  if (!(position > 0)) return
  const before = shifts.filter(({ at }) => at < position).reduce((sum, { length }) => sum + length, 0)
  error.position = String(position - before)
}

/** Whether the command that a text begins with may have changed or undone the context that was set. */
export function forgetsContext(text: string): boolean {
  return forgetting.has(wordOf(text))
}

/** Whether a transaction is open behind a text, by the statements in it. */
export function inTransactionAfter(text: string, before: boolean): boolean {
  return statementsOf(text).reduce((open, { at, word }) => {
    if (word === 'begin' || word === 'start') return true
    if (!['commit', 'end', 'rollback', 'abort', 'prepare'].includes(word)) return open
    const [, ...rest] = text
      .slice(at, at + 80)
      .toLowerCase()
      .split(/[^a-z]+/)
    if (word === 'prepare') return open && rest[0] !== 'transaction'
    const chained = rest.join(' ').replace(/^(work|transaction) /, '')
    return open && (chained.startsWith('to ') || chained.startsWith('and chain'))
  }, before)
}

/** The statement that gives the transaction, or the session, a context. */
export function setContext(context: string, to: 'local' | 'session'): string {
  return `set ${to} whodunit.context = ${literal(context)}`
}

/** A text as SQL, whatever `standard_conforming_strings` says. */
function literal(text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`
  return text.includes('\\') ? ` E${quoted.replaceAll('\\', '\\\\')}` : quoted
}

function isSingle(text: string): boolean {
  const end = text.indexOf(';')
  return end < 0 || text.slice(end + 1).trim() === ''
}

// E'...' knows backslashes; '' and "" inside a quote read as two quotes in a row, which comes to the same. A name may hold $
const token =
  /[eE]'(?:[^'\\]|''|\\[^])*'?|'[^']*'?|"[^"]*"?|--[^\n]*|\$(?:[a-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$|[\w\u0080-\uffff][\w$\u0080-\uffff]*|\/\*|\s+|[^]/iy

/** The statements of a text: where each begins, and its first word. Knows quotes, dollar quotes and comments. */
function statementsOf(text: string): { readonly at: number; readonly word: string }[] {
  const statements: { at: number; word: string }[] = []
  let open: { at: number; word: string } | undefined
  for (let at = 0; at < text.length; at = token.lastIndex) {
    token.lastIndex = at
    const found = token.exec(text)![0]
    if (found === ';') open = undefined
    else if (found === '/*') token.lastIndex = endOfComment(text, at)
    else if (!found.startsWith('--') && found.trim() !== '') {
      if (!open) statements.push((open = { at, word: '' }))
      if (open.word === '' && found !== '(') open.word = found.toLowerCase()
      if (found.startsWith('$') && found.endsWith('$') && found.length > 1) {
        const end = text.indexOf(found, at + found.length)
        token.lastIndex = end < 0 ? text.length : end + found.length
      }
    }
  }
  return statements
}

/** Block comments nest. */
function endOfComment(text: string, from: number): number {
  const mark = /\/\*|\*\//g
  mark.lastIndex = from
  for (let depth = 0, found = mark.exec(text); found; found = mark.exec(text)) {
    depth += found[0] === '/*' ? 1 : -1
    if (depth === 0) return mark.lastIndex
  }
  return text.length
}

/** Rows that a finished command changed, by the server's own count; 0 for everything that changes none. */
export function rowsChanged(command: string): number {
  const match = /^(?:INSERT \d+|UPDATE|DELETE|MERGE|COPY) (\d+)/.exec(command)
  return match ? Number(match[1]) : 0
}
