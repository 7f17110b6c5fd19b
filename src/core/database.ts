import type { AuditEntry, NewEntry } from './entry.ts'
import type { Policy } from './policy.ts'
import type { Page, Query } from './query.ts'
import type { AuditSummary, SummaryQuery } from './summary.ts'

/**
 * What the core asks of a database: the port between `createAudit` and the floors below it. `fromPg` and its like return
 * one; a stranger's database would implement the same.
 */
export interface AuditDatabase<Client = unknown, Transaction = unknown> {
  /** The wrapped client, for the application and its ORM. */
  readonly client: Client
  /** Stores entries in one transaction on a connection of the library's own. AUDIT_ENTRY_INVALID: the data was refused. */
  write(entries: readonly NewEntry[]): Promise<void>
  /** Stores entries in the given transaction of the application. */
  writeIn(transaction: Transaction, entries: readonly NewEntry[]): Promise<void>
  /** As {@link TrailSetup.hash}, in the given transaction: the library's own connection may have to wait for it. */
  hashIn(transaction: Transaction, values: readonly string[]): Promise<readonly (string | null)[]>
  /** Whether the calling code holds a transaction in which waiting for {@link write} would never end. */
  wouldDeadlock(): boolean
  /** Why `onCaptureError: 'report'` is not possible with this database; absent where it is. */
  readonly cannotReport?: string | undefined
  readonly trail: TrailReader
  readonly setup: TrailSetup
  /** What the wrapped client delivers as context, seen through the application's own client. */
  probe(): Promise<string>
  close(): Promise<void>
}

/** Reading. `after` and `position` are opaque. */
export interface TrailReader {
  find(query: Query, limit: number, after?: string): Promise<Page<AuditEntry>>
  get(idOrRef: string): Promise<AuditEntry | undefined>
  history(model: string, id: string, limit: number, after?: string): Promise<Page<AuditEntry>>
  summary(query: SummaryQuery & { readonly from: Date; readonly to: Date }): Promise<AuditSummary>
  /** Everything committed after `position`, each entry once, whatever order the writers commit in. */
  follow(position: string | undefined, limit: number): Promise<FollowBatch>
  /** The position after everything that is committed now. */
  end(): Promise<string>
  /** Labels of actors from the application's own tables, by actor key. */
  actorLabels(
    keys: readonly string[],
    actors: NonNullable<Policy['actors']>,
  ): Promise<ReadonlyMap<string, string>>
}

export interface FollowBatch {
  readonly entries: readonly AuditEntry[]
  readonly position: string
  /** Where to go on behind one of the entries, for who stops in the middle. */
  behind(entry: Pick<AuditEntry, 'id'>): string
  /** Whether there is more right now. */
  readonly more: boolean
}

/** Set-up of the trail and of capture. */
export interface TrailSetup {
  migrate(policy: Policy | undefined, options?: MigrateOptions): Promise<MigrateReport>
  status(policy?: Policy): Promise<TrailStatus>
  /** Compares the application's policy with what the database does. Throws where the database stores what `policy` hides. */
  check(policy: Policy): Promise<readonly CheckWarning[]>
  uninstall(options?: { readonly trail?: boolean }): Promise<readonly string[]>
  /** Hashes with the key of the trail; `null` where the database cannot, so that the value is masked. */
  hash(values: readonly string[]): Promise<readonly (string | null)[]>
}

export interface MigrateOptions {
  /** Only say what would be done. */
  readonly dryRun?: boolean
}

export interface MigrateReport {
  /** What was done, a sentence each; empty when everything was in place. */
  readonly done: readonly string[]
  readonly warnings: readonly string[]
  readonly tables: readonly TableStatus[]
  readonly fingerprint: string
}

/**
 * `audited`: recorded as the policy says. `skipped`: left out by policy, or bookkeeping. `drifted`: recorded, but table
 * or policy changed since `migrate`. `missing`: should be recorded and is not. `off`: the trigger is there and disabled.
 */
export type TableState = 'audited' | 'skipped' | 'drifted' | 'missing' | 'off'

export interface TableStatus {
  readonly model: string
  readonly state: TableState
  /** Why, and what to do. */
  readonly note?: string
}

export interface TrailStatus {
  readonly installed: boolean
  /** The version of the trail's own schema. */
  readonly version: number | null
  readonly fingerprint: string | null
  readonly tables: readonly TableStatus[]
  readonly warnings: readonly string[]
}

export interface CheckWarning {
  readonly model?: string
  readonly message: string
}
