import { AuditError } from './errors.ts'
import type { Translator } from './names.ts'
import { suggest } from './nearest.ts'

/** A table or a column that the policy names and the database does not have. */
export interface UnknownName {
  /** Where in the policy: `['models', 'invoices', 'ignore']`. */
  readonly path: readonly string[]
  readonly table: string
  /** Absent where the table itself is unknown. */
  readonly column?: string
  readonly known: readonly string[]
}

/** The error for it, which remembers what it is made of, so that it can be said in the application's names. */
export function unknownName(unknown: UnknownName): AuditError {
  const { path, table, column, known } = unknown
  const error =
    column === undefined
      ? new AuditError(
          'AUDIT_POLICY_UNKNOWN_MODEL',
          `${path.join('.')}: the database has no table "${table}".`,
          suggest(table, known),
        )
      : new AuditError(
          'AUDIT_POLICY_UNKNOWN_COLUMN',
          `${path.join('.')}: the table has no column "${column}".`,
          suggest(column, known),
        )
  Object.defineProperty(error, mark, { value: unknown })
  return error
}

const mark: unique symbol = Symbol('whodunit unknown name')

/** The same error in the names of the application; any other as it is. `spelled`: the models of its policy. */
export function inNamesOf(error: unknown, names: Translator, spelled: readonly string[]): unknown {
  const unknown = (error as { [mark]?: UnknownName } | null)?.[mark]
  if (!unknown) return error
  const { path, table, column, known } = unknown
  const model = spelled.find((name) => names.table(name) === table) ?? table
  const { fields = {} } = names.names[names.models(table)[0] ?? ''] ?? {}
  const field = Object.entries(fields).find(([, of]) => of === column)?.[0]
  if (column === undefined && model !== table) {
    return new AuditError(
      'AUDIT_POLICY_UNKNOWN_MODEL',
      `${path.map((part) => (part === table ? model : part)).join('.')}: the database has no table "${table}", which is that of ${model}.`,
      suggest(table, known),
    )
  }
  return unknownName({
    path: path.map((part) => (part === table ? model : part)),
    table: model,
    ...(column === undefined ? {} : { column: field ?? column }),
    known: [
      ...(column === undefined
        ? known.flatMap((of) => names.models(of))
        : Object.entries(fields).flatMap(([name, of]) => (known.includes(of) ? [name] : []))),
      ...known,
    ],
  })
}
