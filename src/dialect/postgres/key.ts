import { createHash } from 'node:crypto'

/** A btree row holds 2,704 bytes, which a longer key must not fail the application's write by. */
const longestKey = 500
const kept = 400

/** A key as the trail stores it: a longer one is cut, and told from others by its hash. */
export function storedKey(id: string): string {
  const characters = [...id]
  if (characters.length <= longestKey) return id
  return `${characters.slice(0, kept).join('')}...${createHash('md5').update(id).digest('hex')}`
}

/** The same in SQL, for a key of text of any length. */
export function storedKeySql(key: string): string {
  return `case when length(${key}) > ${longestKey} then left(${key}, ${kept}) || '...' || md5(${key}) else ${key} end`
}
