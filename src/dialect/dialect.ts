import type { Expression, Kysely, SqlBool } from 'kysely'
import type { Catalogue, CatalogueTable, InstalledCapture } from '../capture/catalogue.ts'
import type { TablePlan } from '../capture/plan.ts'
import type { AuditError, ContextParts, NewEntry, Policy, SessionMark } from '../core/internal.ts'

export type SqlRow = Readonly<Record<string, unknown>>

/** Runs one statement and answers its rows. Parameters are text, numbers, booleans, null or lists of text. */
export type RunSql = (sql: string, parameters?: readonly unknown[]) => Promise<readonly SqlRow[]>

/** The library's own connections to a database. */
export interface Session {
  readonly run: RunSql
  /** Several statements, one after another, on one connection. */
  connection<T>(fn: (run: RunSql) => Promise<T>): Promise<T>
  /** Runs `fn` in a transaction: committed when it resolves, rolled back when it throws. */
  transaction<T>(fn: (run: RunSql) => Promise<T>): Promise<T>
}

export interface Statement {
  readonly sql: string
  readonly parameters?: readonly unknown[]
}

/** How the SQL of one kind of database differs: the trail, the triggers, and the statements that read and write. */
export interface Dialect {
  readonly trail: TrailDialect
  readonly capture: CaptureDialect
  readonly read: ReadDialect
  /** Stores library entries; `joined` when they belong to a transaction of the application. */
  record(entries: readonly NewEntry[], joined: boolean): Statement
  /** How sessions that others open are given a context. Absent where there is no way. */
  readonly mark?: SessionMark
  /** One row with the column `context`: what the database holds for the current statement. */
  readonly probe: Statement
  /** The database's own error as an AUDIT error where its cause is known; else as it is. */
  explain(error: unknown): unknown
}

/** The trail's own schema. */
export interface TrailDialect {
  /** The version of the schema that this package makes. */
  readonly version: number
  /**
   * Keeps two migrations apart for as long as `work` takes, in the transaction that `run` stands for. `inRun`: the caller
   * is inside of {@link hold}, which keeps all others out.
   */
  alone<T>(run: RunSql, work: () => Promise<T>, inRun?: boolean): Promise<T>
  /**
   * Keeps other runs of migration tools, and migrations, out for as long as `work` takes. Nobody's schema changes or writes
   * wait for it, and it ends with the process. Absent: nothing keeps two runs apart.
   *
   * @throws AUDIT_DATABASE_LOCKED after `wait` milliseconds of waiting for others
   */
  hold?<T>(session: Session, wait: number, work: () => Promise<T>): Promise<T>
  /** The trail's tables where they stand among the application's own. Absent where they have a schema to themselves. */
  readonly tables?: readonly string[]
  /** Refuses servers that are too old. */
  checkServer(run: RunSql): Promise<void>
  /** The version that stands in the database, and whether its functions and views are those of this package. */
  installed(run: RunSql): Promise<{ readonly version: number; readonly current: boolean } | null>
  /** Statements that bring tables from a version to {@link version}, and functions and views up to date. */
  upgrade(from: number): readonly Statement[]
  /** Makes roles and hands the trail to its owner. Answers what could not be done, as warnings. */
  secure(run: RunSql): Promise<readonly string[]>
  /** Makes room for the entries of the coming months. Answers how many partitions were made. */
  prepare(run: RunSql): Promise<number>
  storedPolicy(run: RunSql): Promise<{ readonly policy: Policy; readonly fingerprint: string } | null>
  storePolicy(policy: string, fingerprint: string): Statement
  /** Removes the trail itself, with all entries. */
  readonly drop: readonly string[]
  /** One row a value, in order, with the column `hash`. Absent where a trigger cannot hash: `hash` is then `mask`. */
  hash?(values: readonly string[]): Statement
}

/** Capture: reading the catalogue and writing triggers. */
export interface CaptureDialect {
  catalogue(run: RunSql, schemas: readonly string[] | undefined): Promise<Catalogue>
  /** The text of a table's capture, comparable with what is installed. */
  text(plan: TablePlan): string
  install(plan: TablePlan): readonly string[]
  /** Brings the text up to date without a lock on the table, where the database can. */
  replace(plan: TablePlan): readonly string[]
  enable(plan: TablePlan): readonly string[]
  remove(table: Captured): readonly string[]
  /** Removes what no table uses any more: the capture of dropped and renamed tables. */
  readonly sweep: readonly string[]
  /** Why a change that cannot be recorded has to fail its write here; absent where it can be let through and counted. */
  readonly cannotReport?: string
  /** The changes that were let through. Absent together with a reason in {@link cannotReport}. */
  readonly unrecorded?: UnrecordedDialect
  /** What this database does otherwise than the policy asks, a sentence each: `hash` that becomes `mask`, and the like. */
  limits(plan: TablePlan): readonly string[]
  /** What holds for every table of this database, a sentence each: said once, by migrate. */
  readonly notes?: readonly string[]
  /**
   * One row a table, with `schema`, `name` and, where triggers have names of their own, `capture`: all capture that stands,
   * also in schemas the policy no longer names.
   */
  readonly all: Statement
  /** Whether triggers stand in the way of schema changes, so that they have to be gone while a migration tool works. */
  readonly blocksMigrations?: boolean
  /** Absent where rows cannot be locked while they get their first entry. */
  readonly backfill?: BackfillDialect
}

/** Changes that could not be recorded and were let through, as the trail counts them. */
export interface UnrecordedDialect {
  /** What was counted since it was last taken, by model, operation, cause and whether the trail has an entry for it. */
  count(run: RunSql): Promise<readonly UnrecordedCount[]>
  /** The same, and removes it, in the transaction that `run` stands for. What others count meanwhile stays. */
  take(run: RunSql): Promise<readonly UnrecordedCount[]>
  /** What a client hears of a change let through; `undefined` where the notice says something else. */
  heard?(notice: ServerNotice): AuditError | undefined
}

export interface UnrecordedCount {
  readonly model: string
  /** `INSERT`, `UPDATE`, `DELETE` or `TRUNCATE`. */
  readonly operation: string
  readonly cause: string
  /** Whether the trail took an UNRECORDED entry for each of them. */
  readonly entered: boolean
  readonly changes: number
  readonly since: Date
  readonly until: Date
}

/** What a server tells the application's connection beside its answers. */
export interface ServerNotice {
  readonly code?: string | undefined
  readonly message?: string | undefined
  readonly detail?: string | undefined
  readonly table?: string | undefined
}

/** First entries of rows that were there before capture. */
export interface BackfillDialect {
  /** Why the rows of a table cannot be told apart, so that none gets an entry. */
  impossible(plan: TablePlan): string | undefined
  /**
   * One batch, in the transaction that `run` stands for: of the next rows by key, each that has no CREATE or SNAPSHOT
   * since it was last deleted gets a SNAPSHOT. Each row is locked before its entry gets an id, until the transaction ends:
   * so no change can have a smaller id than an entry that shows the row before it. Rows that others have locked are left
   * out, so that nobody's transaction can end in a deadlock; with `wait`, one of them is waited for.
   */
  batch(run: RunSql, plan: TablePlan, batch: BackfillBatch): Promise<BackfillResult>
}

export interface BackfillBatch {
  /** From {@link BackfillResult}; `null` to begin. */
  readonly cursor: string | null
  /** Rows at most. */
  readonly limit: number
  readonly context: ContextParts
  readonly wait: boolean
}

export interface BackfillResult {
  /** Where the next batch begins; `null` behind the last. */
  readonly next: string | null
  /** Entries made. */
  readonly made: number
  /** The cursor of the same rows, where some of them were left out because they are locked. */
  readonly again: string | null
}

/** A table from which capture is to be removed. */
export type Captured = Pick<CatalogueTable, 'schema' | 'name'> & {
  readonly installed?: Pick<InstalledCapture, 'name'> | null
}

/** The physical row of an entry, the same on every database, as the statements of {@link ReadDialect} select it. */
export interface EntryRow {
  readonly id: string
  /** Microseconds since 1970 in UTC, as text: exact, and comparable as a cursor. */
  readonly at: string
  readonly xid: string
  readonly kind: string
  readonly action: string
  readonly model: string | null
  readonly target_id: string | null
  readonly label: string | null
  readonly changes: string | null
  readonly actor: string | null
  readonly request_id: string | null
  readonly tenant: string | null
  readonly context: string | null
  readonly subject: string | null
  readonly category: string | null
  readonly severity: string | null
  readonly ref: string | null
  readonly about: string | null
  readonly details: string | null
  readonly role: string | null
  readonly joined: boolean | null
}

/** The tables that the store's statements name. */
export interface TrailTables {
  entry: EntryRow
  whodunit_entry: EntryRow
}

/** What differs in reading. Everything else is built once, by Kysely, which only compiles here. */
export interface ReadDialect {
  readonly db: Kysely<TrailTables>
  readonly table: keyof TrailTables
  /** The columns of {@link EntryRow} as they are selected. */
  readonly columns: readonly Expression<unknown>[]
  /** Entries before a cursor in the order of {@link newestFirst}. */
  before(at: string, id: string): Expression<SqlBool>
  since(date: Date): Expression<SqlBool>
  until(date: Date): Expression<SqlBool>
  /** A line of the stored context. */
  contextLine(
    line: 'label' | 'ip' | 'session' | 'userAgent' | 'reason' | 'origin' | 'extra',
  ): Expression<string | null>
  /** A condition on the target that its index serves. */
  target(model: string, ids: readonly string[]): Expression<SqlBool>
  /** Keys that these keys were moved to, or came from. */
  moves(model: string, ids: readonly string[]): Statement
  /** Whether a text holds another, in whatever case. */
  contains(column: Expression<string | null>, text: string): Expression<SqlBool>
  tag(value: string): Expression<SqlBool>
  id(value: string): Expression<SqlBool>
  transaction(value: string): Expression<SqlBool>
  /** The UTC date of an entry. */
  readonly day: Expression<string>
  /** A top-level text field of `details`. */
  detail(field: string): Expression<string | null>
  /** The position after everything that is committed; `from` is the position where the reader stands, if it has one. */
  end(session: Session, from: string | undefined): Promise<string>
  /** What is committed between two positions, at most `limit` entries beyond `afterId`. */
  between(from: string | undefined, to: string, afterId: string | undefined): Expression<SqlBool>
  /** Labels of rows of an application's table, as `key` and `label`. */
  labels(
    table: CatalogueTable,
    template: readonly (string | { readonly column: string })[],
    ids: readonly string[],
  ): Statement
}
