import { secretWords } from '../../core/internal.ts'
import { literal } from './quote.ts'

/** Letters and digits of a name, in lower case: `api_key`, `api-key` and `apiKey` are `apikey`. */
export function squeezed(name: string): string {
  return `lower(${[' ', '_', '-', '.', ':', '/', '$'].reduce((text, mark) => `replace(${text}, '${mark}', '')`, name)})`
}

/** A text without any of these holds no name of the list, in whatever way it is written. */
export const secretStems: readonly string[] = [
  'pass', 'pwd', 'secret', 'token', 'key', 'credential', 'authorization', 'cookie', 'jwt', 'otp', 'pin', 'cvv', 'cvc', 'ssn',
  'iban', 'salt', 'card', 'account', 'recovery', 'backup', 'session',
] // prettier-ignore

/** Shorter words are parts of harmless ones (`pin` of `shipping`), so their ends are looked at. */
const longEnough = 6

/**
 * The built-in list of secret names as a table, for names inside JSON: a word that has to be in the squeezed name, and a
 * pattern of the name as it is written, between two dashes.
 */
export const secretTable: readonly string[] = [
  `drop table if exists whodunit_secret`,
  `create table whodunit_secret (word text not null, pattern text not null)`,
  `insert into whodunit_secret (word, pattern) values ${secretWords
    .flatMap((words) => patternsOf(words).map((pattern) => [words.replaceAll(' ', ''), pattern]))
    .map((row) => `(${row.map((text) => literal(text)).join(', ')})`)
    .join(', ')}`,
]

/** A word begins behind what is no letter, or as a capital behind what is none; and ends likewise. */
function patternsOf(words: string): readonly string[] {
  if (words.replaceAll(' ', '').length >= longEnough) return ['*']
  const letters = [...words].map((letter) => `[${letter}${letter.toUpperCase()}]`)
  const [first, last] = [words[0]!.toUpperCase(), words.at(-1)!]
  const begins = [`*[^a-zA-Z0-9]${letters[0]!}`, `*[a-z0-9]${first}`]
  const ends = [`${letters.at(-1)!}[^a-zA-Z0-9]*`, `${last}[A-Z]*`]
  return begins.flatMap((begin) => ends.map((end) => `${begin}${letters.slice(1, -1).join('')}${end}`))
}
