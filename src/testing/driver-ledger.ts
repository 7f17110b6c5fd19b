import type { AuditEntry, ContextInput } from '../index.ts'

/** The table that the driver suite writes to. */
export const suiteTable = 'driver_suite'
export const oddTable = 'driver_suite_odd'
export const suiteSchema: readonly string[] = [
  `create table ${suiteTable} (id integer primary key, note varchar(100) not null)`,
  `create table ${oddTable} (id integer primary key)`,
]

/** Who writes in the suite: the name of a request, or null for work without a context. */
export type Writer = string | null

/** The whole context of a writer; no two have any part in common. */
export function contextOf(writer: string): ContextInput {
  return {
    actor: { id: writer, label: `Label of ${writer}` },
    request: { id: `request-${writer}`, ip: '192.0.2.1', userAgent: `agent of ${writer}` },
    tenant: `tenant-${writer}`,
    reason: `reason of ${writer}`,
    metadata: { writer },
  }
}

/**
 * What has to be found in the trail. Every write of the suite leaves a text of its own in the column `note`, which names
 * its writer, so that each entry can be held against the code that caused it.
 */
export interface Ledger {
  /** A new row's key. */
  id(): number
  /** A text for the next write of this writer. */
  note(writer: Writer): string
  /** Says that the writes with these texts were committed. */
  committed(...notes: string[]): void
  /** What is wrong with these entries, as sentences; empty where each one is right and none is missing. */
  faults(entries: readonly AuditEntry[]): string[]
}

// Never the same twice in a process, so that cases may share a table
let last = 0

export function createLedger(): Ledger {
  const expected = new Set<string>()
  return {
    id: () => ++last,
    note: (writer) => `${writer ?? ''}#${++last}`,
    committed(...notes) {
      for (const note of notes) expected.add(note)
    },
    faults(entries) {
      const faults: string[] = []
      const missing = new Set(expected)
      const seen = new Set<string>()
      for (const entry of entries) {
        const [before, after] = entry.changes?.['note'] ?? [null, null]
        const note = (entry.action === 'DELETE' ? before : after) as string
        const key = `${entry.action} ${note}`
        const what = `${key} of row ${entry.target?.id}`
        if (!expected.has(note)) faults.push(`${what} was never committed`)
        else if (seen.has(key)) faults.push(`${what} has two entries`)
        seen.add(key)
        missing.delete(note)
        const [is, should] = [contextIn(entry), expectedContext(note.slice(0, note.indexOf('#')) || null)]
        if (is !== should) faults.push(`${what} has the context ${is} in place of ${should}`)
      }
      return [...faults, ...[...missing].map((note) => `${note} has no entry`)]
    },
  }
}

function contextIn({ actor, request, tenant, reason, metadata }: AuditEntry): string {
  return JSON.stringify([actor, request?.id, request?.ip, request?.userAgent, tenant, reason, metadata])
}

function expectedContext(writer: Writer): string {
  if (writer === null) return JSON.stringify([null, undefined, undefined, undefined, null, null, null])
  const { request, tenant, reason, metadata } = contextOf(writer)
  const actor = { type: 'user', id: writer, label: `Label of ${writer}` }
  return JSON.stringify([actor, request?.id, request?.ip, request?.userAgent, tenant, reason, metadata])
}

/** Runs work for fifty requests, and ten jobs without a context, at once. Throws what the first of them threw. */
export async function race(
  as: (writer: Writer, work: () => Promise<void>) => Promise<void>,
  work: (writer: Writer) => Promise<unknown>,
): Promise<void> {
  const writers: Writer[] = Array.from({ length: 60 }, (_, index) => (index % 6 === 5 ? null : `r${index}`))
  const done = await Promise.allSettled(
    writers.map(async (writer) =>
      as(writer, async () => {
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 5))
        await work(writer)
      }),
    ),
  )
  const failed = done.find((item) => item.status === 'rejected')
  if (failed) throw failed.reason
}
