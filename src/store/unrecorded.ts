import { randomUUID } from 'node:crypto'
import { currentScope, encodeParts, type NewEntry, type Unrecorded } from '../core/internal.ts'
import type { Dialect, RunSql, UnrecordedCount } from '../dialect/dialect.ts'

/** What went unrecorded since the last migrate, by model. `version`: that of the trail that stands. */
export async function readUnrecorded({ capture }: Dialect, run: RunSql): Promise<readonly Unrecorded[]> {
  const { unrecorded } = capture
  return unrecorded ? byModel(await unrecorded.count(run)) : []
}

/**
 * Turns what was counted into entries, and answers it. Of a change for which the trail took an entry at once, there is one;
 * the others are told of together, by table, operation and cause.
 */
export async function settleUnrecorded(dialect: Dialect, run: RunSql): Promise<readonly Unrecorded[]> {
  const counts = (await dialect.capture.unrecorded?.take(run)) ?? []
  const entries = counts.filter(({ entered }) => !entered).map(entryOf)
  if (entries.length > 0) {
    const { sql, parameters } = dialect.record(entries, true)
    await run(sql, parameters)
  }
  return byModel(counts)
}

function entryOf({ model, operation, cause, changes, since, until }: UnrecordedCount): NewEntry {
  return {
    ref: `unrecorded-${randomUUID()}`,
    at: new Date(),
    kind: 'event',
    action: 'UNRECORDED',
    target: { model, id: null },
    severity: 'high',
    details: { operation, cause, changes, since: since.toISOString(), until: until.toISOString() },
    context: encodeParts(currentScope()?.read() ?? {}),
  }
}

function byModel(counts: readonly UnrecordedCount[]): readonly Unrecorded[] {
  return [...Map.groupBy(counts, ({ model }) => model)]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([model, of]) => ({
      model,
      changes: of.reduce((sum, { changes }) => sum + changes, 0),
      since: of.reduce((first, { since }) => (since < first ? since : first), of[0]!.since),
      until: of.reduce((last, { until }) => (until > last ? until : last), of[0]!.until),
      causes: [...new Set(of.map(({ cause }) => cause))].toSorted(),
    }))
}

/** `12 changes of item were let through unrecorded since 2026-11-24 11:02 UTC (42501)`. */
export function unrecordedSentence({ model, changes, since, causes }: Unrecorded): string {
  const at = since.toISOString().slice(0, 16).replace('T', ' ')
  const many = changes === 1 ? '1 change of' : `${changes} changes of`
  return `${many} ${model} ${changes === 1 ? 'was' : 'were'} let through unrecorded since ${at} UTC (${causes.join(', ')})`
}
