import { randomBytes } from 'node:crypto'

/*
 * How the context travels where a session's user variables are all there is (MariaDB, MySQL): set before a statement
 * that may write, and cleared behind it, or behind its transaction, since such a variable outlives both. So a session
 * holds a context while a transaction is open, and none at any other time.
 */

/** What a session holds right now, by all that was sent to it. */
export interface SessionState {
  context: string
  /** The transaction that the session is told to be in; `null` outside of any. */
  token: string | null
  /** Whether a transaction is open that a statement of the application began. */
  open: boolean
  /** The token of the open transaction. */
  current: string
}

export function newSession(): SessionState {
  return { context: '', token: null, open: false, current: '' }
}

/** Statements to be sent before and behind one of the application. */
export interface Around {
  readonly before?: string
  readonly behind?: string
}

const clearing = 'set @whodunit_context = null, @whodunit_transaction = null'

/** What has to go around a statement; `state` is then that behind it. */
export function around(state: SessionState, text: string, context: string): Around {
  const words = wordsOf(text)
  const steps = words.map(({ word, rest }) => step(state, word, rest))
  const writes = words.some(({ word }) => !quiet.has(word)) || text.includes('@whodunit_')
  // all of it in one transaction, which may begin with the first statement and end with the last
  const inside =
    state.current !== '' &&
    steps.every((of, index) => of === 'on' || (of === 'begin' && index === 0) || index === steps.length - 1)
  const token = inside ? state.current : null
  if (!state.open) state.current = ''
  // what only reads runs with what is there, unless that is another's
  const matters = writes || (state.context !== '' && words.some(({ word }) => reads.has(word)))
  const differs = state.context !== context || state.token !== token
  const before = matters && differs ? setting(context, token) : undefined
  if (before) [state.context, state.token] = [context, token]
  const holds = state.context !== '' || state.token !== null
  const behind = holds && !state.open ? clearing : undefined
  if (behind) [state.context, state.token] = ['', null]
  return { ...(before ? { before } : {}), ...(behind ? { behind } : {}) }
}

/** What has to be sent before a session goes to somebody else. */
export function atRelease(state: SessionState): string | undefined {
  const holds = state.context !== '' || state.token !== null
  Object.assign(state, newSession())
  return holds ? clearing : undefined
}

/** In hexadecimal, so that neither the character set nor the `sql_mode` of the session can change it. */
function setting(context: string, token: string | null): string {
  const text = context === '' ? 'null' : `_utf8mb4 x'${Buffer.from(context).toString('hex')}'`
  return `set @whodunit_context = ${text}, @whodunit_transaction = ${token === null ? 'null' : `'${token}'`}`
}

// One process's transactions are told from another's by the first half
const processToken = randomBytes(6).toString('hex')
let transactions = 0

type Step = 'begin' | 'end' | 'on'

function step(state: SessionState, word: string, rest: string): Step {
  const begins = word === 'begin' || (word === 'start' && /^transaction\b/i.test(rest))
  const ends = word === 'commit' || (word === 'rollback' && !/^(work\s+)?to\b/i.test(rest))
  if (begins || (ends && /\band\s+chain\b/i.test(rest))) {
    state.open = true
    state.current = `${processToken}${(++transactions).toString(36)}`
    return 'begin'
  }
  if (!ends && !commits.has(word) && !(word === 'set' && /\bautocommit\b/i.test(rest))) return 'on'
  state.open = false
  return 'end'
}

/** These only read; what they call may write all the same, and has then no context outside of a transaction. */
const reads = new Set(['select', 'show', 'explain', 'describe', 'desc', 'table', 'values'])
/** These commit what is open. */
const commits = new Set([
  'create',
  'alter',
  'drop',
  'rename',
  'truncate',
  'grant',
  'revoke',
  'lock',
  'unlock',
])
const quiet = new Set([
  ...reads, ...commits, 'begin', 'start', 'commit', 'rollback', 'savepoint', 'release', 'set', 'use', 'analyze', 'optimize',
  'check', 'repair', 'flush', 'kill', 'help', 'prepare', 'deallocate', 'xa', 'reset', 'change', 'stop', 'binlog', 'cache',
  'signal', 'resignal', 'get', 'install', 'uninstall', 'purge', 'shutdown', '',
]) // prettier-ignore

// Backslashes escape, unless the session says otherwise: then a text may be cut in the wrong place, and is taken to write
const token =
  /'(?:[^'\\]|\\[^]|'')*'?|"(?:[^"\\]|\\[^]|"")*"?|`[^`]*`?|--[ \t\r\n][^\n]*|--$|#[^\n]*|\/\*[^]*?(?:\*\/|$)|[\w$\u0080-\uffff]+|\s+|[^]/iy

/** The first word of each statement of a text, and what stands behind it. A comment that the server runs is no comment. */
function wordsOf(text: string): { readonly word: string; readonly rest: string }[] {
  const statements: { word: string; rest: string }[] = []
  let open = false
  for (let at = 0; at < text.length; at = token.lastIndex) {
    token.lastIndex = at
    const found = token.exec(text)![0]
    if (found === ';') open = false
    else if (found.startsWith('/*') && !/^\/\*(!|M!)/.test(found)) continue
    else if (!open && /^[^\s(#-]/.test(found)) {
      open = true
      const rest = text.slice(token.lastIndex, token.lastIndex + 200).trimStart()
      const word = /^\w+$/.test(found) ? found.toLowerCase() : 'other'
      const block = word === 'begin' && /^not\b/i.test(rest) // of several statements, and no transaction
      statements.push({ word: block ? 'other' : word, rest })
      if (!text.includes(';', token.lastIndex)) break
    }
  }
  return statements
}
