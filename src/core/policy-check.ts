import { severities } from './entry.ts'
import { AuditError, type AuditErrorCode } from './errors.ts'
import { suggest } from './nearest.ts'
import { type AuditConfig, modelKeys, policyKeys } from './policy.ts'
import { redactions } from './redact.ts'

/**
 * Declares the audit of an application: checks the shape at once and returns the value as it is.
 * Whether tables and columns exist is checked against the database by `migrate` and `check`.
 *
 * @throws AUDIT_POLICY_UNKNOWN_KEY, AUDIT_POLICY_INVALID, AUDIT_POLICY_CONFLICT
 * @example
 * export default defineAudit({ url: process.env.DATABASE_URL, models: { invoices: { label: '{number}' } } })
 */
export function defineAudit<const T extends AuditConfig>(config: T): T {
  checkConfig(config)
  return config
}

/** Throws at the first thing in a configuration that has the wrong shape, naming its path. */
export function checkConfig(config: unknown): asserts config is AuditConfig {
  const root = record('the configuration', config)
  knownKeys('the configuration', root, ['url', 'names', ...policyKeys])
  if (root['url'] !== undefined && typeof root['url'] !== 'string')
    throw wrong('url', root['url'], 'a database URL')
  texts('schemas', root['schemas'])
  texts('redact', root['redact'])
  texts('skipModels', root['skipModels'])
  texts('skipActions', root['skipActions'])
  oneOf('migrations', root['migrations'], ['skip', 'record'])
  oneOf('onCaptureError', root['onCaptureError'], ['fail', 'report'])
  for (const flag of ['allowSkip', 'addresses']) flagOrNothing(flag, root[flag])
  const bytes = root['maxValueBytes']
  if (bytes !== undefined && (!Number.isInteger(bytes) || (bytes as number) < 100)) {
    throw wrong('maxValueBytes', bytes, 'a whole number of bytes, 100 at least')
  }
  for (const [name, model] of entries('models', root['models'])) {
    if (model === false) continue
    if (model === true)
      throw wrong(`models.${name}`, model, 'an object, or false (tables are audited by default)')
    checkModel(`models.${name}`, record(`models.${name}`, model))
  }
  for (const [type, actor] of entries('actors', root['actors'])) {
    const path = `actors.${type}`
    const value = record(path, actor)
    knownKeys(path, value, ['model', 'label'])
    for (const key of ['model', 'label']) {
      if (typeof value[key] !== 'string') throw wrong(`${path}.${key}`, value[key], 'text')
    }
  }
  for (const [name, names] of entries('names', root['names'])) {
    const path = `names.${name}`
    const value = record(path, names)
    knownKeys(path, value, ['table', 'fields'])
    if (typeof value['table'] !== 'string')
      throw wrong(`${path}.table`, value['table'], 'the name of a table')
    for (const [field, column] of entries(`${path}.fields`, value['fields'])) {
      if (typeof column !== 'string') throw wrong(`${path}.fields.${field}`, column, 'the name of a column')
    }
  }
  for (const [name, age] of entries('retention', root['retention'])) {
    if (typeof age !== 'string' || !/^\d{1,6}[dwy]$/.test(age)) {
      throw wrong(`retention.${name}`, age, "an age such as '400d', '8w' or '2y'")
    }
  }
}

function checkModel(path: string, model: Record<string, unknown>): void {
  knownKeys(path, model, modelKeys)
  for (const key of ['label', 'subject', 'category', 'softDelete']) {
    if (model[key] !== undefined && typeof model[key] !== 'string')
      throw wrong(`${path}.${key}`, model[key], 'text')
  }
  oneOf(`${path}.severity`, model['severity'], severities)
  oneOf(`${path}.reason`, model['reason'], ['optional', 'required'])
  for (const key of ['tags', 'ignore', 'include', 'exclude', 'reads']) texts(`${path}.${key}`, model[key])
  for (const key of ['bulk', 'truncateRows']) flagOrNothing(`${path}.${key}`, model[key])
  for (const [action, sentence] of entries(`${path}.describe`, model['describe'])) {
    if (typeof sentence !== 'string') throw wrong(`${path}.describe.${action}`, sentence, 'text')
  }
  for (const [column, how] of entries(`${path}.redact`, model['redact'])) {
    oneOf(`${path}.redact.${column}`, how, redactions)
  }
  if (model['include'] && model['exclude']) {
    throw problem(
      'AUDIT_POLICY_CONFLICT',
      `${path} has both include and exclude.`,
      'Keep one of the two lists.',
    )
  }
}

function knownKeys(path: string, value: Record<string, unknown>, known: readonly string[]): void {
  for (const key of Object.keys(value)) {
    if (known.includes(key)) continue
    throw problem('AUDIT_POLICY_UNKNOWN_KEY', `${path} has an unknown key "${key}".`, suggest(key, known))
  }
}

function record(path: string, value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw wrong(path, value, 'an object')
  return value as Record<string, unknown>
}

function entries(path: string, value: unknown): [string, unknown][] {
  return value === undefined ? [] : Object.entries(record(path, value))
}

function texts(path: string, value: unknown): void {
  if (value === undefined) return
  if (!Array.isArray(value) || value.some((item) => typeof item !== 'string'))
    throw wrong(path, value, 'a list of texts')
}

function flagOrNothing(path: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'boolean') throw wrong(path, value, 'true or false')
}

function oneOf(path: string, value: unknown, allowed: readonly string[]): void {
  if (value === undefined || allowed.includes(value as string)) return
  const near = typeof value === 'string' ? suggest(value, allowed) : ''
  throw problem('AUDIT_POLICY_INVALID', `${path} is ${show(value)}, not one of ${allowed.join(', ')}.`, near)
}

function wrong(path: string, value: unknown, expected: string): AuditError {
  return problem('AUDIT_POLICY_INVALID', `${path} is ${show(value)}.`, `Give ${expected}.`)
}

function problem(code: AuditErrorCode, message: string, hint: string): AuditError {
  return new AuditError(code, message, hint)
}

function show(value: unknown): string {
  return typeof value === 'function' ? 'a function' : (JSON.stringify(value) ?? String(value)).slice(0, 80)
}
