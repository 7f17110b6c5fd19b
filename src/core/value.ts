/**
 * In place of a value: `masked` (redacted), `hash` (redacted, comparable within the trail), `cut` (longer than the policy
 * allows; `length` is its length in characters), `blob` (binary, in hexadecimal).
 */
export type ChangeMark =
  | { readonly $: 'masked' }
  | { readonly $: 'hash'; readonly v: string }
  | { readonly $: 'cut'; readonly length: number }
  | { readonly $: 'blob'; readonly hex: string }

/**
 * A recorded value. `null` is SQL NULL; booleans, 32-bit integers and finite floats are themselves; every other type is
 * its exact text, the same for every action: numeric `"1.10"`, bigint `"42"`, json `"{...}"`, timestamps in UTC.
 */
export type ChangeValue = null | boolean | number | string | ChangeMark

/** One column's value before and after. */
export type Change = readonly [before: ChangeValue, after: ChangeValue]

/** The changed columns of an UPDATE; every column of a CREATE (`[null, after]`) and a DELETE (`[before, null]`). */
export type Changes = Readonly<Record<string, Change>>

/** The value encoding for entries that the application writes itself; the triggers do the same in SQL. */
export function encodeValue(value: unknown): ChangeValue {
  if (value === null || value === undefined) return null
  if (typeof value === 'boolean') return value
  if (typeof value === 'string') return value.replaceAll('\u0000', '\\u0000')
  if (typeof value === 'bigint') return value.toString()
  if (typeof value === 'number') {
    const exact = Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value))
    return exact ? value : String(value)
  }
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString()
  if (value instanceof Uint8Array) return { $: 'blob', hex: Buffer.from(value).toString('hex') }
  try {
    return JSON.stringify(value) ?? null
  } catch {
    return `[${typeof value}]` // cyclic
  }
}
