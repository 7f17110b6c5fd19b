import type { Actor } from './actor.ts'
import type { Origin, RequestContext } from './context.ts'
import type { Changes } from './value.ts'

/** What was acted on. */
export interface Target {
  /** The table (`schema.table` outside the default schema) or the model of the application's ORM. */
  readonly model: string
  /** The key's text; a composite key is a compact JSON array of strings. `null` for a table without a key. */
  readonly id: string | null
  readonly label?: string
}

/** A target as an application may give it. */
export interface TargetInput {
  readonly model: string
  readonly id?: string | number | bigint | null
  readonly label?: string | null
}

export const kinds = ['change', 'event', 'login', 'export', 'system', 'request'] as const
export type EntryKind = (typeof kinds)[number]

export const severities = ['info', 'low', 'medium', 'high', 'critical'] as const
export type Severity = (typeof severities)[number]

/** What every record of the trail has. */
export interface EntryBase {
  /** Opaque; unique in the trail. Within one target, order is the order of `id` compared as integers. */
  readonly id: string
  /** The name given by the library before the entry was stored; `null` for row changes. */
  readonly ref: string | null
  /** The clock at the write, not the start of the transaction. */
  readonly at: Date
  readonly action: string
  readonly target: Target | null
  readonly changes: Changes | null
  /** `null` when unknown: nobody is guessed. */
  readonly actor: Actor | null
  /** The key of the person whose data the row holds. */
  readonly subject: string | null
  readonly tenant: string | null
  readonly request: RequestContext | null
  readonly reason: string | null
  /** The sentence of the policy's `describe` for this action, filled when read; `null` where there is none. */
  readonly description: string | null
  readonly metadata: Readonly<Record<string, unknown>> | null
  readonly category: string | null
  readonly severity: Severity
  readonly tags: readonly string[]
  readonly origin: Origin
  /** The application and release that wrote. */
  readonly app: string | null
  /** The database transaction; `null` for an entry that the library stored in a batch of its own. */
  readonly tx: string | null
  /** The database role that wrote. */
  readonly role: string | null
}

/**
 * A row change (`CREATE`, `UPDATE`, `DELETE`, `SOFT_DELETE`, `RESTORE`, `TRUNCATE`, `SKIPPED`), a row as `migrate`
 * found it (`SNAPSHOT`), or the application's own event.
 */
export interface AuditLog extends EntryBase {
  readonly kind: 'change' | 'event'
  readonly details: Readonly<Record<string, unknown>>
}

export const loginStatuses = ['SUCCESS', 'FAILED', 'BLOCKED'] as const
export type LoginStatus = (typeof loginStatuses)[number]

/** A sign-in, tried or done (`LOGIN`), or its end (`LOGOUT`). */
export interface LoginAttempt extends EntryBase {
  readonly kind: 'login'
  readonly details: { readonly username?: string; readonly status?: LoginStatus }
}

/** Data that left the system (`EXPORT`), the end of its writing (`EXPORT_FINISHED`), or one download (`DOWNLOAD`). */
export interface DataExport extends EntryBase {
  readonly kind: 'export'
  readonly details: {
    readonly exportType?: string
    readonly fileFormat?: string
    readonly recordCount?: number
    readonly fileSize?: number
    readonly filters?: unknown
    /** The `ref` of the export that a later entry is about. */
    readonly about?: string
  }
}

export const systemEventTypes = ['ERROR', 'WARNING', 'INFO', 'SECURITY', 'PERFORMANCE'] as const
export type SystemEventType = (typeof systemEventTypes)[number]

/** An error as it is stored: secrets scrubbed from its text, the stack without its message. */
export interface ErrorDetails {
  readonly name: string
  readonly message: string
  readonly stack?: string
  readonly cause?: ErrorDetails
}

/** Something the system itself noticed (`ERROR`, `WARNING`, ...), or the note that settled it (`RESOLVED`). */
export interface SystemEvent extends EntryBase {
  readonly kind: 'system'
  readonly details: {
    readonly title?: string
    readonly description?: string
    readonly error?: ErrorDetails
    readonly note?: string
    readonly about?: string
  }
}

/** One request or run that did something. */
export interface RequestLog extends EntryBase {
  readonly kind: 'request'
  readonly details: {
    readonly status?: number
    /** Milliseconds. */
    readonly duration?: number
    readonly route?: string
    readonly aborted?: boolean
  }
}

/** One record of the trail; `kind` tells which. */
export type AuditEntry = AuditLog | LoginAttempt | DataExport | SystemEvent | RequestLog

/** An entry on its way from the library into the store. */
export interface NewEntry {
  readonly ref: string
  readonly at: Date
  /** Microseconds within the millisecond of `at`. */
  readonly micros?: number
  readonly kind: Exclude<EntryKind, 'change'>
  readonly action: string
  readonly target?: Target
  readonly changes?: Changes
  readonly subject?: string
  readonly category?: string
  readonly severity?: Severity
  /** The `ref` of the entry that this one continues: the end of an export, the settling of a system event. */
  readonly about?: string
  readonly details?: Readonly<Record<string, unknown>>
  /** The context at the moment of the call, in the parts of the wire. */
  readonly context: import('./wire.ts').ContextParts
}
