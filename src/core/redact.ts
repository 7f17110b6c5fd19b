import type { ChangeMark } from './value.ts'

/** What the trail keeps of a secret column: a mark, a keyed hash that is stable within the trail, or nothing at all. */
export const redactions = ['mask', 'hash', 'omit', 'keep'] as const
/** `keep` records a column although its name is on the built-in list. */
export type Redaction = (typeof redactions)[number]

/**
 * The built-in list of secret names. A name is cut into words (`apiToken`, `api_token` and `API-TOKEN` are `api token`);
 * it is secret if one of these words, or two neighbouring ones, are in it. `keep` in the policy takes a column off the list.
 */
export const secretWords: readonly string[] = [
  'password', 'passwd', 'pwd', 'passphrase', 'passcode', 'secret', 'secrets', 'token', 'tokens', 'apikey', 'credential',
  'credentials', 'authorization', 'cookie', 'cookies', 'jwt', 'otp', 'totp', 'pin', 'cvv', 'cvc', 'cvv2', 'cvc2', 'ssn',
  'iban', 'salt', 'api key', 'private key', 'access key', 'secret key', 'encryption key', 'signing key', 'card number',
  'credit card', 'account number', 'recovery code', 'recovery codes', 'backup codes', 'session id',
] // prettier-ignore

const single = new Set(secretWords)

/** Whether a column, property or header of this name is taken for a secret. */
export function isSecretName(name: string): boolean {
  const words = name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== '')
  return words.some((word, index) => {
    const next = words[index + 1]
    return (
      single.has(word) || (next !== undefined && (single.has(`${word} ${next}`) || single.has(word + next)))
    )
  })
}

// What error messages and free text are known to carry: query parameters (Drizzle), credentials in URLs and
// headers, `password=...`, and numbers that pass for payment cards
const leaks: readonly (readonly [RegExp, string])[] = [
  [/\bparams: [^\n]*/g, 'params: ***'],
  [/\b(bearer|basic) [\w.~+/=-]{6,}/gi, '$1 ***'],
  [/(\/\/[^/\s:@]{1,200}):[^/\s@]{1,200}@/g, '$1:***@'],
  [
    /\b(pass(?:word|wd|phrase)?|pwd|secret|token|api[_-]?key)(["']?\s{0,3}[=:]\s{0,3}["']?)[^\s"',;&)]{1,500}/gi,
    '$1$2***',
  ],
]
const cardLike = /\b\d(?:[ -]?\d){12,18}\b/g

/** Free text (an error's message and stack) without what looks like a secret in it. */
export function scrubText(text: string): string {
  const clean = leaks.reduce((rest, [leak, mark]) => rest.replace(leak, mark), text)
  return clean.replace(cardLike, (digits) => (passesLuhn(digits.replace(/\D/g, '')) ? '***' : digits))
}

function passesLuhn(digits: string): boolean {
  let sum = 0
  for (let i = 0; i < digits.length; i++) {
    const digit = Number(digits[digits.length - 1 - i])
    const doubled = digit * 2
    sum += i % 2 === 0 ? digit : doubled > 9 ? doubled - 9 : doubled
  }
  return sum % 10 === 0
}

export const masked: ChangeMark = { $: 'masked' }

/**
 * A copy of free data with the values of secret names masked, at any depth. Used for metadata, filters and details that
 * the library writes itself; row changes are masked by the trigger.
 */
export function maskSecrets(
  value: unknown,
  isSecret: (name: string) => boolean = isSecretName,
  depth = 0,
): unknown {
  if (typeof value !== 'object' || value === null || depth > 8) return depth > 8 ? { $: 'cut' } : plain(value)
  if (Array.isArray(value)) return value.slice(0, 1_000).map((item) => maskSecrets(item, isSecret, depth + 1))
  const json = (value as { toJSON?: unknown }).toJSON
  if (typeof json === 'function') return json.call(value)
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => {
      const hide = isSecret(name) && item !== null && item !== undefined
      return [name, hide ? masked : maskSecrets(item, isSecret, depth + 1)]
    }),
  )
}

function plain(value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value
}
