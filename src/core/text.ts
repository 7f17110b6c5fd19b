/** Longest texts that are stored, in UTF-16 units. The rest is dropped and the text ends in an ellipsis. */
export const limits = {
  id: 200,
  label: 200,
  address: 64,
  userAgent: 512,
  path: 2_048,
  reason: 1_000,
  title: 500,
  description: 8_000,
  /** Of the free metadata of a context or an event, as JSON. */
  metadata: 8_000,
} as const

// C0, DEL, C1, line and paragraph separators, and the marks that turn the direction of text
const unsafe = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g

/**
 * Text from outside made fit to be stored and shown on one line: control and bidirectional marks become visible
 * escapes, so that a line break in a user name never looks like a second entry.
 */
export function oneLine(value: string, limit: number): string {
  const visible = value
    .slice(0, limit + 1)
    .toWellFormed()
    .replace(unsafe, (mark) => `\\u${mark.charCodeAt(0).toString(16).padStart(4, '0')}`)
  return visible.length > limit ? `${visible.slice(0, limit - 1).toWellFormed()}…` : visible
}

// NUL, and halves of characters that stand alone, as JSON.stringify writes them
const unstorable = /(?<!\\)((?:\\\\)*)\\u(0000|d[89a-f][0-9a-f]{2})/gi

/** JSON as a database reads it: what a text of JavaScript may hold and no text of SQL becomes a visible escape. */
export function storedJson(value: object): string {
  return JSON.stringify(value).replace(unstorable, '$1\\\\u$2')
}
