import type { Command } from 'commander'
import { InvalidArgumentError } from 'commander'
import { toDate, toQuery } from '../core/query.ts'
import type { AuditEntry, EntryFilter } from '../index.ts'
import type { Audit } from '../index.ts'
import { note } from './output.ts'

/** The options of {@link addFilters} as commander gives them: named as the filter's own keys. */
export interface FilterOptions extends Omit<EntryFilter, 'target' | 'since' | 'until'> {
  readonly since?: string
  readonly until?: string
  readonly limit?: number
  readonly after?: string
}

const lists = [
  ['kind', 'change, event, login, export, system, request'],
  ['action', 'such as UPDATE, LOGIN, invoice.refunded'],
  ['model', 'a table, as the trail names it'],
  ['severity', 'info, low, medium, high, critical'],
] as const

const singles = [
  ['actor', 'ID', 'an id, or TYPE:ID'],
  ['subject', 'ID', 'whose personal data the row holds'],
  ['request', 'ID', 'everything one request or run did'],
  ['tenant', 'ID', ''],
  ['ip', 'ADDRESS', ''],
  ['since', 'WHEN', 'from then on: 2026-01-31, an ISO time, or an age such as 30d'],
  ['until', 'WHEN', 'before then'],
  ['changed', 'COLUMN', 'a column whose value was changed'],
  ['text', 'TEXT', 'anywhere in it, ignoring case'],
  ['tx', 'ID', 'a transaction'],
  ['category', 'NAME', ''],
  ['tag', 'NAME', ''],
] as const

/** Adds the filters of the trail to a command. */
export function addFilters(command: Command): Command {
  for (const [name, what] of lists)
    command.option(`--${name} <${name.toUpperCase()}>`, `${what} (several: repeat, or commas)`, list)
  for (const [name, value, what] of singles) command.option(`--${name} <${value}>`, what, once)
  return command
    .option('--limit <N>', 'entries at most', wholeNumber)
    .option('--after <CURSOR>', 'go on after this page: the cursor it ended with', once)
}

function list(value: string, before: readonly string[] = []): string[] {
  const values = value.split(',').map((item) => item.trim())
  if (values.includes('')) throw new InvalidArgumentError('It is empty, or has an empty value.')
  return [...before, ...values]
}

/** The second of two would win in silence, and an empty one match nothing. */
function once(value: string, before: string | undefined): string {
  if (value === '') throw new InvalidArgumentError('It is empty.')
  if (before !== undefined) throw new InvalidArgumentError('It can be given once only.')
  return value
}

export function wholeNumber(value: string): number {
  const number = Number(value)
  if (!/^\d{1,9}$/.test(value) || number < 1) throw new InvalidArgumentError('Give a whole number from 1 on.')
  return number
}

/**
 * The filter of the options. Ages are counted here, once: pages of one run must have the same bounds.
 *
 * @throws AUDIT_QUERY_INVALID, before any database is opened
 */
export function toFilter(options: FilterOptions, now: Date = new Date()): EntryFilter {
  const filter: Record<string, unknown> = {}
  for (const [name] of [...lists, ...singles]) if (options[name] !== undefined) filter[name] = options[name]
  for (const name of ['since', 'until'] as const) {
    if (options[name] !== undefined) filter[name] = toDate(name, options[name], now)
  }
  toQuery(filter, now)
  return filter
}

export interface PagesOptions {
  /** @default all */
  readonly limit?: number | undefined
  readonly after?: string | undefined
  /** Hears where to go on, if the limit ended it. */
  readonly onMore?: (cursor: string) => void
}

const pageSize = 500

/** Entries of a filter, newest first, page by page. */
export async function* readEntries(
  audit: Audit,
  filter: EntryFilter,
  options: PagesOptions = {},
): AsyncGenerator<AuditEntry, void, undefined> {
  let { after, limit: left = Infinity } = options
  while (left > 0) {
    const page = await audit.entries.find(filter, {
      limit: Math.min(pageSize, left),
      ...(after === undefined ? {} : { after }),
    })
    yield* page.entries
    left -= page.entries.length
    if (page.next === null) return
    after = page.next
  }
  if (after !== undefined) options.onMore?.(after)
}

/** How to get the next page: bounds that were given as ages must stay what they are. */
export function noteMore(options: FilterOptions, filter: EntryFilter, cursor: string): void {
  const bounds = (['since', 'until'] as const).flatMap((name) => {
    const moment = filter[name]
    return moment instanceof Date && moment.toISOString() !== options[name]
      ? [`--${name} ${moment.toISOString()}`]
      : []
  })
  note(`There is more: repeat the command with ${[...bounds, `--after ${cursor}`].join(' ')}`)
}
