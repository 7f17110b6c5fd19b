import type { AuditEntry, NewEntry } from './entry.ts'
import type { Query } from './query.ts'

/** What an application calls one table and its columns. */
export interface ModelNames {
  /** `table`, or `schema.table` outside the default schema, as the trail has it. */
  readonly table: string
  /** The column of each field; of an embedded one by its path: `{ customerId: 'customer_id', 'address.city': 'city' }`. */
  readonly fields?: Readonly<Record<string, string>>
}

/**
 * The application's names, by model: `{ Invoice: { table: 'invoices', fields: { customerId: 'customer_id' } } }`. The
 * trail holds the names of tables and columns; these are translated where something comes in or goes out. A table's own
 * name, and a column's, stay good where something comes in. Where several models share a table, the first one is shown.
 */
export type Names = Readonly<Record<string, ModelNames>>

/** Names of two sources as one; what `own` says holds. */
export function mergeNames(given: Names = {}, own: Names = {}): Names {
  const merged = Object.entries(own).map(([model, { table, fields }]) => [
    model,
    { table, fields: { ...given[model]?.fields, ...fields } },
  ])
  return { ...given, ...(Object.fromEntries(merged) as Names) }
}

/** Translates between the names of the application and those of the database. Unknown names pass as they are. */
export interface Translator {
  readonly names: Names
  /** The table of a model. */
  table(model: string): string
  /** The models of a table, the one that is shown first. */
  models(table: string): readonly string[]
  /** The column of a field of a model, or of a table. */
  column(model: string, field: string): string
  /** Every column that some model has for a field, and the name itself, which may be a column's. */
  columns(field: string): readonly string[]
  query(query: Query): Query
  /** A query in the names in which entries are shown, whichever it was asked in. */
  shownQuery(query: Query): Query
  stored(entry: NewEntry): NewEntry
  shown(entry: AuditEntry): AuditEntry
  shownModel(table: string): string
}

export function createTranslator(names: Names): Translator {
  const models = new Map<string, string[]>()
  const fieldOf = new Map<string, Map<string, string>>()
  const columnsOf = new Map<string, Set<string>>()
  for (const [model, { table, fields = {} }] of Object.entries(names)) {
    models.set(table, [...(models.get(table) ?? []), model])
    const shown = fieldOf.get(table) ?? new Map<string, string>()
    fieldOf.set(table, shown)
    for (const [field, column] of Object.entries(fields)) {
      if (!shown.has(column)) shown.set(column, field)
      columnsOf.set(field, (columnsOf.get(field) ?? new Set()).add(column))
    }
  }
  const own = (model: string): ModelNames | undefined =>
    Object.hasOwn(names, model) ? names[model] : undefined
  const table = (model: string): string => own(model)?.table ?? model
  const fieldIn = (model: string, field: string): string | undefined => {
    const { fields = {} } = own(model) ?? {}
    return Object.hasOwn(fields, field) ? fields[field] : undefined
  }
  // a field of another model in the same table will do: a row has all of them
  const column = (model: string, field: string): string =>
    fieldIn(model, field) ??
    models.get(table(model))?.flatMap((other) => fieldIn(other, field) ?? [])[0] ??
    field
  const columns = (field: string): readonly string[] => [...new Set([field, ...(columnsOf.get(field) ?? [])])]
  const shownModel = (of: string): string => models.get(of)?.[0] ?? of
  const shownField = (of: string, name: string): string => fieldOf.get(of)?.get(name) ?? name

  return {
    names,
    table,
    models: (of) => models.get(of) ?? [],
    column,
    columns,
    shownModel,
    query: (query) => ({
      ...query,
      ...(query.models ? { models: unique(query.models.map(table)) } : {}),
      ...(query.changed
        ? {
            changed: unique(
              query.changed.flatMap(
                (field) => query.models?.map((model) => column(model, field)) ?? columns(field),
              ),
            ),
          }
        : {}),
    }),
    shownQuery: (query) => ({
      ...query,
      ...(query.models ? { models: unique(query.models.map((model) => shownModel(table(model)))) } : {}),
      ...(query.changed
        ? {
            changed: unique(
              query.changed.flatMap((field) => [
                field,
                ...[...models.keys()].map((of) => shownField(of, field)),
              ]),
            ),
          }
        : {}),
    }),
    stored(entry) {
      const { target } = entry
      if (!target) return entry
      const of = (field: string): string => column(target.model, field)
      return {
        ...entry,
        target: { ...target, model: table(target.model) },
        ...(entry.changes ? { changes: renamed(entry.changes, of) } : {}),
        ...withFields(entry, of),
      }
    },
    shown(entry) {
      const { target } = entry
      if (!target) return entry
      const of = (name: string): string => shownField(target.model, name)
      return {
        ...entry,
        target: { ...target, model: shownModel(target.model) },
        changes: entry.changes && renamed(entry.changes, of),
        ...withFields(entry, of),
      }
    },
  }
}

/** The fields that a view showed are names as well. */
function withFields(
  { action, details }: Pick<AuditEntry | NewEntry, 'action' | 'details'>,
  name: (field: string) => string,
): object {
  const fields = details && 'fields' in details ? details.fields : undefined
  if (action !== 'VIEW' || !Array.isArray(fields)) return {}
  return { details: { ...details, fields: fields.map((field) => name(String(field))) } }
}

/** Other keys for the same values. Where one would take the place of another value, it keeps its own. */
function renamed<V>(
  values: Readonly<Record<string, V>>,
  name: (key: string) => string,
): Readonly<Record<string, V>> {
  const given = Object.keys(values)
  const staying = new Set(given.filter((key) => name(key) === key))
  const taken = new Set<string>()
  const entries = given.map((key): [string, V] => {
    const wanted = name(key)
    const free = wanted === key || (!staying.has(wanted) && !taken.has(wanted))
    taken.add(free ? wanted : key)
    return [free ? wanted : key, values[key]!]
  })
  return Object.fromEntries(entries)
}

function unique(values: readonly string[]): readonly string[] {
  return [...new Set(values)]
}
