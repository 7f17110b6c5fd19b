import { AuditError } from '../../core/internal.ts'

export const knownForms =
  'Give postgres://USER@HOST:PORT/DATABASE, mysql://... or mariadb://... alike, pglite:DIR or sqlite:FILE.'

/** Never the URL itself: it may hold a password. */
export function unreadable(what: string): AuditError {
  const hint = `${knownForms} Write special characters of the password as %XX.`
  return new AuditError('AUDIT_DATABASE_URL', what, hint)
}

export function unreachable(error: unknown): AuditError {
  return new AuditError(
    'AUDIT_DATABASE_UNREACHABLE',
    `The database could not be reached: ${reason(error)}.`,
    'Check the URL, the server and the password.',
    { cause: error },
  )
}

/** A host with several addresses fails with one error for each, and no message of its own. */
function reason(error: unknown): string {
  const { message, errors, code } = error as {
    message?: string
    errors?: readonly { message?: string }[]
    code?: string
  }
  return message || errors?.[0]?.message || code || String(error)
}
