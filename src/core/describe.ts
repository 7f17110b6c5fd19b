import type { AuditEntry } from './entry.ts'
import { modelPolicy, type Policy } from './policy.ts'

/**
 * The sentence that the policy has for an entry's action, with its placeholders filled: `{actor}`, `{model}`, `{id}`,
 * `{label}`, `{reason}`, and any changed column by name (its value after, or before a DELETE). What is not known stays as it
 * is written. `shownModel`: what `{model}` stands for.
 */
export function describeEntry(
  entry: AuditEntry,
  policy: Policy,
  shownModel: string | undefined = entry.target?.model,
): string | null {
  const model = entry.target && modelPolicy(policy, entry.target.model)
  const sentence = model ? model.describe?.[entry.action] : undefined
  if (sentence === undefined) return null
  return sentence.replace(
    /\{([^{}]+)\}/g,
    (written, name: string) =>
      (name.trim() === 'model' ? shownModel : placeholder(entry, name.trim())) ?? written,
  )
}

function placeholder({ actor, target, reason, changes }: AuditEntry, name: string): string | undefined {
  if (name === 'actor') return actor ? (actor.label ?? actor.id ?? actor.type) : undefined
  if (name === 'id') return target?.id ?? undefined
  if (name === 'label') return target?.label ?? target?.id ?? undefined
  if (name === 'reason') return reason ?? undefined
  const change = changes && Object.hasOwn(changes, name) ? changes[name] : undefined
  const value = change?.[1] ?? change?.[0]
  if (value === null || value === undefined) return undefined
  return typeof value === 'object' ? '***' : String(value)
}
