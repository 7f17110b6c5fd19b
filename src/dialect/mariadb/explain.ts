import { AuditError } from '../../core/internal.ts'

const known: readonly (readonly [
  numbers: readonly number[],
  code: AuditError['code'],
  what: string,
  hint: string,
])[] = [
  [
    [1419, 1418],
    'AUDIT_DATABASE_RIGHTS',
    'The server keeps a binary log and takes triggers from administrators alone',
    'Let one set "log_bin_trust_function_creators = 1", or run migrate as a user with the right SUPER (BINLOG ADMIN).',
  ],
  [
    [1044, 1045, 1142, 1143, 1227, 1370, 1410, 1449],
    'AUDIT_DATABASE_RIGHTS',
    'The database user lacks a right',
    'Run migrate as a user with all rights on the database; an application needs EXECUTE on procedure whodunit_record, and SELECT to read (docs/guide.md).',
  ],
  [
    [1205, 1213, 3572],
    'AUDIT_DATABASE_LOCKED',
    'Other work held a lock for too long',
    'Run migrate again when long transactions have ended.',
  ],
  [
    [1042, 1040, 1049, 1053, 1129, 1130, 1203, 1927, 2002, 2003, 2006, 2013],
    'AUDIT_DATABASE_UNREACHABLE',
    'The database could not be reached',
    'Check the URL, the server and the password.',
  ],
  [
    [1264, 1265, 1292, 1366, 1406, 3140, 3141, 4038],
    'AUDIT_ENTRY_INVALID',
    'The trail refused an entry',
    'See the cause.',
  ],
]

/** The server's error numbers with a meaning for the user of the trail. */
export function explain(error: unknown): unknown {
  const { errno, code, message } = (error ?? {}) as { errno?: unknown; code?: unknown; message?: unknown }
  const text = String(message)
  if (text.includes('AUDIT_ENTRY_INVALID')) {
    return new AuditError('AUDIT_ENTRY_INVALID', `The trail refused an entry: ${text}.`, 'See the cause.', {
      cause: error,
    })
  }
  if ((errno === 1146 || errno === 1305) && text.includes('whodunit_')) {
    return new AuditError(
      'AUDIT_TRAIL_MISSING',
      `The database has no trail yet, or an older one (${text}).`,
      'Run: npx whodunit migrate',
      { cause: error },
    )
  }
  const found = known.find(([numbers]) => numbers.includes(Number(errno)))
  if (found) return new AuditError(found[1], `${found[2]}: ${text}.`, found[3], { cause: error })
  if (
    [
      'ECONNREFUSED',
      'ENOTFOUND',
      'ECONNRESET',
      'ETIMEDOUT',
      'EAI_AGAIN',
      'PROTOCOL_CONNECTION_LOST',
    ].includes(String(code))
  ) {
    const hint = 'Check the URL, the server and the password.'
    return new AuditError(
      'AUDIT_DATABASE_UNREACHABLE',
      `The database could not be reached: ${text || String(code)}.`,
      hint,
      {
        cause: error,
      },
    )
  }
  return error
}
