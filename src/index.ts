export { type Actor, type ActorInput, type ActorType, actorTypes } from './core/actor.ts'
export { type Audit, type AuditOptions, createAudit } from './core/audit.ts'
export type { AuditLogger, Logged, LoggedExport } from './core/logger.ts'
export type { AuditContext, ContextChange, ContextInput, Origin, RequestContext } from './core/context.ts'
export type {
  AuditDatabase,
  BackfillProgress,
  CheckWarning,
  FollowBatch,
  MigrateOptions,
  MigrateReport,
  RunOptions,
  SessionMark,
  TableState,
  TableStatus,
  ToolRun,
  TrailReader,
  TrailSetup,
  TrailStatus,
  Unrecorded,
} from './core/database.ts'
export type {
  AuditEntry,
  AuditLog,
  DataExport,
  EntryKind,
  LoginAttempt,
  LoginStatus,
  NewEntry,
  RequestLog,
  Severity,
  SystemEvent,
  SystemEventType,
  Target,
  TargetInput,
} from './core/entry.ts'
export { AuditError, type AuditErrorCode, errorCodes, isAuditError } from './core/errors.ts'
export type {
  AuditEventInput,
  ExportInput,
  LoginInput,
  LogOptions,
  RequestInput,
  SystemEventInput,
  ViewInput,
} from './core/log.ts'
export type { ModelNames, Names } from './core/names.ts'
export type { AuditConfig, ModelPolicy, Policy } from './core/policy.ts'
export { defineAudit } from './core/policy-check.ts'
export type { EntryFilter, Moment, Page, Query } from './core/query.ts'
export type { QueueCounters } from './core/queue.ts'
export type { EntryFeed, EntryReader, FindOptions, FollowOptions } from './core/reader.ts'
export type { Redaction } from './core/redact.ts'
export type { AuditSummary, SummaryCount, SummaryQuery } from './core/summary.ts'
export type { Change, ChangeMark, Changes, ChangeValue } from './core/value.ts'
export type { ContextParts } from './core/wire.ts'
