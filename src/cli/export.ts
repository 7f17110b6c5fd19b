import { type FileHandle, open } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { AuditEntry, EntryFilter, LoggedExport } from '../index.ts'
import { csvCells, csvStream } from './csv.ts'
import { failureLine, usage } from './failure.ts'
import { type FilterOptions, noteMore, readEntries, toFilter } from './filters.ts'
import { createOutput, note, type Output, stdout } from './output.ts'
import { entryJson } from './print.ts'
import { type GlobalOptions, operator, type Session, withSession } from './session.ts'

type Format = 'csv' | 'jsonl'

export interface ExportCommand extends GlobalOptions, FilterOptions {
  readonly format: Format
  readonly out?: string
}

/**
 * Writes the entries of a filter, newest first, as they are read. Data that leaves the trail is itself worth an entry: it
 * is recorded after the first look, which fails if the trail or the filter is wrong, and before anything is written.
 */
export async function exportEntries(options: ExportCommand): Promise<number> {
  if (options.json) throw usage('export takes no --json.', 'Give --format csv or --format jsonl.')
  const filter = toFilter(options)
  return withSession(options, (session) => {
    const onMore = (cursor: string): void => noteMore(options, filter, cursor)
    const entries = readEntries(session.audit, filter, { limit: options.limit, after: options.after, onMore })
    return session.audit.withContext({ ...operator(), origin: 'cli' }, () =>
      run(session, options, filter, entries),
    )
  })
}

async function run(
  session: Session,
  options: ExportCommand,
  filter: EntryFilter,
  entries: AsyncGenerator<AuditEntry, void>,
): Promise<number> {
  const first = await entries.next()
  const file = options.out === undefined ? undefined : await openFile(options.out)
  try {
    const logged = await record(session, options, filter)
    const output = file ? createOutput((text) => file.appendFile(text)) : stdout
    let recordCount = 0
    const counted = async function* (): AsyncGenerator<AuditEntry, void> {
      for (let next = first; !next.done; next = await entries.next()) {
        recordCount++
        yield next.value
      }
    }
    try {
      await send(options.format, counted(), output)
    } finally {
      // also of a part: what was written has left
      await logged?.finish({ recordCount, fileSize: output.bytes })
      const before = session.failures.length
      await session.audit.flush()
      if (logged && session.failures.length > before)
        note(`warning: the end of this export is not recorded: ${failureLine(session.failures.at(-1))}`)
    }
    if (options.out !== undefined)
      note(`${recordCount} entries, ${output.bytes} bytes written to ${options.out}`)
    return 0
  } finally {
    await file?.close()
  }
}

async function send(format: Format, entries: AsyncIterable<AuditEntry>, output: Output): Promise<void> {
  const write = async (pieces: AsyncIterable<string | Buffer>): Promise<void> => {
    for await (const piece of pieces) await output.write(piece.toString())
    await output.flush()
  }
  if (format === 'jsonl') return write(map(entries, (entry) => `${entryJson(entry)}\n`))
  await pipeline(Readable.from(map(entries, csvCells)), csvStream(), write)
}

async function* map<A, B>(items: AsyncIterable<A>, fn: (item: A) => B): AsyncGenerator<B, void> {
  for await (const item of items) yield fn(item)
}

/** A role that may only read can still export: it is told that nobody will know. */
async function record(
  { audit }: Session,
  { format }: ExportCommand,
  filter: EntryFilter,
): Promise<LoggedExport | undefined> {
  const logged = audit.logDataExport({
    exportType: 'audit trail',
    fileFormat: format,
    filters: filter,
    durable: true,
  })
  try {
    return await logged
  } catch (error) {
    note(`warning: this export is not recorded in the trail: ${failureLine((error as Error).cause ?? error)}`)
    return undefined
  }
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'w')
  } catch (error) {
    throw usage(
      `--out ${path} cannot be written (${(error as NodeJS.ErrnoException).code ?? String(error)}).`,
      'Give a file in a folder that is there.',
    )
  }
}
