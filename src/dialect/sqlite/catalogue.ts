import { isBookkeeping } from '../../capture/bookkeeping.ts'
import type {
  Catalogue,
  CatalogueColumn,
  CatalogueTable,
  InstalledCapture,
  UniqueKey,
} from '../../capture/catalogue.ts'
import type { RunSql, SqlRow } from '../dialect.ts'
import { triggerPrefix } from './capture.ts'

/** Attached databases are left out: a trigger reaches no other file than its own. */
const schema = 'main'
/** SQLite's own tables, and ours. */
const ours = `m.name not like 'sqlite\\_%' escape '\\' and m.name not like 'whodunit\\_%' escape '\\'`

/**
 * Tables, not views. A virtual table can have no trigger, and a shadow table belongs to a virtual one; both are left out.
 */
export async function readCatalogue(run: RunSql, schemas: readonly string[] | undefined): Promise<Catalogue> {
  if (schemas?.length && !schemas.includes(schema)) return { defaultSchema: schema, tables: [] }
  const tables = await run(
    `select m.name, m.sql, l.wr from sqlite_master m join pragma_table_list l on l.name = m.name and l.schema = '${schema}'
     where m.type = 'table' and l.type = 'table' and ${ours} order by m.name`,
  )
  const columns = grouped(
    await run(
      `select m.name as "table", c.name, c.type, c."notnull", c.pk from sqlite_master m, pragma_table_xinfo(m.name, '${schema}') c
       where m.type = 'table' and c.hidden <> 1 and ${ours} order by m.name, c.cid`,
    ),
  )
  const indexes = grouped(
    await run(
      `select m.name as "table", i.name as "index", i.origin, i.partial, x.name, x.coll from sqlite_master m, pragma_index_list(m.name, '${schema}') i,
         pragma_index_xinfo(i.name, '${schema}') x
       where m.type = 'table' and i."unique" = 1 and x.key = 1 and ${ours} order by m.name, i.seq desc, x.seqno`,
    ),
  )
  const triggers = grouped(
    await run(
      `select tbl_name as "table", name, sql, rowid as place from sqlite_master where type = 'trigger'`,
    ),
  )
  const taken = new Set([...triggers.values()].flat().map((row) => captureOf(row)))
  return {
    defaultSchema: schema,
    tables: tables.map((row) => {
      const of = String(row['name'])
      const indexed = indexes.get(of) ?? []
      return toTable(row, columns.get(of) ?? [], indexed, triggers.get(of) ?? [], taken)
    }),
  }
}

function grouped(rows: readonly SqlRow[]): Map<string, SqlRow[]> {
  const groups = new Map<string, SqlRow[]>()
  for (const row of rows) {
    const of = String(row['table'])
    const group = groups.get(of)
    if (group) group.push(row)
    else groups.set(of, [row])
  }
  return groups
}

function toTable(
  row: SqlRow,
  rows: readonly SqlRow[],
  indexed: readonly SqlRow[],
  triggers: readonly SqlRow[],
  taken: ReadonlySet<string | undefined>,
): CatalogueTable {
  const table = String(row['name'])
  const primary = rows
    .filter((column) => Number(column['pk']) > 0)
    .toSorted((a, b) => Number(a['pk']) - Number(b['pk']))
    .map((column) => String(column['name']))
  // a key of the rowid itself has no index of its own
  const rowid =
    primary.length === 1 && Number(row['wr']) === 0 && !indexed.some(({ origin }) => origin === 'pk')
  const columns = rows.map((column) => toColumn(column, rowid && column['name'] === primary[0]))
  const keys = uniqueKeys(indexed)
  const binary = (names: readonly string[]): UniqueKey =>
    names.map((of) => ({ name: of, collation: 'BINARY' }))
  const unique = rowid ? [binary(primary), ...keys] : keys
  const required = new Set(rows.filter((column) => Number(column['notnull']) === 1).map(({ name }) => name))
  const standIn = keys
    .filter((key) => key.every(({ name }) => required.has(name)))
    .toSorted((a, b) => a.length - b.length)[0]
  const capture = captureOf(triggers.find((trigger) => captureOf(trigger) !== undefined) ?? { name: '' })
  return {
    schema,
    name: table,
    model: table,
    key: primary.length > 0 ? primary : (standIn ?? []).map(({ name }) => name),
    columns,
    bookkeeping: isBookkeeping(table, columns),
    partition: false,
    installed: capture === undefined ? null : toInstalled(capture, triggers),
    capture: capture ?? freeName(table, taken),
    ...(unique.length > 0
      ? { unique: { keys: unique, replace: /\bon\s+conflict\s+replace\b/i.test(String(row['sql'])) } }
      : {}),
  }
}

function toColumn(row: SqlRow, rowid: boolean): CatalogueColumn {
  const type = String(row['type'])
  return {
    name: String(row['name']),
    type,
    form: rowid ? 'native' : /json/i.test(type) ? 'json' : 'other',
    exactEquality: rowid || hasAffinity(type),
    unbounded: !rowid,
    virtual: false,
  }
}

/** Without one, 1 and 1.0 are two values that `=` takes for one. */
function hasAffinity(type: string): boolean {
  return type !== '' && !(/blob/i.test(type) && !/int|char|clob|text/i.test(type)) && !/^any$/i.test(type)
}

/** Those that hold for every row, by columns alone. */
function uniqueKeys(indexed: readonly SqlRow[]): UniqueKey[] {
  const names = [...new Set(indexed.map((row) => row['index']))]
  return names
    .map((index) => indexed.filter((row) => row['index'] === index))
    .filter((rows) => rows.every((row) => row['name'] !== null && Number(row['partial']) === 0))
    .map((rows) => rows.map((row) => ({ name: String(row['name']), collation: String(row['coll']) })))
}

/** The same in SQL: what stands behind the word of the event. */
export const captureName: string = `substr(substr(name, ${triggerPrefix.length + 1}), instr(substr(name, ${triggerPrefix.length + 1}), ' ') + 1)`

const kept = new RegExp(`^${triggerPrefix}(?:replace|overwrite|insert|update|delete) (.*)$`, 's')

/** The name that a trigger of ours keeps its capture under. */
function captureOf(row: SqlRow): string | undefined {
  return kept.exec(row['name'] as string)?.[1]
}

/** A table that was renamed still holds the triggers of its old name, which another table may have by now. */
function freeName(table: string, taken: ReadonlySet<string | undefined>): string {
  let free = table
  for (let n = 2; taken.has(free); n++) free = `${table} ${n}`
  return free
}

function toInstalled(capture: string, triggers: readonly SqlRow[]): InstalledCapture {
  const own = triggers.filter((row) => captureOf(row) === capture)
  const first = Math.min(...own.map((row) => Number(row['place'])))
  // the last that was made is the first to run: what others change in turn would be recorded before what caused it
  const late = triggers.some((row) => captureOf(row) === undefined && Number(row['place']) > first)
  return {
    name: capture,
    text: `${installedText(own.map((row) => String(row['sql'])))}${late ? '\n-- not the first to run' : ''}`,
    enabled: true,
  }
}

export function installedText(statements: readonly string[]): string {
  return statements.toSorted().join(';\n')
}
