import { actorTypes, actorKey } from './actor.ts'
import { type EntryKind, kinds, type Severity, severities } from './entry.ts'
import { AuditError } from './errors.ts'
import { suggest } from './nearest.ts'

/** A moment: a `Date`, an ISO date string, or an age such as `'30d'` (`s`, `m`, `h`, `d`, `w`, `y`). */
export type Moment = Date | string

/** Which entries to read. Every condition given must hold; within a list, one of its values. */
export interface EntryFilter {
  readonly kind?: EntryKind | readonly EntryKind[]
  readonly action?: string | readonly string[]
  readonly model?: string | readonly string[]
  /** A target: its model and, if given, its id. */
  readonly target?: { readonly model: string; readonly id?: string | number | bigint }
  /** An actor's id, `type:id`, or `{ type, id }`. */
  readonly actor?: string | { readonly type?: string; readonly id: string | number }
  readonly subject?: string | number
  /** A request's id. */
  readonly request?: string
  readonly tenant?: string
  readonly ip?: string
  /** From this moment on, inclusive. */
  readonly since?: Moment
  /** Before this moment, exclusive. */
  readonly until?: Moment
  /** A column whose value the entry changed. */
  readonly changed?: string
  /** Text in label, actor, reason, action, model or changes, ignoring case. */
  readonly text?: string
  /** A transaction. */
  readonly tx?: string
  readonly category?: string
  readonly severity?: Severity | readonly Severity[]
  readonly tag?: string
}

const filterKeys: readonly (keyof EntryFilter)[] = [
  'kind', 'action', 'model', 'target', 'actor', 'subject', 'request', 'tenant', 'ip', 'since', 'until', 'changed', 'text',
  'tx', 'category', 'severity', 'tag',
] // prettier-ignore

/** A filter made plain for the store: lists, dates, and text only. */
export interface Query {
  /** The filter as it was asked, where ages are not yet dates: what a cursor belongs to. */
  readonly asked?: string
  readonly kinds?: readonly EntryKind[]
  readonly actions?: readonly string[]
  readonly models?: readonly string[]
  readonly targetId?: string
  /** The stored forms an actor may have, `user:42`. */
  readonly actors?: readonly string[]
  readonly subject?: string
  readonly request?: string
  readonly tenant?: string
  readonly ip?: string
  readonly since?: Date
  readonly until?: Date
  /** Any of these columns. */
  readonly changed?: readonly string[]
  readonly text?: string
  readonly tx?: string
  readonly category?: string
  readonly severities?: readonly Severity[]
  readonly tag?: string
}

/** Entries of one page, newest first, and the cursor of the next; `null` after the last. */
export interface Page<T> {
  readonly entries: readonly T[]
  readonly next: string | null
}

const defaultPageSize = 50
export const maxPageSize = 1_000

/** Checks a filter and makes it plain. An unknown key or a value of the wrong form is `AUDIT_QUERY_INVALID`. */
export function toQuery(filter: EntryFilter, now: Date): Query {
  for (const key of Object.keys(filter)) {
    if (!filterKeys.includes(key as never)) {
      throw invalid(`A filter has no key "${key}".`, suggest(key, filterKeys))
    }
  }
  const list = <T extends string>(name: string, value: unknown, allowed?: readonly T[]): T[] | undefined => {
    if (value === undefined) return undefined
    const values = Array.isArray(value) ? value : [value]
    for (const item of values) {
      if (typeof item !== 'string') throw invalid(`The filter "${name}" takes text, not ${show(item)}.`, '')
      storable(name, item)
      if (allowed && !allowed.includes(item as T)) {
        throw invalid(`The filter "${name}" knows no "${item}".`, suggest(item, allowed))
      }
    }
    return values as T[]
  }
  const text = (name: string, value: unknown): string | undefined => {
    if (value === undefined) return undefined
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint')
      return storable(name, String(value))
    throw invalid(`The filter "${name}" takes text, not ${show(value)}.`, '')
  }
  const { target } = filter
  if (target !== undefined && typeof target?.model !== 'string') {
    throw invalid(`The filter "target" takes { model, id }, not ${show(target)}.`, '')
  }
  if (target) storable('target.model', target.model)
  const changed = text('changed', filter.changed)
  return dropUndefined({
    kinds: list('kind', filter.kind, kinds),
    actions: list('action', filter.action),
    models: target ? [target.model] : list('model', filter.model),
    targetId: text('target.id', target?.id),
    actors: filter.actor === undefined ? undefined : actorKeys(filter.actor),
    subject: text('subject', filter.subject),
    request: text('request', filter.request),
    tenant: text('tenant', filter.tenant),
    ip: text('ip', filter.ip),
    since: filter.since === undefined ? undefined : toDate('since', filter.since, now),
    until: filter.until === undefined ? undefined : toDate('until', filter.until, now),
    changed: changed === undefined ? undefined : [changed],
    text: text('text', filter.text),
    tx: text('tx', filter.tx),
    category: text('category', filter.category),
    severities: list('severity', filter.severity, severities),
    tag: text('tag', filter.tag),
  })
}

/** Checks a page size; the default is {@link defaultPageSize}, the most {@link maxPageSize}. */
export function toLimit(limit: unknown): number {
  if (limit === undefined) return defaultPageSize
  if (!Number.isInteger(limit) || (limit as number) < 1 || (limit as number) > maxPageSize) {
    throw invalid(
      `A limit is a whole number from 1 to ${maxPageSize}, not ${show(limit)}.`,
      'Use stream() for more.',
    )
  }
  return limit as number
}

const units = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000, y: 31_536_000_000 }

/** A moment as a date. `now` is the clock that ages such as `'30d'` are counted from. */
export function toDate(name: string, moment: unknown, now: Date): Date {
  if (moment instanceof Date && !Number.isNaN(moment.getTime())) return within(moment)
  if (typeof moment === 'string') {
    const age = /^(\d{1,6})([smhdwy])$/.exec(moment)
    if (age) return within(new Date(now.getTime() - Number(age[1]) * units[age[2] as keyof typeof units]))
    const date = /^\d{4}-\d{2}/.test(moment) ? new Date(moment) : undefined
    if (date && !Number.isNaN(date.getTime())) return within(date)
  }
  throw invalid(
    `"${name}" is no moment: ${show(moment)}.`,
    "Give a Date, an ISO date such as '2026-01-31', or an age such as '30d'.",
  )
}

function actorKeys(actor: unknown): string[] {
  if (typeof actor === 'string') {
    storable('actor', actor)
    const typed = actorTypes.some((type) => actor.startsWith(`${type}:`))
    return typed ? [actor] : actorTypes.map((type) => actorKey({ type, id: actor }))
  }
  const { type, id } = (typeof actor === 'object' && actor !== null ? actor : {}) as Record<string, unknown>
  if (typeof id !== 'string' && typeof id !== 'number') {
    throw invalid(`The filter "actor" takes an id, "type:id" or { type, id }, not ${show(actor)}.`, '')
  }
  storable('actor.id', String(id))
  if (type === undefined) return actorTypes.map((known) => actorKey({ type: known, id: String(id) }))
  if (!actorTypes.includes(type as never))
    throw invalid(
      `An actor has no type ${show(type)}.`,
      suggest(typeof type === 'string' ? type : '', actorTypes),
    )
  return [`${type as string}:${id}`]
}

/** The nearest moment that every database can write: from the year 1 to the year 9999. */
function within(date: Date): Date {
  const [first, last] = [-62_135_596_800_000, 253_402_300_799_999]
  const time = date.getTime()
  // not a number: an age beyond what a Date can count
  if (Number.isNaN(time) || time < first) return new Date(first)
  return time > last ? new Date(last) : date
}

/** No text of a database holds a NUL, so no entry can match one. */
function storable(name: string, text: string): string {
  if (text.includes('\u0000')) throw invalid(`The filter "${name}" is ${show(text)}.`, 'Leave the NUL out.')
  return text
}

function dropUndefined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined)) as never
}

function invalid(message: string, hint: string): AuditError {
  return new AuditError('AUDIT_QUERY_INVALID', message, hint)
}

function show(value: unknown): string {
  const text = value instanceof Date ? 'an invalid Date' : JSON.stringify(value)
  return text === undefined ? String(value) : text.slice(0, 80)
}
