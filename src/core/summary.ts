import type { EntryKind } from './entry.ts'
import type { Moment } from './query.ts'

/** What {@link AuditSummary} is counted over: the last `days` (30 by default), or from `since` on. */
export interface SummaryQuery {
  readonly days?: number
  readonly since?: Moment
  readonly actor?: string
  readonly model?: string
  readonly tenant?: string
}

/** One group of a summary. */
export interface SummaryCount {
  readonly name: string
  readonly count: number
}

/** Counts of the trail over a time. Lists are longest first and hold at most 20 groups. */
export interface AuditSummary {
  readonly since: Date
  readonly until: Date
  readonly total: number
  readonly byKind: Readonly<Record<EntryKind, number>>
  readonly byAction: readonly SummaryCount[]
  readonly byModel: readonly SummaryCount[]
  readonly byActor: readonly SummaryCount[]
  /** Entries a day, by UTC date `2026-01-31`, oldest first; days without entries are left out. */
  readonly byDay: readonly SummaryCount[]
  readonly logins: { readonly success: number; readonly failed: number; readonly blocked: number }
  readonly exports: number
  /** System events of type ERROR, and how many of all system events are not resolved. */
  readonly errors: number
  readonly unresolved: number
}
