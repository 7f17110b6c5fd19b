import type { AuditEntry, NewEntry } from './entry.ts'
import type { Names } from './names.ts'
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
  /** Makes another client of the same kind carry the context, and gives it back wrapped. Absent where no other can. */
  attach?(client: Client): Client
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
  /**
   * Calls `listener` with an AUDIT_CAPTURE_FAILED when a write through {@link client} was let through unrecorded: at least
   * once a transaction, table and cause. Absent where the client does not hear of it.
   */
  onUnrecorded?(listener: (error: unknown) => void): void
  /** The application's names of tables and columns, where the client knows them. */
  readonly names?: Names
  readonly trail: TrailReader
  readonly setup: TrailSetup
  /**
   * What the wrapped client delivers as context, seen through the application's own client, or through `run`, which answers
   * the rows of a statement that it sends by another way of the application, such as its ORM.
   */
  probe(run?: (sql: string) => Promise<readonly object[]>): Promise<string>
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
  /**
   * Keeps other runs and migrations out while a migration tool works, and migrates afterwards, whatever became of it.
   * `tool` gets the context that the tool's own sessions are to begin with; see {@link mark}.
   */
  run<T>(
    policy: Policy | undefined,
    tool: (context: string) => Promise<T>,
    options?: RunOptions,
  ): Promise<ToolRun<T>>
  /** How sessions that others open are given a context. Absent where the database has no way. */
  readonly mark?: SessionMark | undefined
  /** The trail's tables where they stand among the application's own; empty where they have a schema to themselves. */
  readonly tables: readonly string[]
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
  /**
   * Gives each row that is there, and whose history has no beginning, an entry: `SNAPSHOT`, with all its values. In short
   * transactions, while others write; what was interrupted goes on when it is run again. @default false
   */
  readonly backfill?: boolean
  /** Is told after each batch of a backfill. */
  readonly onProgress?: (progress: BackfillProgress) => void
}

export interface BackfillProgress {
  readonly model: string
  /** Entries made of this table so far. */
  readonly entries: number
}

export interface RunOptions {
  /** Milliseconds to wait for another run or migration, before AUDIT_DATABASE_LOCKED. @default 60000 */
  readonly wait?: number
  /**
   * Takes capture off all tables while the tool works, which leaves one SKIPPED entry a table.
   * @default only where triggers stand in the way of schema changes
   */
  readonly lift?: boolean
}

/** What became of a migration tool, and of migrating after it. */
export interface ToolRun<T> {
  readonly result: T
  /** What migrating did; absent where it failed. */
  readonly report?: MigrateReport
  readonly failure?: unknown
  readonly warnings: readonly string[]
}

/** Ways to let the sessions of another program begin with a context. One that the program sets itself still wins. */
export interface SessionMark {
  /** The URL of a database, so that sessions opened by it carry the context; `undefined` where its form does not allow it. */
  url(url: string, context: string): string | undefined
  /** Variables for programs that are given no URL. `environment`: what is set already. */
  variables(
    context: string,
    environment: Readonly<Record<string, string | undefined>>,
  ): Readonly<Record<string, string>>
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

/** Changes of a table that could not be recorded and were let through, by `onCaptureError: 'report'`, since the last migrate. */
export interface Unrecorded {
  readonly model: string
  /** How many, at least. */
  readonly changes: number
  readonly since: Date
  readonly until: Date
  /** The database's own codes, and names of tables and constraints of the trail; never a value. */
  readonly causes: readonly string[]
}

export interface TrailStatus {
  readonly installed: boolean
  /** The version of the trail's own schema. */
  readonly version: number | null
  readonly fingerprint: string | null
  readonly tables: readonly TableStatus[]
  /** Empty where nothing is missing. `migrate` turns them into entries, UNRECORDED, and counts anew. */
  readonly unrecorded: readonly Unrecorded[]
  readonly warnings: readonly string[]
}

export interface CheckWarning {
  readonly model?: string
  readonly message: string
}
