import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { fromBetterSqlite3 } from '../../src/database/sqlite.ts'
import { createAudit } from '../../src/index.ts'
import type { Change, Row } from '../capture/replay/rebuild.ts'
import { type Alteration, type ColumnType, type Engine, keyOf, type Place, type Table } from './engine.ts'
import { connections } from './history.ts'

const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`

// any value may stand in a column of any type
const values = [
  '0', '7', '-1', '9007199254740991', '9007199254740993', '-9223372036854775808', '1.0', '0.1', '1e-7', '-0.0', '1e308', '9e999',
  '0.1 + 0.2', `''`, `' '`, `'a'`, `'A'`, `'7'`, `'7.0'`, `'it''s "quoted" \\ '`, `'null'`, `'{"a": 1}'`, `'[1,2'`, `'grün 漢字 😀'`,
  `'a' || char(0) || 'b'`, `char(10, 9, 1, 31, 127, 8232)`, `x''`, `x'00ff27'`, `x'616263'`, 'true', `hex(zeroblob(3000))`,
] // prettier-ignore
const types = ['integer', 'real', 'text', 'blob', '', 'numeric(10, 2)', 'varchar(3)', 'boolean', 'text collate nocase', 'datetime'].map((sql): ColumnType => ({ sql, values })) // prettier-ignore

const numberKey = { sql: 'integer', values: Array.from({ length: 8 }, (_, n) => `${n + 1}`) }
const textKey = { sql: 'text', values: [`'a'`, `'A'`, `''`, `'7'`, `'it''s "[]" \\'`, `'漢😀'`, `'a '`] }

function createTable(table: Table): string {
  const keys = keyOf(table)
  const columns = table.columns.map((column) => {
    const { references } = table
    const refers =
      column.role === 'reference' && references
        ? ` references ${quote(references.table.name)} on delete ${references.onDelete} on update ${references.onUpdate}`
        : ''
    const alone = column.role === 'key' && keys.length === 1 ? ' primary key' : ''
    const kind = alone && table.kind % 3 === 0 && column.type === textKey ? ' collate nocase' : ''
    const unique = column.role === 'unique' ? ' unique' : ''
    return `${quote(column.name)} ${column.type.sql}${kind}${alone}${unique}${refers}`
  })
  if (keys.length > 1) columns.push(`primary key (${keys.map(({ name }) => quote(name)).join(', ')})`)
  const end = table.kind % 2 && keys.length > 0 ? ' without rowid' : ''
  return `create table ${quote(table.name)} (${columns.join(', ')})${end}`
}

const first = (table: Table): string => quote(keyOf(table)[0]!.name)
const last = (table: Table): string => quote(table.columns.at(-1)!.name)
const upsert = (table: Table): string => {
  const keys = keyOf(table).map(({ name }) => quote(name))
  if (keys.length === 0) return 'on conflict do nothing'
  return `on conflict (${keys.join(', ')}) do update set ${last(table)} = excluded.${last(table)}`
}

// INSERT OR ABORT, OR FAIL and OR ROLLBACK, written out, fail on a key: so it stands in the guide
const inserts: Engine['inserts'] = [
  (into) => `insert ${into}`,
  (into) => `insert or ignore ${into}`,
  (into) => `replace ${into}`,
  (into) => `insert or replace ${into}`,
  (into, table) => `insert ${into} ${upsert(table)}`,
  (into) => `insert ${into} on conflict do nothing`,
]

const odd: Engine['odd'] = [
  (table, a, b) => `update or replace ${quote(table.name)} set ${first(table)} = ${b} where ${first(table)} = ${a}`,
  (table, a, b) => `update or ignore ${quote(table.name)} set ${first(table)} = ${b} where ${first(table)} <= ${a}`,
  (table, a) => `update or replace ${quote(table.name)} set ${table.columns.some(({ role }) => role === 'unique') ? 'u = 3' : `${last(table)} = 3`} where ${first(table)} >= ${a}`,
  (table, a, b) => `update ${quote(table.name)} as x set ${last(table)} = y.${last(table)} from ${quote(table.name)} y where y.${first(table)} = ${a} and x.${first(table)} = ${b}`,
] // prettier-ignore

/** What tools do, since SQLite refuses DROP COLUMN while a trigger names it; the triggers go with the table. */
function rebuilt(table: Table): Alteration {
  const list = table.columns.map(({ name }) => quote(name)).join(', ')
  const made = { ...table, name: 'made anew' }
  const sql = [
    createTable(made),
    `insert into "made anew" (${list}) select ${list} from ${quote(table.name)}`,
    `drop table ${quote(table.name)}`,
    `alter table "made anew" rename to ${quote(table.name)}`,
  ]
  return { sql, migrates: true }
}

const textOf: NonNullable<Engine['textOf']> = (value, source) => {
  if (typeof value === 'number') return `#${Number(source)}`
  const blob = value as { $?: string; hex?: string } | null
  return typeof blob === 'object' && blob?.$ === 'blob' ? `x:${blob.hex!.toLowerCase()}` : value
}

function cellText(value: unknown): string | null {
  if (value === null) return null
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? `#${value}` : `${value}`
  if (typeof value === 'number') return Number.isFinite(value) ? `#${value + 0}` : `${value}`
  return typeof value === 'string' ? value : `x:${(value as Buffer).toString('hex')}`
}

export const sqlite: Engine = {
  types,
  numberKey,
  textKey,
  recordsUnknown: false,
  // cascades come before AFTER triggers, and behind what REPLACE removes: so it stands in the guide
  cascadesToItself: false,
  quote,
  createTable,
  inserts,
  odd,
  // there is no such statement, but to make the table anew
  retype: (table, column, type) =>
    rebuilt({ ...table, columns: table.columns.map((one) => (one === column ? { ...one, type } : one)) }),
  drop: rebuilt,
  isExpected: (error) => /^SQLITE_(BUSY|CONSTRAINT|MISMATCH)/.test((error as { code?: string }).code ?? ''),
  textOf,
  keyText: (value) => value.replace(/^#/, ''),
  open,
}

async function open(tables: readonly Table[]): Promise<Place> {
  const folder = mkdtempSync(join(tmpdir(), 'whodunit-'))
  const file = join(folder, 'test.db')
  const all = Array.from({ length: connections }, () => new Database(file, { timeout: 0 }))
  const plain = new Database(file)
  plain.exec('pragma journal_mode = wal; pragma synchronous = off')
  plain.defaultSafeIntegers(true)
  for (const one of all) one.exec('pragma synchronous = off; pragma foreign_keys = on')
  all[2]!.exec('pragma recursive_triggers = on')
  for (const table of tables) plain.exec(createTable(table))
  const audit = createAudit({ database: fromBetterSqlite3(all[0]!) })
  await audit.migrate()
  let seen = 0n
  return {
    async run(connection, sql) {
      const on = all[connection]!
      if (connection > 0) on.exec(sql)
      else audit.withContext({ actor: { id: 'ann' } }, () => on.prepare(sql).run())
    },
    async alter(statements) {
      plain.exec(`pragma foreign_keys = off; begin`)
      try {
        for (const sql of statements) plain.exec(sql)
        plain.exec('commit')
      } catch (error) {
        plain.exec('rollback')
        throw error
      }
    },
    migrate: async () => void (await audit.migrate()),
    async read(table) {
      const rows = plain.prepare(`select * from ${quote(table.name)}`).all() as Record<string, unknown>[]
      return rows.map((row): Row => Object.fromEntries(Object.entries(row).map(([name, value]) => [name, cellText(value)]))) // prettier-ignore
    },
    async changes() {
      const found = plain
        .prepare(`select id, action, model, target_id, changes from whodunit_entries where kind = 'change' and id > ? order by id`)
        .all(seen) as (Omit<Change, 'id'> & { id: bigint })[] // prettier-ignore
      seen = found.at(-1)?.id ?? seen
      return found.map((change) => ({ ...change, id: `${change.id}` }))
    },
    async close() {
      await audit.close()
      for (const one of [...all, plain]) one.close()
      rmSync(folder, { recursive: true })
    },
  }
}
