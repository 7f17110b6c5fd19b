import type { RunSql, ServerNotice, Session } from '../dialect/dialect.ts'

/** How SQL is run on one kind of client, and how the context of the application travels through it. */
export interface Driver<Client = unknown, Transaction = unknown> {
  /** The wrapped client: every write through it carries the context of the code that called it, and never another's. */
  readonly client: Client
  /** The same of another client: a replica's, a tenant's. Twice has no effect. Absent where only one client can. */
  attach?(client: Client): Client
  /** The library's own connection for writing; never one that the application holds. */
  readonly writing: Session
  /** The library's own connections for reading. */
  readonly reading: Session
  /** One statement through the wrapped client, as the application itself would send it. */
  readonly asApplication: RunSql
  /** Runs statements in an open transaction of the application. */
  in(transaction: Transaction): RunSql
  /** Whether the calling code holds a transaction that would keep {@link writing} waiting for ever. */
  wouldDeadlock(): boolean
  /** Tells, until `close`, what the server notes to the application's connections. Absent where the client does not say. */
  onNotice?(listener: (notice: ServerNotice) => void): void
  /** Ends the library's own connections; the application's client stays as it is. */
  close(): Promise<void>
}
