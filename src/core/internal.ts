/**
 * What the floors below use of the core beyond its public names. Not a public path: a stranger's adapter needs only the
 * front door.
 */
export { actorTypes, fromActorKey } from './actor.ts'
export { agentPieces } from './agent.ts'
export { AuditScope, currentScope, runInScope } from './context.ts'
export type {
  AuditDatabase,
  CheckWarning,
  FollowBatch,
  MigrateOptions,
  MigrateReport,
  RunOptions,
  SessionMark,
  TableStatus,
  ToolRun,
  TrailReader,
  TrailSetup,
  TrailStatus,
  Unrecorded,
} from './database.ts'
export { type AuditEntry, kinds, type NewEntry, severities, type Severity } from './entry.ts'
export { AuditError, isAuditError } from './errors.ts'
export { suggest } from './nearest.ts'
export { unknownName } from './unknown-name.ts'
export { canonicalPolicy, defaultMaxValueBytes, modelPolicy, type Policy } from './policy.ts'
export type { Page, Query } from './query.ts'
export { secretWords, type Redaction } from './redact.ts'
export { nestedSecrets, redactionOf, secretColumns } from './apply-policy.ts'
export type { AuditSummary, SummaryCount, SummaryQuery } from './summary.ts'
export { storedJson } from './text.ts'
export type { ContextParts } from './wire.ts'
export { lineSeparator, partSeparator, restLines, skipMark, decodeParts, encodeParts } from './wire.ts'
