/**
 * Every error code of the package, with what it means for the caller. `docs/errors.md` explains each one; a test keeps
 * the two in step. A retired code is never used again.
 */
export const errorCodes = {
  AUDIT_CONFIG_NOT_FOUND: 'No configuration file was found and no database was named.',
  AUDIT_CONFIG_UNREADABLE: 'The configuration file could not be loaded.',
  AUDIT_POLICY_INVALID: 'A value in the policy has the wrong shape.',
  AUDIT_POLICY_UNKNOWN_KEY: 'The policy has a key that does not exist.',
  AUDIT_POLICY_UNKNOWN_MODEL: 'The policy names a table that the database does not have.',
  AUDIT_POLICY_UNKNOWN_COLUMN: 'The policy names a column that its table does not have.',
  AUDIT_POLICY_CONFLICT: 'Two parts of the policy contradict each other.',
  AUDIT_POLICY_EXPOSED: 'The database stores values that the application asks to hide.',
  AUDIT_POLICY_NONE: 'No policy was given and the trail has none stored.',
  AUDIT_DATABASE_URL: 'The database URL has no known form.',
  AUDIT_DATABASE_UNREACHABLE: 'The database could not be reached.',
  AUDIT_DATABASE_UNSUPPORTED: 'The database server or the client is not one that is supported.',
  AUDIT_DATABASE_RIGHTS: 'The database role lacks a right that the operation needs.',
  AUDIT_DATABASE_LOCKED: 'A table, or the database itself, stayed locked by other work for too long.',
  AUDIT_CLIENT_MISSING: 'The npm package of a database client is not installed.',
  AUDIT_CLIENT_UNKNOWN: 'The object passed as a client is not one the adapter knows.',
  AUDIT_CONTEXT_LOST: 'The context does not arrive in the database through the client of the application.',
  AUDIT_CONTEXT_NONE: 'A call that needs a context was made outside of one.',
  AUDIT_SKIP_FORBIDDEN: 'The policy forbids to skip capture.',
  AUDIT_CAPTURE_FAILED: 'A change was let through though it could not be recorded.',
  AUDIT_TRAIL_MISSING: 'The database has no trail yet.',
  AUDIT_TRAIL_NEWER: 'The trail was made by a newer version of the package.',
  AUDIT_ENTRY_INVALID: 'An entry given to a log method is incomplete or malformed.',
  AUDIT_QUERY_INVALID: 'A filter or a limit of a query is not valid.',
  AUDIT_QUERY_CURSOR: 'A cursor is malformed or belongs to another query.',
  AUDIT_WRITE_FAILED: 'An entry written by the library could not be stored.',
  AUDIT_WRITE_OVERFLOW: 'The queue of entries is full; an entry was dropped.',
  AUDIT_WRITE_DEADLOCK: 'Waiting for an entry here would wait for ever.',
  AUDIT_CLOSED: 'The audit was closed.',
  AUDIT_HTTP_OPTION: 'An option of a web middleware is unknown or has the wrong shape.',
  AUDIT_CLI_USAGE: 'A command of the command line was called wrongly.',
} as const

export type AuditErrorCode = keyof typeof errorCodes

const mark = Symbol.for('whodunit.error')

/**
 * The one error class of the package. `message` says what was wrong, with the value; `hint` says what to do.
 * Recognise it by {@link isAuditError}, never by `instanceof`: an application may hold two copies of the package.
 */
export class AuditError extends Error {
  override readonly name = 'AuditError'
  readonly code: AuditErrorCode
  readonly hint: string

  constructor(code: AuditErrorCode, message: string, hint: string, options?: ErrorOptions) {
    super(`${message} ${hint}`.trim(), options)
    this.code = code
    this.hint = hint
    Object.defineProperty(this, mark, { value: true })
  }
}

/**
 * Whether `error` is an error of this package, and of the given code if one is given.
 *
 * @example
 * try { await audit.check() } catch (error) { if (isAuditError(error, 'AUDIT_POLICY_EXPOSED')) process.exit(1) }
 */
export function isAuditError(error: unknown, code?: AuditErrorCode): error is AuditError {
  if (typeof error !== 'object' || error === null || !(mark in error)) return false
  return code === undefined || (error as { code?: unknown }).code === code
}
