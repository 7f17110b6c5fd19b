import { createTranslator } from '../core/names.ts'
import { toQuery } from '../core/query.ts'
import { AuditError, type AuditEntry, type EntryFilter } from '../index.ts'
import { usage } from './failure.ts'
import { type FilterOptions, toFilter } from './filters.ts'
import { matches } from './match.ts'
import { entryJson, entryLines } from './print.ts'
import { paintFor, stdout, widthOf } from './output.ts'
import { type GlobalOptions, type Session, withSession } from './session.ts'

export type TailCommand = GlobalOptions & FilterOptions & { readonly follow?: boolean }

/** The newest entries, the oldest of them first; with `--follow`, whatever is committed from then on, until SIGINT. */
export async function tail(options: TailCommand): Promise<number> {
  if (options.after !== undefined) throw usage('tail takes no --after.', 'Use log to read page by page.')
  const filter = toFilter(options)
  return withSession(options, async (session) => {
    const { audit, database, shared } = session
    if (options.follow && !shared) {
      throw new AuditError(
        'AUDIT_DATABASE_UNSUPPORTED',
        'tail --follow would wait in vain: no other process can write to this database meanwhile.',
        'Leave --follow out.',
      )
    }
    // before the first look, so that nothing falls between the two; what both see is told by its id
    const position = options.follow ? await database.trail.end() : undefined
    const { entries } = await audit.entries.find(filter, { limit: options.limit ?? 10 })
    const print = printer(options.json === true)
    for (const entry of entries.toReversed()) await print(entry)
    await stdout.flush()
    if (position !== undefined)
      await follow(session, filter, position, new Set(entries.map(({ id }) => id)), print)
    return 0
  })
}

type Print = (entry: AuditEntry) => Promise<void>

function printer(json: boolean): Print {
  const options = { width: widthOf(process.stdout), paint: paintFor(process.stdout) }
  return (entry) =>
    stdout.write((json ? [entryJson(entry)] : entryLines(entry, options)).map((line) => `${line}\n`).join(''))
}

async function follow(
  { audit }: Session,
  filter: EntryFilter,
  position: string,
  printed: ReadonlySet<string>,
  print: Print,
): Promise<void> {
  const query = createTranslator(audit.names).shownQuery(toQuery(filter, new Date()))
  const stop = new AbortController()
  const end = (): void => stop.abort()
  process.once('SIGINT', end).once('SIGTERM', end)
  try {
    for await (const entry of audit.entries.follow(position, { signal: stop.signal })) {
      if (stop.signal.aborted) break
      if (printed.has(entry.id) || !matches(entry, query)) continue
      await print(entry)
      await stdout.flush()
    }
  } finally {
    process.removeListener('SIGINT', end).removeListener('SIGTERM', end)
  }
}
