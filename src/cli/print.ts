import { oneLine } from '../core/text.ts'
import type { Actor, AuditEntry, ChangeMark, ChangeValue, Target } from '../index.ts'
import type { Paint } from './output.ts'

export interface PrintOptions {
  /** Columns of a line. */
  readonly width: number
  readonly paint: Paint
}

/** Most characters of one value, one name; most lines of changes. */
const longest = { value: 40, who: 40, what: 60, below: 8 } as const
/** Where the next column begins, if the text before it is short enough. */
const columns = { who: 16, action: 7 } as const

/**
 * An entry as lines for people: when (UTC), who, what, to what, the changed columns, from where; then the reason, if one
 * was given. Nothing that a stranger wrote reaches the terminal unescaped.
 */
export function entryLines(entry: AuditEntry, { width, paint }: PrintOptions): string[] {
  const when = entry.at.toISOString().slice(0, 19).replace('T', ' ')
  const who = shorten(whoOf(entry.actor), longest.who)
  const action = shorten(entry.action, longest.who)
  const what = shorten(whatOf(entry.target), longest.what)
  const from = whereOf(entry)
  const head = [when, who.padEnd(columns.who), action.padEnd(columns.action), what].filter(Boolean).join('  ')
  const room = Math.max(24, width - head.length - from.length - 4)
  const changes = changesOf(entry)
  const inline = changes.join(', ').length <= room
  const facts = shorten(entry.changes ? (inline ? changes.join(', ') : '') : factsOf(entry), room)
  const line = [
    paint('dim', when),
    paint('cyan', who) + ' '.repeat(Math.max(0, columns.who - who.length)),
    paint(colourOf(entry), action) + ' '.repeat(Math.max(0, columns.action - action.length)),
    paint('bold', what),
    facts,
    paint('dim', from),
  ]
  const lines = [
    line
      .filter((part) => part !== '')
      .join('  ')
      .trimEnd(),
  ]
  if (!inline) lines.push(...below(changes, width))
  if (entry.reason) lines.push(paint('dim', `    reason: ${shorten(entry.reason, Math.max(24, width - 12))}`))
  return lines
}

function whoOf(actor: Actor | null): string {
  if (!actor) return 'unknown'
  const name = actor.label ?? (actor.id === null ? actor.type : `${actor.type}:${actor.id}`)
  return actor.onBehalfOf ? `${name} for ${whoOf(actor.onBehalfOf)}` : name
}

function whatOf(target: Target | null): string {
  if (!target) return ''
  const name = target.id === null ? target.model : `${target.model}/${target.id}`
  return target.label && target.label !== target.id ? `${name} (${target.label})` : name
}

function whereOf({ request, details }: AuditEntry): string {
  const { address, application } = details as { address?: unknown; application?: unknown }
  const where = [request?.ip, address, application].find((item) => typeof item === 'string')
  return where === undefined ? '' : `from ${shorten(where, 64)}`
}

function factsOf(entry: AuditEntry): string {
  if (entry.kind === 'request') {
    const { status, duration, aborted } = entry.details
    const path = [entry.request?.method, entry.request?.path].filter(Boolean).join(' ')
    return [
      path,
      status === undefined ? '' : String(status),
      duration === undefined ? '' : `${duration} ms`,
      aborted ? 'aborted' : '',
    ]
      .filter(Boolean)
      .join('  ')
  }
  if (entry.kind === 'system') {
    const { title, description, error, note } = entry.details
    const failure = error?.message && `${error.name}: ${error.message}`
    return [title, failure, description, note].filter((part) => typeof part === 'string').join('; ')
  }
  if (entry.kind === 'login') return [entry.details.status, entry.details.username].filter(Boolean).join(' ')
  return Object.entries(entry.details)
    .filter(([name]) => !['address', 'application'].includes(name))
    .map(([name, value]) => `${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(', ')
}

/** Changes that one line has no room for, as few lines as hold them. */
function below(changes: readonly string[], width: number): string[] {
  const lines: string[] = []
  for (const change of changes) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + change.length + 2 <= width)
      lines[lines.length - 1] = `${last}, ${change}`
    else lines.push(`    ${shorten(change, Math.max(24, width - 4))}`)
  }
  return lines.length <= longest.below
    ? lines
    : [...lines.slice(0, longest.below - 1), `    ... ${changes.length} columns in all`]
}

/** A new row has no before and a removed one no after: there, one value says it all, and empty columns say nothing. */
function changesOf({ action, changes }: AuditEntry): string[] {
  if (!changes) return []
  const side = action === 'CREATE' || action === 'SNAPSHOT' ? 1 : action === 'DELETE' ? 0 : undefined
  return Object.entries(changes)
    .filter(([, change]) => side === undefined || change?.[side] !== null)
    .map(([column, change]) => {
      if (!Array.isArray(change)) return `${column}: ${JSON.stringify(change)}` // written by hand
      if (side !== undefined) return `${column}: ${shownValue(change[side])}`
      return `${column}: ${shownValue(change[0])} -> ${shownValue(change[1])}`
    })
}

/** A recorded value. Texts are in quotes only where they would read as something else. */
export function shownValue(value: ChangeValue): string {
  if (value === null || typeof value === 'boolean' || typeof value === 'number') return String(value)
  if (typeof value === 'string') {
    const ambiguous = value === '' || value !== value.trim() || /^(null|true|false|\*\*\*)$/.test(value)
    return shorten(ambiguous ? JSON.stringify(value) : value, longest.value)
  }
  return value === undefined ? '' : shownMark(value)
}

function shownMark(mark: ChangeMark): string {
  if (mark.$ === 'masked') return '***'
  if (mark.$ === 'hash') return `#${shorten(String(mark.v), 7)}`
  if (mark.$ === 'cut') return `(cut, ${mark.length} characters)`
  if (mark.$ === 'blob') return `0x${shorten(String(mark.hex), longest.value)}`
  return shorten(JSON.stringify(mark), longest.value) // of a later release
}

/** On one line, control marks visible, at most so many characters. */
function shorten(text: string, most: number): string {
  const characters = [...oneLine(text, most * 2 + 2)]
  return characters.length > most ? `${characters.slice(0, most - 1).join('')}…` : characters.join('')
}

function colourOf({ kind, action }: AuditEntry): Parameters<Paint>[0] {
  if (kind === 'system' || action === 'DELETE' || action === 'TRUNCATE') return 'red'
  if (kind === 'change') return action === 'CREATE' ? 'green' : 'yellow'
  return 'magenta'
}

/** An entry as JSON on one line, for programs; control marks that JSON lets through are escaped too. */
export function entryJson(value: unknown, space?: number): string {
  return JSON.stringify(value, null, space).replace(
    /[\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
    (mark) => `\\u${mark.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
