import { AuditError } from '../../core/internal.ts'

/** Primary result codes by number, since clients name them in different ways. */
const codes: Readonly<Record<string, number>> = {
  PERM: 3, BUSY: 5, LOCKED: 6, READONLY: 8, CORRUPT: 11, CANTOPEN: 14, CONSTRAINT: 19, AUTH: 23, NOTADB: 26,
} // prettier-ignore

/** The primary result code of an error of any client of SQLite. */
function resultCode(error: unknown): number | undefined {
  const { code, errcode, rawCode } = (error ?? {}) as { code?: unknown; errcode?: unknown; rawCode?: unknown }
  const number = typeof errcode === 'number' ? errcode : rawCode
  if (typeof number === 'number') return number & 0xff
  const word = typeof code === 'string' ? /^SQLITE_([A-Z]+)/.exec(code)?.[1] : undefined
  return word === undefined ? undefined : codes[word]
}

type Meaning = (text: string) => ConstructorParameters<typeof AuditError>

const locked: Meaning = (text) => [
  'AUDIT_DATABASE_LOCKED',
  `Other work held the database for too long: ${text}.`,
  'Try again when long transactions have ended.',
]
const rights: Meaning = (text) => [
  'AUDIT_DATABASE_RIGHTS',
  `The database may not be written: ${text}.`,
  'Open the file for writing, as a user who may write it and its folder.',
]
const unreachable: Meaning = (text) => [
  'AUDIT_DATABASE_UNREACHABLE',
  `The database could not be read: ${text}.`,
  'Check the path, and that the file is a database of SQLite.',
]
const meanings: Readonly<Record<string, Meaning>> = {
  BUSY: locked,
  LOCKED: locked,
  READONLY: rights,
  PERM: rights,
  AUTH: rights,
  CANTOPEN: unreachable,
  NOTADB: unreachable,
  CORRUPT: unreachable,
  CONSTRAINT: (text) => ['AUDIT_ENTRY_INVALID', `The trail refused an entry: ${text}.`, 'See the cause.'],
}
const missing: Meaning = (text) => [
  'AUDIT_TRAIL_MISSING',
  `The database has no trail yet, or an older one (${text}).`,
  'Run: npx whodunit migrate',
]

/** Errors with a meaning for the user of the trail. */
export function explain(error: unknown): unknown {
  if (error instanceof AuditError) return error
  const text = error instanceof Error ? error.message : String(error)
  const code = resultCode(error)
  const named = Object.keys(codes).find((name) => codes[name] === code)
  const meaning = /no such (table|column): (main\.)?(e\.)?"?whodunit_/.test(text)
    ? missing
    : named && meanings[named]
  if (!meaning) return error
  const [kind, message, hint] = meaning(text)
  return new AuditError(kind, message, hint, { cause: error })
}
