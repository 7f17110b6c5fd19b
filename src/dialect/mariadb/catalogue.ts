import { isBookkeeping } from '../../capture/bookkeeping.ts'
import type {
  Cascade,
  CascadeAction,
  Catalogue,
  CatalogueColumn,
  CatalogueTable,
  ColumnForm,
  InstalledCapture,
} from '../../capture/catalogue.ts'
import { AuditError } from '../../core/internal.ts'
import type { RunSql, SqlRow } from '../dialect.ts'
import { triggerText } from './capture.ts'

const native = new Set(['tinyint', 'smallint', 'mediumint', 'int', 'year', 'float', 'double'])
/** Types whose `<=>` tells every two different values apart, besides the native ones. All others are compared as bytes. */
const exact = new Set(['bigint', 'decimal', 'date', 'datetime', 'time', 'timestamp', 'bit'])

/** Rows of information_schema by the table they are about. Aliases, since MySQL answers in capitals. */
async function byTable(run: RunSql, sql: string): Promise<Map<string, SqlRow[]>> {
  const rows = new Map<string, SqlRow[]>()
  for (const row of await run(sql)) {
    const table = String(row['tbl'])
    const known = rows.get(table)
    if (known) known.push(row)
    else rows.set(table, [row])
  }
  return rows
}

/** Reads the tables of the connection's own database: a trigger, and the trail with it, belongs to one. */
export async function readCatalogue(run: RunSql, schemas: readonly string[] | undefined): Promise<Catalogue> {
  const [where] = await run('select database() as name')
  const defaultSchema = where?.['name']
  if (typeof defaultSchema !== 'string') {
    throw new AuditError(
      'AUDIT_DATABASE_URL',
      'The connection has no database.',
      'Name one in its URL or options.',
    )
  }
  const other = schemas?.find((schema) => schema !== defaultSchema)
  if (other !== undefined) {
    throw new AuditError(
      'AUDIT_POLICY_INVALID',
      `schemas: "${other}" is not the database of the connection, "${defaultSchema}".`,
      'On MariaDB each database has a trail of its own: leave "schemas" out, and migrate each by its URL.',
    )
  }
  const tables = await run(
    `select table_name as name, engine as engine from information_schema.tables
     where table_schema = database() and table_type in ('BASE TABLE', 'SYSTEM VERSIONED') and left(table_name, 9) <> 'whodunit_'
     order by table_name`,
  )
  const columns = await byTable(
    run,
    `select table_name as tbl, column_name as name, data_type as base, column_type as type, character_set_name as charset, extra as extra
     from information_schema.columns where table_schema = database() and left(table_name, 9) <> 'whodunit_' order by table_name, ordinal_position`,
  )
  const json = await jsonColumns(run)
  const keys = await byTable(
    run,
    `select s.table_name as tbl, s.index_name as name, s.column_name as col, max(s.nullable = 'YES' or s.sub_part is not null or s.column_name is null)
       over (partition by s.table_name, s.index_name) as loose
     from information_schema.statistics s where s.table_schema = database() and s.non_unique = 0
     order by s.table_name, s.index_name <> 'PRIMARY', s.index_name, s.seq_in_index`,
  )
  const cascades = await byTable(
    run,
    `select k.referenced_table_name as tbl, k.table_name as child, k.table_schema as child_schema, k.constraint_name as name, k.column_name as col,
       k.referenced_column_name as referenced, r.delete_rule as on_delete, r.update_rule as on_update
     from information_schema.key_column_usage k join information_schema.referential_constraints r
       on r.constraint_schema = k.constraint_schema and r.constraint_name = k.constraint_name and r.table_name = k.table_name
     where k.referenced_table_schema = database() and (r.delete_rule in ('CASCADE', 'SET NULL') or r.update_rule in ('CASCADE', 'SET NULL'))
     order by k.referenced_table_name, k.table_name, k.constraint_name, k.ordinal_position`,
  )
  const triggers = await readTriggers(run)
  return {
    defaultSchema,
    tables: tables.map((row): CatalogueTable => {
      const name = String(row['name'])
      const own = (columns.get(name) ?? []).map((column) =>
        toColumn(column, json.has(`${name}.${String(column['name'])}`)),
      )
      const transactional = row['engine'] === 'InnoDB'
      return {
        schema: defaultSchema,
        name,
        model: name,
        key: keyOf(keys.get(name) ?? []),
        columns: own,
        bookkeeping: isBookkeeping(name, own),
        partition: false,
        installed: installedOf(triggers.get(name) ?? []),
        cascades: cascadesOf(cascades.get(name) ?? [], defaultSchema),
        ...(transactional
          ? {}
          : {
              limit: `has no transactions (${String(row['engine'])}): what is rolled back stays in it, without an entry`,
            }),
      }
    }),
  }
}

/** The columns of a trigger, as {@link readCatalogue} reads them. */
export const selectTriggers = `select event_object_table as tbl, trigger_name as name,
  lower(concat(action_timing, ' ', event_manipulation)) as event, action_statement as body
  from information_schema.triggers where trigger_schema = database() and left(trigger_name, 9) = 'whodunit_' order by trigger_name`

/** An application without the right TRIGGER sees them without their text, or not at all; a procedure shows it to it. */
async function readTriggers(run: RunSql): Promise<Map<string, SqlRow[]>> {
  const seen = await byTable(run, selectTriggers)
  const hidden = [...seen.values()].flat().some((row) => row['body'] === null)
  if (seen.size > 0 && !hidden) return seen
  return byTable(run, 'call whodunit_triggers()').catch(() => seen)
}

/** MariaDB's type JSON is a text with a check. */
async function jsonColumns(run: RunSql): Promise<ReadonlySet<string>> {
  const checks = await run(
    `select * from information_schema.check_constraints where constraint_schema = database() and check_clause like 'json\\_valid(%'`,
  )
  const found = checks.flatMap((check) => {
    const column = /^json_valid\(`(.+)`\)$/.exec(String(check['CHECK_CLAUSE']))?.[1]
    return column === undefined ? [] : [`${String(check['TABLE_NAME'])}.${column.replaceAll('``', '`')}`]
  })
  return new Set(found)
}

function keyOf(rows: readonly SqlRow[]): string[] {
  const first = rows.find((row) => Number(row['loose']) === 0)
  return first ? rows.filter((row) => row['name'] === first['name']).map((row) => String(row['col'])) : []
}

function installedOf(rows: readonly SqlRow[]): InstalledCapture | null {
  if (rows.length === 0) return null
  const triggers = rows.map((row) => ({ event: String(row['event']), body: String(row['body']) }))
  // a trigger cannot be switched off
  return {
    name: rows.map((row) => String(row['name'])).join('\n'),
    text: triggerText(triggers),
    enabled: true,
  }
}

function cascadesOf(rows: readonly SqlRow[], schema: string): Cascade[] {
  const names = [
    ...new Set(
      rows.map((row) => `${String(row['child_schema'])}.${String(row['child'])}.${String(row['name'])}`),
    ),
  ]
  return names.map((key) => {
    const of = rows.filter(
      (row) => `${String(row['child_schema'])}.${String(row['child'])}.${String(row['name'])}` === key,
    )
    const [first] = of
    const child = String(first!['child'])
    return {
      model: first!['child_schema'] === schema ? child : `${String(first!['child_schema'])}.${child}`,
      columns: of.map((row) => String(row['col'])),
      references: of.map((row) => String(row['referenced'])),
      onDelete: actionOf(first!['on_delete']),
      onUpdate: actionOf(first!['on_update']),
    }
  })
}

function actionOf(rule: unknown): CascadeAction | null {
  return rule === 'CASCADE' ? 'cascade' : rule === 'SET NULL' ? 'set null' : null
}

function toColumn(row: SqlRow, checked: boolean): CatalogueColumn {
  const base = String(row['base']).toLowerCase()
  const type = String(row['type'])
  const bits = base === 'bit' ? Number(/\d+/.exec(type)?.[0] ?? 1) : 0
  const form: ColumnForm =
    native.has(base) || (bits > 0 && bits <= 53)
      ? 'native'
      : base === 'json' || checked
        ? 'json'
        : row['charset'] != null && base !== 'enum' && base !== 'set'
          ? 'text'
          : 'other'
  const exactly = native.has(base) || exact.has(base)
  return {
    name: String(row['name']),
    type,
    form,
    exactEquality: exactly,
    unbounded: !exactly,
    virtual: false,
  }
}
