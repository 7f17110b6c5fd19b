import { type ActorInput, toActor } from './actor.ts'
import { type AuditContext, currentScope, type RequestContext } from './context.ts'
import {
  type LoginStatus,
  loginStatuses,
  type ErrorDetails,
  type NewEntry,
  type Severity,
  type SystemEventType,
  systemEventTypes,
  type Target,
  type TargetInput,
} from './entry.ts'
import type { Instant } from './clock.ts'
import { AuditError } from './errors.ts'
import { suggest } from './nearest.ts'
import { scrubText } from './redact.ts'
import { limits, oneLine } from './text.ts'
import { type Changes, encodeValue } from './value.ts'
import { boundedJson, encodeParts } from './wire.ts'

/** What every log method takes besides its own fields; all of it comes from the current context by default. */
export interface LogOptions {
  readonly actor?: ActorInput | null
  readonly request?: Partial<RequestContext>
  readonly reason?: string
  readonly metadata?: Readonly<Record<string, unknown>>
  readonly tenant?: string
  /** When it happened. @default the clock */
  readonly at?: Date
  /** Wait until the entry is stored. @default false */
  readonly durable?: boolean
}

export interface AuditEventInput extends LogOptions {
  /** What was done, in the application's own words: `invoice.refunded`. */
  readonly action: string
  readonly target?: TargetInput
  /** `{ field: [before, after] }`; values are encoded, and masked as the policy says for the target's model. */
  readonly changes?: Readonly<Record<string, readonly [before: unknown, after: unknown]>>
  readonly category?: string
  readonly severity?: Severity
  readonly subject?: string | number
}

export interface ViewInput extends LogOptions {
  /** The fields that were shown. */
  readonly fields?: readonly string[]
}

export interface LoginInput extends LogOptions {
  /** The name that was tried; never a password. */
  readonly username: string
  readonly status: LoginStatus
}

export interface ExportInput extends LogOptions {
  readonly exportType: string
  readonly fileFormat: string
  readonly recordCount?: number
  /** Bytes. */
  readonly fileSize?: number
  readonly filters?: unknown
}

export interface SystemEventInput extends LogOptions {
  readonly eventType: SystemEventType
  readonly title: string
  readonly description?: string
  readonly error?: unknown
  readonly severity?: Severity
}

export interface RequestInput extends LogOptions {
  readonly status?: number
  /** Milliseconds. */
  readonly duration: number
  readonly route?: string
  readonly aborted?: boolean
}

/** The part of an entry that a log method decides; the rest is the same for all. */
export type Draft = Omit<NewEntry, 'ref' | 'at' | 'micros' | 'context'> & { readonly options: LogOptions }

const str = (value: unknown, field: string, limit: number): string => {
  if (typeof value === 'string' && value !== '') return oneLine(value, limit)
  throw invalid(`"${field}" is ${JSON.stringify(value) ?? String(value)}.`, `Give ${field} as text.`)
}

export function draftEvent(input: AuditEventInput): Draft {
  const action = str(input?.action, 'action', limits.id)
  return {
    kind: 'event',
    action,
    ...(input.target ? { target: toTarget(input.target) } : {}),
    ...(input.changes ? { changes: toChanges(input.changes) } : {}),
    ...(input.category ? { category: oneLine(input.category, limits.id) } : {}),
    ...(input.severity ? { severity: input.severity } : {}),
    ...(input.subject === undefined ? {} : { subject: oneLine(String(input.subject), limits.id) }),
    options: input,
  }
}

export function draftView(target: TargetInput, input: ViewInput = {}): Draft {
  const details = input.fields
    ? { fields: input.fields.map((field) => oneLine(String(field), limits.id)) }
    : {}
  return { kind: 'event', action: 'VIEW', target: toTarget(target), details, options: input }
}

export function draftLogin(input: LoginInput): Draft {
  const status = oneOf(input?.status, 'status', loginStatuses)
  const username = typeof input.username === 'string' ? oneLine(input.username, limits.label) : ''
  const severity = status === 'SUCCESS' ? 'info' : status === 'FAILED' ? 'low' : 'medium'
  return { kind: 'login', action: 'LOGIN', severity, details: { username, status }, options: input }
}

export function draftLogout(input: LogOptions = {}): Draft {
  return { kind: 'login', action: 'LOGOUT', options: input }
}

export function draftExport(input: ExportInput): Draft {
  const details = {
    exportType: str(input?.exportType, 'exportType', limits.id),
    fileFormat: str(input.fileFormat, 'fileFormat', limits.id),
    ...exportSize(input),
    ...(input.filters === undefined ? {} : { filters: boundedJson(input.filters) }),
  }
  return { kind: 'export', action: 'EXPORT', details, options: input }
}

export function draftExportEnd(about: string, input: Pick<ExportInput, 'recordCount' | 'fileSize'>): Draft {
  return { kind: 'export', action: 'EXPORT_FINISHED', about, details: exportSize(input ?? {}), options: {} }
}

export function draftDownload(about: string, input: LogOptions = {}): Draft {
  return { kind: 'export', action: 'DOWNLOAD', about: str(about, 'ref', limits.id), options: input }
}

export function draftSystemEvent(input: SystemEventInput): Draft {
  const eventType = oneOf(input?.eventType, 'eventType', systemEventTypes)
  const details = {
    title: str(input.title, 'title', limits.title),
    ...(input.description ? { description: cut(scrubText(input.description), limits.description) } : {}),
    ...(input.error === undefined ? {} : { error: toErrorDetails(input.error) }),
  }
  const severity = input.severity ?? (eventType === 'ERROR' || eventType === 'SECURITY' ? 'high' : 'info')
  return { kind: 'system', action: eventType, severity, details, options: input }
}

export function draftResolution(about: string, input: { readonly note?: string } & LogOptions): Draft {
  const details = input.note ? { note: cut(input.note, limits.description) } : {}
  return { kind: 'system', action: 'RESOLVED', about: str(about, 'ref', limits.id), details, options: input }
}

export function draftRequest(input: RequestInput): Draft {
  const { status, duration, route, aborted } = input
  const details = {
    ...(status === undefined ? {} : { status }),
    duration: Math.round(duration * 10) / 10,
    ...(route ? { route: oneLine(route, limits.path) } : {}),
    ...(aborted ? { aborted } : {}),
  }
  const severity = aborted || (status ?? 200) >= 500 ? 'medium' : 'info'
  return { kind: 'request', action: 'REQUEST', severity, details, options: input }
}

/** What every entry of one audit has in common. */
export interface LogDefaults {
  readonly clock: () => Instant
  readonly app: string | undefined
  /** Whether client addresses are stored. */
  readonly addresses: boolean
}

/** The entry of a draft, with the context of the calling code at this moment. */
export function completeDraft(draft: Draft, ref: string, { clock, app, addresses }: LogDefaults): NewEntry {
  const { options, ...fixed } = draft
  const around: AuditContext = currentScope()?.read() ?? {}
  const given = options.actor === undefined ? around.actor : toActor(options.actor)
  const { at, micros } = options.at === undefined ? clock() : { at: options.at, micros: 0 }
  if (!(at instanceof Date) || Number.isNaN(at.getTime()))
    throw invalid('"at" is no valid Date.', 'Give a Date.')
  const { actor: _, ...context }: AuditContext = {
    ...around,
    ...(options.request ? { request: { id: '', ...around.request, ...options.request } } : {}),
    ...(options.reason ? { reason: options.reason } : {}),
    ...(options.tenant ? { tenant: options.tenant } : {}),
    ...(options.metadata ? { metadata: { ...around.metadata, ...options.metadata } } : {}),
    origin: around.origin ?? 'app',
    ...(around.app || app ? { app: around.app ?? app! } : {}),
  }
  const kept = addresses ? context : withoutAddress(context)
  return { ...fixed, ref, at, micros, context: encodeParts(given ? { ...kept, actor: given } : kept) }
}

/** The same context without the client's address, for a policy that stores none. */
export function withoutAddress<T extends { readonly request?: Partial<RequestContext> | object }>(
  context: T,
): T {
  if (!context.request || !('ip' in context.request)) return context
  const { ip: _, ...request } = context.request
  return { ...context, request }
}

function toTarget(target: TargetInput): Target {
  const id = target.id
  if (id !== undefined && id !== null && !['string', 'number', 'bigint'].includes(typeof id)) {
    throw invalid(`"target.id" is ${JSON.stringify(id)}.`, 'Give a text, a number, a bigint or null.')
  }
  return {
    model: str(target.model, 'target.model', limits.id),
    id: id === undefined || id === null ? null : oneLine(String(id), 1_000),
    ...(target.label ? { label: oneLine(target.label, limits.label) } : {}),
  }
}

function toChanges(changes: NonNullable<AuditEventInput['changes']>): Changes {
  return Object.fromEntries(
    Object.entries(changes).map(([field, pair]) => {
      if (!Array.isArray(pair) || pair.length !== 2) {
        throw invalid(`"changes.${field}" is no pair.`, 'Give [before, after].')
      }
      return [field, [encodeValue(pair[0]), encodeValue(pair[1])] as const]
    }),
  )
}

/** What is thrown may be anything, also an object whose members cannot be read; the event is recorded all the same. */
function toErrorDetails(error: unknown, depth = 0): ErrorDetails {
  try {
    return readError(error, depth)
  } catch {
    return { name: 'unreadable', message: '' }
  }
}

function readError(error: unknown, depth: number): ErrorDetails {
  if (!(error instanceof Error))
    return { name: typeof error, message: cut(scrubText(String(error)), limits.title) }
  const cause = error.cause !== undefined && depth < 3 ? toErrorDetails(error.cause, depth + 1) : undefined
  return {
    name: oneLine(error.name, limits.id),
    message: cut(scrubText(error.message), limits.title),
    ...(error.stack ? { stack: cut(framesOf(error.stack), limits.description) } : {}),
    ...(cause ? { cause } : {}),
  }
}

/** The frames alone: a stack repeats the message, which may be long and is stored beside it. */
function framesOf(stack: string): string {
  return stack
    .split('\n')
    .filter((line) => /^\s+at /.test(line))
    .slice(0, 30)
    .join('\n')
}

function exportSize(input: Pick<ExportInput, 'recordCount' | 'fileSize'>): {
  recordCount?: number
  fileSize?: number
} {
  const size: { recordCount?: number; fileSize?: number } = {}
  for (const field of ['recordCount', 'fileSize'] as const) {
    const value = input[field]
    if (value === undefined) continue
    if (!Number.isSafeInteger(value) || value < 0)
      throw invalid(`"${field}" is ${value}.`, 'Give a whole number.')
    size[field] = value
  }
  return size
}

/** Longer texts keep their line breaks; only what cannot be stored is replaced. */
function cut(value: string, limit: number): string {
  const text = value.slice(0, limit).toWellFormed().replaceAll('\u0000', '\\u0000')
  return value.length > limit ? `${text}…` : text
}

function oneOf<T extends string>(value: unknown, field: string, allowed: readonly T[]): T {
  if (allowed.includes(value as T)) return value as T
  const near = typeof value === 'string' ? suggest(value, allowed) : ''
  throw invalid(
    `"${field}" is ${JSON.stringify(value) ?? String(value)}, not one of ${allowed.join(', ')}.`,
    near,
  )
}

function invalid(message: string, hint: string): AuditError {
  return new AuditError('AUDIT_ENTRY_INVALID', message, hint)
}
