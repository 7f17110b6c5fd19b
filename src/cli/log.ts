import type { AuditEntry, EntryFilter } from '../index.ts'
import { usage } from './failure.ts'
import { type FilterOptions, noteMore, readEntries, toFilter } from './filters.ts'
import { entryJson, entryLines } from './print.ts'
import { note, paintFor, stdout, widthOf } from './output.ts'
import { type GlobalOptions, type Session, withSession } from './session.ts'

export type LogCommand = GlobalOptions & FilterOptions

/** Entries that people get without asking for a number. */
const defaultLimit = 50

/**
 * Entries, newest first: lines for people, 50 at most unless `--limit` says otherwise; with `--json` one array of all of
 * them, written as it is read. `MODEL/ID` alone is the history of one object, also under the keys that it had before.
 */
export async function log(options: LogCommand, object?: string): Promise<number> {
  const { filter, target } = toTarget(object, toFilter(options))
  const limit = options.limit ?? (options.json ? undefined : defaultLimit)
  return withSession(options, async (session) => {
    const entries =
      target && Object.keys(filter).length === 1 && options.after === undefined
        ? readHistory(session, target, limit)
        : readEntries(session.audit, filter, {
            limit,
            after: options.after,
            onMore: (cursor) => noteMore(options, filter, cursor),
          })
    await (options.json ? printJson(entries) : printLines(entries))
    return 0
  })
}

interface ObjectName {
  readonly model: string
  readonly id: string
}

/** `MODEL/ID` is split at the first slash, since an id may hold more of them; a lone MODEL is a filter. */
function toTarget(
  object: string | undefined,
  filter: EntryFilter,
): { filter: EntryFilter; target?: ObjectName } {
  if (object === undefined) return { filter }
  if (filter.model !== undefined)
    throw usage(`"${object}" and --model were both given.`, 'Give one of the two.')
  const slash = object.indexOf('/')
  const model = slash < 0 ? object : object.slice(0, slash)
  const id = slash < 0 ? undefined : object.slice(slash + 1)
  if (model === '' || id === '') throw usage(`"${object}" is no MODEL/ID.`, 'Such as: customer/1')
  if (id === undefined) return { filter: { ...filter, model } }
  const target = { model, id: compositeKey(id) ?? id }
  return { filter: { ...filter, target }, target }
}

/** A composite key in the form of the trail, however its JSON was spaced: `["1","a"]`. */
function compositeKey(id: string): string | undefined {
  if (!id.startsWith('[')) return undefined
  try {
    const parts: unknown = JSON.parse(id)
    const plain =
      Array.isArray(parts) &&
      parts.length > 1 &&
      parts.every((part) => ['string', 'number'].includes(typeof part))
    return plain ? JSON.stringify((parts as unknown[]).map(String)) : undefined
  } catch {
    return undefined
  }
}

async function* readHistory(
  { audit }: Session,
  { model, id }: ObjectName,
  limit = Infinity,
): AsyncGenerator<AuditEntry, void, undefined> {
  const entries = await audit.history(model, id)
  yield* entries.slice(0, limit)
  if (entries.length > limit)
    note(`There is more: ${entries.length} entries in all, --limit ${entries.length} shows them`)
}

async function printLines(entries: AsyncIterable<AuditEntry>): Promise<void> {
  const options = { width: widthOf(process.stdout), paint: paintFor(process.stdout) }
  let any = false
  for await (const entry of entries) {
    any = true
    for (const line of entryLines(entry, options)) await stdout.write(`${line}\n`)
  }
  if (!any) note('No entries.')
}

async function printJson(entries: AsyncIterable<AuditEntry>): Promise<void> {
  let before = '[\n'
  for await (const entry of entries) {
    await stdout.write(before + entryJson(entry))
    before = ',\n'
  }
  await stdout.write(before === '[\n' ? '[]\n' : '\n]\n')
}
