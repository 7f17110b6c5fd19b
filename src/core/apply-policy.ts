import type { NewEntry } from './entry.ts'
import { modelPolicy, type Policy } from './policy.ts'
import { isSecretName, masked, maskSecrets, type Redaction } from './redact.ts'
import type { Change, Changes, ChangeValue } from './value.ts'

/**
 * How one column is redacted: the table's own word first, then the policy's patterns, then the built-in list.
 * The trigger's text is made from the same answer.
 */
export function redactionOf(policy: Policy, model: string, column: string): Redaction {
  const own = modelPolicy(policy, model)
  const named = own ? own.redact?.[column] : undefined
  if (named) return named
  if (policy.redact?.some((pattern) => matches(pattern, model, column))) return 'mask'
  return isSecretName(column) ? 'mask' : 'keep'
}

/** Columns that the policy hides in a table, by whatever name they may get there later; in lower case. */
export function secretColumns(policy: Policy, model: string): readonly string[] {
  const own = modelPolicy(policy, model)
  const named = Object.entries((own && own.redact) || {}).filter(([, how]) => how !== 'keep')
  const patterns = (policy.redact ?? []).map((pattern) => pattern.slice(pattern.lastIndexOf('.') + 1))
  return [
    ...named.map(([column]) => column.toLowerCase()),
    ...patterns
      .filter((column) => policy.redact?.some((pattern) => matches(pattern, model, column)))
      .map((column) => column.toLowerCase()),
  ]
}

/** The names that are secret at any depth of a JSON value, on top of the built-in list. */
export function nestedSecrets(policy: Policy): readonly string[] {
  return (policy.redact ?? [])
    .filter((pattern) => pattern.startsWith('**.'))
    .map((pattern) => pattern.slice(3))
}

function matches(pattern: string, model: string, column: string): boolean {
  const dot = pattern.lastIndexOf('.')
  if (pattern.slice(dot + 1).toLowerCase() !== column.toLowerCase()) return false
  const where = dot < 0 ? '*' : pattern.slice(0, dot)
  return where === '*' || where === '**' || where === model
}

/** Hashes as the trigger does; `null` for a value that the database cannot hash. */
export type HashValues = (values: readonly string[]) => Promise<readonly (string | null)[]>

/** An entry of the library as the policy has it: masked as the trigger would mask, classified as its model is. */
export async function applyPolicy(entry: NewEntry, policy: Policy, hash: HashValues): Promise<NewEntry> {
  const changes = entry.changes ? await redactChanges(entry, entry.changes, policy, hash) : undefined
  const nested = new Set(nestedSecrets(policy))
  const isSecret = (name: string): boolean => isSecretName(name) || nested.has(name)
  const details = entry.details
    ? (maskSecrets(entry.details, isSecret) as Record<string, unknown>)
    : undefined
  const model = (entry.target && modelPolicy(policy, entry.target.model)) || {}
  const tags = model.tags?.length ? { tags: model.tags } : {}
  const category = entry.category ?? model.category
  const severity = entry.severity ?? model.severity
  return {
    ...entry,
    ...(changes ? { changes } : {}),
    ...(details || model.tags?.length ? { details: { ...details, ...tags } } : {}),
    ...(category ? { category } : {}),
    ...(severity ? { severity } : {}),
  }
}

async function redactChanges(
  entry: NewEntry,
  changes: Changes,
  policy: Policy,
  hash: HashValues,
): Promise<Changes> {
  const result: Record<string, Change> = {}
  for (const [column, change] of Object.entries(changes)) {
    const how = redactionOf(policy, entry.target?.model ?? '', column)
    if (how === 'omit') continue
    if (how === 'keep') result[column] = change
    if (how === 'mask') result[column] = [hide(change[0]), hide(change[1])]
    if (how === 'hash') result[column] = await hashed(change, hash)
  }
  return result
}

function hide(value: ChangeValue): ChangeValue {
  return value === null ? null : masked
}

async function hashed(change: Change, hash: HashValues): Promise<Change> {
  const known = change.filter((value) => value !== null).map(String)
  const hashes = [...(await hash(known))]
  const mark = (value: ChangeValue): ChangeValue => {
    if (value === null) return null
    const v = hashes.shift()
    return v ? { $: 'hash', v } : masked
  }
  return [mark(change[0]), mark(change[1])]
}
