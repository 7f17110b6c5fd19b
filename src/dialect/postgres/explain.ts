import { AuditError } from '../../core/internal.ts'

/** SQLSTATE classes and codes with a meaning for the user of the trail. */
export function explain(error: unknown): unknown {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown }
  if (typeof code !== 'string') return error
  const text = String(message)
  if (
    code === '3F000' ||
    (code === '42P01' && text.includes('whodunit')) ||
    (code === '42883' && text.includes('whodunit'))
  ) {
    return new AuditError(
      'AUDIT_TRAIL_MISSING',
      `The database has no trail yet, or an older one (${text}).`,
      'Run: npx whodunit migrate',
      { cause: error },
    )
  }
  if (code === '42501') {
    const hint = `Run migrate as the owner of the tables; let an application write by "grant whodunit_writer to ROLE", and read by "grant whodunit_reader to ROLE".`
    return new AuditError('AUDIT_DATABASE_RIGHTS', `The database role lacks a right: ${text}.`, hint, {
      cause: error,
    })
  }
  if (code === '55P03' || code === '40P01') {
    return new AuditError(
      'AUDIT_DATABASE_LOCKED',
      `Other work held a lock for too long: ${text}.`,
      'Run migrate again when long transactions have ended.',
      { cause: error },
    )
  }
  if (/^(22|23)/.test(code)) {
    return new AuditError('AUDIT_ENTRY_INVALID', `The trail refused an entry: ${text}.`, 'See the cause.', {
      cause: error,
    })
  }
  if (
    /^(08|28|3D|57P)/.test(code) ||
    ['ECONNREFUSED', 'ENOTFOUND', 'ECONNRESET', 'ETIMEDOUT', 'EAI_AGAIN'].includes(code)
  ) {
    return new AuditError(
      'AUDIT_DATABASE_UNREACHABLE',
      `The database could not be reached: ${text || code}.`,
      'Check the URL, the server and the password.',
      { cause: error },
    )
  }
  return error
}
