import type { AuditDatabase } from '../../core/internal.ts'

/** A database opened by its URL, with the client that the user's project has installed. */
export interface OpenDatabase {
  readonly database: AuditDatabase
  /** Whether other processes may write while it is open here. */
  readonly shared: boolean
  /** Ends the client. Close the audit before. */
  close(): Promise<void>
}

/** Milliseconds. */
export const connectTimeout = 10_000
