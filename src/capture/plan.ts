import {
  defaultMaxValueBytes,
  modelPolicy,
  nestedSecrets,
  type Policy,
  type Redaction,
  redactionOf,
  secretColumns,
  type Severity,
  unknownName,
} from '../core/internal.ts'
import type { Cascade, Catalogue, CatalogueColumn, CatalogueTable } from './catalogue.ts'

/** What the trigger of one table does, resolved from policy and catalogue: the dialect turns it into text. */
export interface TablePlan {
  readonly table: CatalogueTable
  readonly model: string
  readonly key: readonly PlannedColumn[]
  /** In the order of the table; columns that are not recorded are in it with `recorded: false`. */
  readonly columns: readonly PlannedColumn[]
  /** The label's pieces: literal text and columns. */
  readonly label: readonly (string | PlannedColumn)[]
  readonly subject: PlannedColumn | null
  readonly softDelete: PlannedColumn | null
  readonly category: string | null
  readonly severity: Severity | null
  readonly tags: readonly string[]
  readonly reasonRequired: boolean
  /** Whether a change that cannot be recorded is let through and counted; else it fails the write. */
  readonly letsThrough: boolean
  readonly actions: {
    readonly create: boolean
    readonly update: boolean
    readonly delete: boolean
    readonly truncate: boolean
    readonly softDelete: boolean
    readonly restore: boolean
  }
  readonly maxValueBytes: number
  /** Names that are secret inside JSON values, on top of the built-in list. */
  readonly nestedSecrets: readonly string[]
  /** Names that are secret if a column gets one later, on top of the built-in list; in lower case. */
  readonly secretColumns: readonly string[]
  /** Whether only listed columns are recorded, so that one added later is not. */
  readonly closed: boolean
  /** Whether the application may skip capture. */
  readonly allowSkip: boolean
  readonly addresses: boolean
  readonly bulk: boolean
  readonly truncateRows: boolean
  /** The tables in which migration tools keep their books in this database. */
  readonly books: readonly Pick<CatalogueTable, 'schema' | 'name'>[]
  /** Whether what a migration writes is recorded like anything else. */
  readonly recordMigrations: boolean
  /** What foreign keys do to other tables without firing their triggers: the trigger of this table records it for them. */
  readonly cascades: readonly PlannedCascade[]
}

/** A foreign key of another table to this one, with the plan of that table, whose own cascades go on from there. */
export interface PlannedCascade extends Cascade {
  /** `null` where the policy leaves the table out: its rows are not recorded, but what hangs on them may be. */
  readonly plan: TablePlan | null
  readonly table: CatalogueTable
  /** Cascades that go on from the rows of {@link table}. */
  readonly next: readonly PlannedCascade[]
  /** Whether the chain comes back to a table that is already in it, and is not followed any further. */
  readonly cut: boolean
}

export interface PlannedColumn extends CatalogueColumn {
  readonly redaction: Redaction
  readonly recorded: boolean
  /** A change of this column alone writes no entry. */
  readonly ignored: boolean
}

/** A table with its plan, or with the reason why it has none. */
export type PlannedTable =
  | { readonly table: CatalogueTable; readonly plan: TablePlan }
  | { readonly table: CatalogueTable; readonly plan: null; readonly reason: string }

/** Resolves a policy over a catalogue. Names are taken as they are: see {@link checkNames}. */
export function planTables(policy: Policy, catalogue: Catalogue): readonly PlannedTable[] {
  const tables = new Map(catalogue.tables.map((table) => [table.model, table]))
  const books = catalogue.tables.filter(({ bookkeeping }) => bookkeeping)
  return catalogue.tables
    .filter((table) => !table.partition)
    .map((table) => {
      const reason = whySkipped(policy, table)
      if (reason) return { table, plan: null, reason }
      return {
        table,
        plan: { ...planTable(policy, table), books, cascades: followCascades(policy, tables, [table]) },
      }
    })
}

/**
 * Where the cascades of the last table of a chain lead. A table that refers to itself is followed as one step, which the
 * dialect repeats; a chain that comes back to any other table of it is cut.
 */
function followCascades(
  policy: Policy,
  tables: ReadonlyMap<string, CatalogueTable>,
  chain: readonly CatalogueTable[],
): readonly PlannedCascade[] {
  const from = chain.at(-1)!
  const repeats = chain.at(-2) === from
  return (from.cascades ?? []).flatMap((cascade): PlannedCascade[] => {
    const table = tables.get(cascade.model)
    if (!table || (repeats && table === from)) return []
    const cut = table !== from && chain.includes(table)
    const plan = whySkipped(policy, table) ? null : planTable(policy, table)
    const next = cut ? [] : followCascades(policy, tables, [...chain, table])
    return [{ ...cascade, table, plan, next, cut }]
  })
}

function whySkipped(policy: Policy, table: CatalogueTable): string | undefined {
  if (table.bookkeeping) return 'bookkeeping of a migration tool'
  if (modelPolicy(policy, table.model) === false) return 'by policy'
  return undefined
}

function planTable(policy: Policy, table: CatalogueTable): TablePlan {
  const model = modelPolicy(policy, table.model) || {}
  const columns = table.columns.map((column): PlannedColumn => {
    const redaction = redactionOf(policy, table.model, column.name)
    const listed = model.include?.length
      ? model.include.includes(column.name)
      : !model.exclude?.includes(column.name)
    return {
      ...column,
      redaction,
      recorded: listed && redaction !== 'omit' && !column.virtual,
      ignored: model.ignore?.includes(column.name) ?? false,
    }
  })
  const column = (name: string | undefined): PlannedColumn | null =>
    columns.find((item) => item.name === name) ?? null
  const does = (action: string): boolean => !policy.skipActions?.includes(action)
  return {
    table,
    model: table.model,
    key: table.key.map((name) => column(name)!),
    columns,
    label: parseTemplate(model.label ?? '').map((piece) =>
      typeof piece === 'string' ? piece : (column(piece.column) ?? `{${piece.column}}`),
    ),
    subject: column(model.subject),
    softDelete: column(model.softDelete),
    category: model.category ?? null,
    severity: model.severity ?? null,
    tags: model.tags ?? [],
    reasonRequired: model.reason === 'required',
    letsThrough: policy.onCaptureError === 'report',
    actions: {
      create: does('CREATE'),
      update: does('UPDATE'),
      delete: does('DELETE'),
      truncate: does('TRUNCATE'),
      softDelete: does('SOFT_DELETE'),
      restore: does('RESTORE'),
    },
    maxValueBytes: policy.maxValueBytes ?? defaultMaxValueBytes,
    nestedSecrets: nestedSecrets(policy),
    secretColumns: secretColumns(policy, table.model),
    closed: (model.include?.length ?? 0) > 0,
    allowSkip: policy.allowSkip ?? true,
    addresses: policy.addresses ?? true,
    bulk: model.bulk ?? false,
    truncateRows: model.truncateRows ?? false,
    books: [],
    recordMigrations: policy.migrations === 'record' || policy.allowSkip === false,
    cascades: [],
  }
}

/** `'{first} {last}'` as its pieces. */
export function parseTemplate(template: string): (string | { readonly column: string })[] {
  return template
    .split(/(\{[^{}]+\})/)
    .filter((piece) => piece !== '')
    .map((piece) =>
      piece.startsWith('{') && piece.endsWith('}') ? { column: piece.slice(1, -1).trim() } : piece,
    )
}

/**
 * A model or column of the policy that the database does not have is an error with the nearest name, so that a misspelt
 * mask never leaves a column open.
 *
 * @throws AUDIT_POLICY_UNKNOWN_MODEL, AUDIT_POLICY_UNKNOWN_COLUMN
 */
export function checkNames(policy: Policy, catalogue: Catalogue): void {
  const tables = new Map(catalogue.tables.map((table) => [table.model, table]))
  for (const [path, name] of namedModels(policy)) {
    if (tables.has(name)) continue
    throw unknownName({ path, table: name, known: [...tables.keys()] })
  }
  checkColumns(policy, tables)
}

/** Tables that a stored policy names and the database has no more: dropped since. Their columns' names still count. */
export function goneModels(policy: Policy, catalogue: Catalogue): readonly string[] {
  const tables = new Map(catalogue.tables.map((table) => [table.model, table]))
  checkColumns(policy, tables)
  return [...new Set(namedModels(policy).map(([, name]) => name))].filter((name) => !tables.has(name))
}

function namedModels(policy: Policy): (readonly [path: readonly string[], name: string])[] {
  return [
    ...Object.keys(policy.models ?? {}).map((name) => [['models', name], name] as const),
    ...(policy.skipModels ?? []).map((name) => [['skipModels'], name] as const),
    ...Object.entries(policy.actors ?? {}).map(
      ([type, { model }]) => [['actors', type, 'model'], model] as const,
    ),
  ].filter(([, name]) => name !== '*')
}

function checkColumns(policy: Policy, tables: ReadonlyMap<string, CatalogueTable>): void {
  for (const [name, model] of Object.entries(policy.models ?? {})) {
    const table = tables.get(name)
    if (!table || !model) continue
    for (const [key, column] of namedColumns(model)) {
      if (table.columns.some((item) => item.name === column)) continue
      const known = table.columns.map((item) => item.name)
      throw unknownName({ path: ['models', name, key], table: name, column, known })
    }
  }
}

function namedColumns(
  model: NonNullable<Exclude<NonNullable<Policy['models']>[string], false>>,
): [string, string][] {
  const { label, subject, softDelete, ignore, include, exclude, reads, redact } = model
  const template = parseTemplate(label ?? '').flatMap((piece) =>
    typeof piece === 'string' ? [] : [piece.column],
  )
  const lists = { label: template, ignore, include, exclude, reads, redact: Object.keys(redact ?? {}) }
  return [
    ...(subject ? [['subject', subject] as [string, string]] : []),
    ...(softDelete ? [['softDelete', softDelete] as [string, string]] : []),
    ...Object.entries(lists).flatMap(([key, names]) =>
      (names ?? []).map((name): [string, string] => [key, name]),
    ),
  ]
}
