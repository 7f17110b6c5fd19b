import type { TargetInput } from './entry.ts'
import * as log from './log.ts'

/** The answer of a log method: the entry's name, known before it is stored. */
export interface Logged {
  readonly ref: string
}

/** An export being written. */
export interface LoggedExport extends Logged {
  /** Records its end, with what was not known at the start. */
  finish(result?: { readonly recordCount?: number; readonly fileSize?: number }): Promise<Logged>
  /** Records one download of the file. */
  downloaded(): Promise<Logged>
}

/** The log methods. `audit` queues what they record; `audit.in(transaction)` writes it with the transaction. */
export interface AuditLogger {
  logAuditEvent(event: log.AuditEventInput): Promise<Logged>
  logViewAccess(target: TargetInput, options?: log.ViewInput): Promise<Logged>
  logLoginAttempt(attempt: log.LoginInput): Promise<Logged>
  logLogout(options?: log.LogOptions): Promise<Logged>
  logDataExport(input: log.ExportInput): Promise<LoggedExport>
  logDownload(ref: string, options?: log.LogOptions): Promise<Logged>
  logSystemEvent(event: log.SystemEventInput): Promise<Logged>
  resolveSystemEvent(ref: string, options?: { readonly note?: string } & log.LogOptions): Promise<Logged>
  /** One request or run that did something; the middleware calls it. */
  logRequest(input: log.RequestInput): Promise<Logged>
}

/** The log methods over one way to record what they draft. */
export function createLogger(record: (draft: log.Draft) => Promise<Logged>): AuditLogger {
  return {
    logAuditEvent: async (event) => record(log.draftEvent(event)),
    logViewAccess: async (target, options) => record(log.draftView(target, options)),
    logLoginAttempt: async (attempt) => record(log.draftLogin(attempt)),
    logLogout: async (options) => record(log.draftLogout(options)),
    logDownload: async (ref, options) => record(log.draftDownload(ref, options)),
    logSystemEvent: async (event) => record(log.draftSystemEvent(event)),
    resolveSystemEvent: async (ref, options = {}) => record(log.draftResolution(ref, options)),
    logRequest: async (input) => record(log.draftRequest(input)),
    async logDataExport(input) {
      const { ref } = await record(log.draftExport(input))
      return {
        ref,
        finish: async (result = {}) => record(log.draftExportEnd(ref, result)),
        downloaded: async () => record(log.draftDownload(ref)),
      }
    },
  }
}
