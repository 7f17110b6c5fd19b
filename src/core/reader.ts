import { actorKey } from './actor.ts'
import { describeEntry } from './describe.ts'
import type { TrailReader } from './database.ts'
import type { AuditEntry } from './entry.ts'
import type { Translator } from './names.ts'
import { AuditError } from './errors.ts'
import type { Policy } from './policy.ts'
import { type EntryFilter, maxPageSize, type Page, toLimit, toQuery } from './query.ts'

export interface FindOptions {
  /** @default 50, at most 1000 */
  readonly limit?: number
  /** The `next` of the page before, from a query with the same filter. */
  readonly after?: string
}

export interface FollowOptions {
  /** Milliseconds between looks where there was nothing new. @default 500 */
  readonly interval?: number
  /** Ends the following. */
  readonly signal?: AbortSignal
}

/** Entries as they are committed. `position` is where to go on from, after everything that was handed out so far. */
export interface EntryFeed extends AsyncIterable<AuditEntry> {
  readonly position: string | undefined
}

export interface EntryReader {
  /**
   * One page, newest first. The cursor is a key, not a count: entries written meanwhile neither repeat nor hide others.
   *
   * @throws AUDIT_QUERY_INVALID, AUDIT_QUERY_CURSOR
   * @example
   * const { entries, next } = await audit.entries.find({ model: 'invoices', since: '7d' }, { limit: 20 })
   */
  find(filter?: EntryFilter, options?: FindOptions): Promise<Page<AuditEntry>>
  /** All entries of a filter, newest first, read page by page. */
  stream(filter?: EntryFilter): AsyncIterable<AuditEntry>
  /** One entry by its id or its ref; `undefined` if there is none. */
  get(idOrRef: string): Promise<AuditEntry | undefined>
  /**
   * Everything that is committed from a position on: `'start'`, `'now'` (the default), or the `position` of an earlier
   * feed. Each entry once, none missed, whatever order the writers commit in; entries of one batch come in order of id.
   */
  follow(from?: string, options?: FollowOptions): EntryFeed
}

/** Reading for an application: checked filters, labels of actors, feeds. */
export function createReader(
  trail: TrailReader,
  policy: Policy,
  names: Translator,
  clock: () => Date,
): {
  entries: EntryReader
  history(model: string, id: string | number | bigint): Promise<readonly AuditEntry[]>
} {
  const completed = async (entries: readonly AuditEntry[]): Promise<readonly AuditEntry[]> => {
    const { actors } = policy
    const unlabelled = entries.flatMap(({ actor }) =>
      actor && !actor.label && actor.id ? [actorKey(actor)] : [],
    )
    const labels =
      actors && unlabelled.length > 0 ? await trail.actorLabels([...new Set(unlabelled)], actors) : undefined
    return entries.map((entry) => {
      const label = entry.actor && !entry.actor.label ? labels?.get(actorKey(entry.actor)) : undefined
      const named = label && entry.actor ? { ...entry, actor: { ...entry.actor, label } } : entry
      const description = describeEntry(
        named,
        policy,
        named.target ? names.shownModel(named.target.model) : undefined,
      )
      return names.shown(description === null ? named : { ...named, description })
    })
  }
  const find = async (
    filter: EntryFilter = {},
    { limit, after }: FindOptions = {},
  ): Promise<Page<AuditEntry>> => {
    const query = { ...names.query(toQuery(filter, clock())), asked: textOf(filter) }
    const page = await trail.find(query, toLimit(limit), after)
    return { entries: await completed(page.entries), next: page.next }
  }
  return {
    entries: {
      find,
      async *stream(filter = {}) {
        // ages such as '30d' are counted once, so that all pages have the same bounds
        const query = names.query(toQuery(filter, clock()))
        let after: string | undefined
        do {
          const page: Page<AuditEntry> = await trail.find(query, maxPageSize, after)
          yield* await completed(page.entries)
          after = page.next ?? undefined
        } while (after !== undefined)
      },
      async get(idOrRef) {
        if (typeof idOrRef !== 'string' || idOrRef === '') {
          throw new AuditError(
            'AUDIT_QUERY_INVALID',
            `get() got ${JSON.stringify(idOrRef)}.`,
            'Give an id or a ref.',
          )
        }
        const entry = idOrRef.includes('\u0000') ? undefined : await trail.get(idOrRef)
        return entry && (await completed([entry]))[0]
      },
      follow: (from, options) => createFeed(trail, completed, from, options),
    },
    async history(model, id) {
      const all: AuditEntry[] = []
      if (`${model}${id}`.includes('\u0000')) return all // no text of a database holds one
      let after: string | undefined
      do {
        const page: Page<AuditEntry> = await trail.history(names.table(model), String(id), maxPageSize, after)
        all.push(...page.entries)
        after = page.next ?? undefined
      } while (after !== undefined)
      return completed(all)
    },
  }
}

/** A filter as text, the same for the same conditions in any order. */
function textOf(filter: EntryFilter): string {
  const sorted = Object.entries(filter).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return JSON.stringify(sorted, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value))
}

function createFeed(
  trail: TrailReader,
  completed: (entries: readonly AuditEntry[]) => Promise<readonly AuditEntry[]>,
  from = 'now',
  { interval = 500, signal }: FollowOptions = {},
): EntryFeed {
  let position = from === 'now' || from === 'start' ? undefined : from
  // taken at the call, not at the first turn of the loop: what is committed in between belongs to the feed
  const opened = from === 'now' ? trail.end() : undefined
  opened?.catch(() => {})
  return {
    get position() {
      return position
    },
    async *[Symbol.asyncIterator]() {
      if (opened) position = await opened
      while (!signal?.aborted) {
        const batch = await trail.follow(position, maxPageSize)
        for (const entry of await completed(batch.entries)) {
          position = batch.behind(entry)
          yield entry
        }
        position = batch.position
        if (!batch.more) await sleep(interval, signal)
      }
    },
  }
}

function sleep(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, milliseconds)
    signal?.addEventListener('abort', done)
    if (signal?.aborted) done() // while the last look was under way
  })
}
