import { createHash } from 'node:crypto'
import { AuditError } from '../core/internal.ts'

export interface Cursor {
  readonly at: string
  readonly id: string
}

/** A cursor is a key and a mark of the query it belongs to, so that it is never used with another one. */
export function encodeCursor(cursor: Cursor, query: unknown): string {
  return Buffer.from(`${cursor.at}.${cursor.id}.${markOf(query)}`).toString('base64url')
}

export function decodeCursor(text: string | undefined, query: unknown): Cursor | undefined {
  if (text === undefined) return undefined
  const match = /^(-?\d{1,17})\.(\d{1,18})\.([0-9a-f]{8})$/.exec(
    Buffer.from(String(text), 'base64url').toString(),
  )
  if (!match)
    throw new AuditError(
      'AUDIT_QUERY_CURSOR',
      `"${String(text).slice(0, 60)}" is no cursor.`,
      'Pass the "next" of a page as it is.',
    )
  if (match[3] !== markOf(query)) {
    throw new AuditError(
      'AUDIT_QUERY_CURSOR',
      'The cursor belongs to a query with another filter.',
      'Keep the filter while paging; start without a cursor otherwise.',
    )
  }
  return { at: match[1]!, id: match[2]! }
}

function markOf(query: unknown): string {
  return createHash('sha256').update(JSON.stringify(query)).digest('hex').slice(0, 8)
}
