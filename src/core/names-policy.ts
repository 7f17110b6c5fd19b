import { kinds } from './entry.ts'
import { AuditError } from './errors.ts'
import type { Translator } from './names.ts'
import type { ModelPolicy, Policy } from './policy.ts'
import { isSecretName, type Redaction } from './redact.ts'

/**
 * A policy in the names of tables and columns: what is compared, stored, and made into triggers. A field with a secret
 * name is masked whatever its column is called.
 *
 * @throws AUDIT_POLICY_CONFLICT where two names of the policy mean the same table or column, or one means several
 */
export function translatePolicy(policy: Policy, names: Translator): Policy {
  if (Object.keys(names.names).length === 0) return policy
  const models: Record<string, ModelPolicy | false> = {}
  const spelled = new Map<string, string>()
  for (const [name, model] of Object.entries(policy.models ?? {})) {
    const table = name === '*' ? name : names.table(name)
    const before = spelled.get(table)
    if (before !== undefined) {
      throw conflict(`models.${name} and models.${before} are both the table ${table}.`, 'Keep one of them.')
    }
    spelled.set(table, name)
    if (model === false) leftOut(`models.${name}`, name, names)
    models[table] = model && translateModel(`models.${name}`, name, model, names)
  }
  const redact = [...(policy.redact ?? []).flatMap((pattern) => patterns(pattern, names)), ...secrets(names)]
  const entriesOf = <T>(value: Readonly<Record<string, T>> | undefined): [string, T][] =>
    Object.entries(value ?? {})
  return {
    ...policy,
    ...(policy.models ? { models } : {}),
    ...(policy.redact || redact.length > 0 ? { redact: [...new Set(redact)] } : {}),
    ...(policy.skipModels
      ? { skipModels: policy.skipModels.map((name) => leftOut('skipModels', name, names)) }
      : {}),
    ...(policy.actors
      ? {
          actors: Object.fromEntries(
            entriesOf(policy.actors).map(([type, { model, label }]) => [
              type,
              {
                model: names.table(model),
                label: template(label, (field) => names.column(model, field)),
              },
            ]),
          ),
        }
      : {}),
    ...(policy.retention
      ? {
          retention: Object.fromEntries(
            entriesOf(policy.retention).map(([name, age]) => [
              (kinds as readonly string[]).includes(name) ? name : names.table(name),
              age,
            ]),
          ),
        }
      : {}),
  }
}

/** A table is audited as a whole, so one of several models in it cannot be left out alone. */
function leftOut(path: string, name: string, names: Translator): string {
  const table = names.table(name)
  const [first, ...others] = names.models(table)
  if (name === '*' || name === table || name === first || others.length === 0) return table
  throw conflict(
    `${path}: ${name} is in the table ${table} together with ${first}, whose rows would not be recorded either.`,
    `Name ${first} or ${table} to leave out the whole table.`,
  )
}

function translateModel(path: string, name: string, model: ModelPolicy, names: Translator): ModelPolicy {
  const all = (key: string, field: string): readonly string[] =>
    name === '*' ? anywhere(`${path}.${key}`, field, names) : [names.column(name, field)]
  const one = (key: string) => (field: string) => {
    const [own, ...others] = all(key, field)
    if (others.length === 0) return own!
    if (others.length === 1) return others[0]!
    throw conflict(
      `${path}.${key}: "${field}" is the column ${others.join(' in one table, ')} in another.`,
      'Say it for each model.',
    )
  }
  const lists = (['ignore', 'include', 'exclude', 'reads'] as const).flatMap((key) => {
    const given = model[key]
    return given ? [[key, [...new Set(given.flatMap((field) => all(key, field)))]]] : []
  })
  const redact: Record<string, Redaction> = {}
  for (const [field, how] of Object.entries(model.redact ?? {})) {
    for (const column of all('redact', field)) {
      if ((redact[column] ?? how) !== how) {
        throw conflict(
          `${path}.redact: "${field}" and another key are both the column ${column}.`,
          'Keep one of them.',
        )
      }
      redact[column] = how
    }
  }
  const sentences = Object.entries(model.describe ?? {}).map(([action, sentence]) => [
    action,
    template(sentence, (field) => (filled.includes(field) ? field : one('describe')(field))),
  ])
  return {
    ...model,
    ...(Object.fromEntries(lists) as Partial<ModelPolicy>),
    ...(model.label === undefined ? {} : { label: template(model.label, one('label')) }),
    ...(model.subject === undefined ? {} : { subject: one('subject')(model.subject) }),
    ...(model.softDelete === undefined ? {} : { softDelete: one('softDelete')(model.softDelete) }),
    ...(model.redact ? { redact } : {}),
    ...(model.describe ? { describe: Object.fromEntries(sentences) as Record<string, string> } : {}),
  }
}

/** What a sentence may hold besides fields. */
const filled: readonly string[] = ['actor', 'model', 'id', 'label', 'reason']

/** The columns of a field in whichever table; not where another table has that column for another field. */
function anywhere(path: string, field: string, names: Translator): readonly string[] {
  const columns = names.columns(field)
  for (const column of columns.slice(1)) {
    for (const [model, { fields = {} }] of Object.entries(names.names)) {
      const other = Object.entries(fields).find(([name, of]) => of === column && name !== field)
      if (!other || fields[field] === column) continue
      throw conflict(
        `${path}: "${field}" is the column ${column}, which is "${other[0]}" in ${model}.`,
        'Say it for each model.',
      )
    }
  }
  return columns
}

function template(text: string, column: (field: string) => string): string {
  return text.replace(/\{([^{}]+)\}/g, (_written, name: string) => `{${column(name.trim())}}`)
}

/** A pattern of `redact`, and what it means for models whose columns have other names. */
function patterns(pattern: string, names: Translator): readonly string[] {
  const [where, field] = split(pattern, names)
  if (where !== undefined) return [`${names.table(where)}.${names.column(where, field)}`]
  const elsewhere = Object.entries(names.names).flatMap(([, { table, fields = {} }]) =>
    Object.entries(fields)
      .filter(([name, column]) => lastOf(name).toLowerCase() === field.toLowerCase() && column !== field)
      .map(([, column]) => `${table}.${column}`),
  )
  return [pattern, ...elsewhere]
}

/** `Model.field`, where a field may be a path; no model for `field`, `*.field` and `**.field`. */
function split(pattern: string, names: Translator): [where: string | undefined, field: string] {
  const dots = [...pattern.matchAll(/\./g)].map(({ index }) => index).toReversed()
  for (const dot of dots) {
    const where = pattern.slice(0, dot)
    if (Object.hasOwn(names.names, where) || names.models(where).length > 0)
      return [where, pattern.slice(dot + 1)]
  }
  const where = dots.length === 0 ? '*' : pattern.slice(0, dots[0])
  const field = dots.length === 0 ? pattern : pattern.slice(dots[0]! + 1)
  return [where === '*' || where === '**' ? undefined : where, field]
}

function secrets(names: Translator): string[] {
  return Object.values(names.names).flatMap(({ table, fields = {} }) =>
    Object.entries(fields)
      .filter(([field, column]) => isSecretName(lastOf(field)) && !isSecretName(column))
      .map(([, column]) => `${table}.${column}`),
  )
}

function lastOf(path: string): string {
  return path.slice(path.lastIndexOf('.') + 1)
}

function conflict(message: string, hint: string): AuditError {
  return new AuditError('AUDIT_POLICY_CONFLICT', message, hint)
}
