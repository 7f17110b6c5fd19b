import mysql from 'mysql2/promise'
import { fromMysql2 } from '../../src/database/mariadb.ts'
import { createAudit } from '../../src/index.ts'
import { freshMariadb } from '../harness/mariadb.ts'
import type { Change, Row } from '../capture/replay/rebuild.ts'
import { type Column, type ColumnType, type Engine, keyOf, type Place, type Table } from './engine.ts'
import { connections } from './history.ts'

const quote = (name: string): string => `\`${name.replaceAll('`', '``')}\``

const texts = [`'a'`, `'A'`, `''`, `' '`, `'7'`, `'it''s "quoted" \\\\ \\n\\t'`, `'grün 漢字 😀'`, `'null'`, `concat('a', char(0), 'b')`, `'a '`, `'ä'`] // prettier-ignore
const types: readonly ColumnType[] = [
  { sql: 'int', values: ['0', '-2147483648', '7', `'12'`] },
  { sql: 'boolean', values: ['true', 'false', '2'] },
  { sql: 'bigint', values: ['9007199254740993', '-9223372036854775808', '0'] },
  { sql: 'bigint unsigned', values: ['18446744073709551615', '0', '1'] },
  { sql: 'decimal(20,4)', values: ['1.1', '-0.0', '1234567890123456.789', `'1e-3'`] },
  { sql: 'float', values: ['0.1', '16777217', '1e-30', '3.4e38', '-0.0'] },
  { sql: 'double', values: ['0.1e0 + 0.2e0', '1e308', '1e-7', '5e-324', '-0e0', '123456789012345680000'] },
  { sql: 'bit(10)', values: [`b'101'`, `b'0'`, '1023'] },
  { sql: 'varchar(60)', values: texts },
  { sql: 'varchar(60) collate utf8mb4_bin', values: texts },
  { sql: 'varchar(60) character set utf16', values: texts },
  { sql: 'char(10)', values: [`'a'`, `'A'`, `'é'`, `''`] },
  { sql: 'text', values: [...texts, `repeat('x', 3000)`] },
  { sql: `enum('a','it''s','grün')`, values: [`'a'`, `'it''s'`, `'grün'`] },
  { sql: `set('x','y')`, values: [`''`, `'x'`, `'y,x'`] },
  { sql: 'date', values: [`'2024-02-03'`, `'9999-12-31'`] },
  { sql: 'time(3)', values: [`'-838:59:58.123'`, `'00:00:00.001'`] },
  { sql: 'datetime(6)', values: [`'2024-02-03 04:05:06.789012'`, `'1000-01-01'`] },
  { sql: 'timestamp(6) null', values: [`'2024-02-03 04:05:06.789012'`, `'2024-10-27 01:30:00'`] },
  { sql: 'json', values: [`'{"b":1, "a":1.0}'`, `'null'`, `'[1, "x"]'`] },
  { sql: 'blob', values: [`x'00ff27'`, `''`, `'abc'`] },
  { sql: 'uuid', values: [`'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'`] },
]
const numberKey = { sql: 'int', values: Array.from({ length: 8 }, (_, n) => `${n + 1}`) }
const textKey = { sql: 'varchar(20)', values: [`'a'`, `'A'`, `''`, `'7'`, `'it''s "[]" \\\\'`, `'漢😀'`, `'ä'`] } // prettier-ignore

const primaryKey = (table: Table): string => keyOf(table).map(({ name }) => quote(name)).join(', ') // prettier-ignore
const first = (table: Table): string => quote(keyOf(table)[0]!.name)
const last = (table: Table): string => quote(table.columns.at(-1)!.name)

function createTable(table: Table): string {
  const list = table.columns.map(({ name, type, role }) =>
    [quote(name), type.sql, role === 'unique' && 'unique'].filter(Boolean).join(' '),
  )
  if (keyOf(table).length > 0) list.push(`primary key (${primaryKey(table)})`)
  const { references: to } = table
  const refers = table.columns.find(({ role }) => role === 'reference')
  if (to && refers)
    list.push(`foreign key (${quote(refers.name)}) references ${quote(to.table.name)} (${primaryKey(to.table)}) on delete ${to.onDelete} on update ${to.onUpdate}`) // prettier-ignore
  return `create table ${quote(table.name)} (${list.join(', ')})`
}

// IGNORE of an update or delete leaves entries of cascades that did not happen: so it stands in the guide
const inserts: Engine['inserts'] = [
  (into) => `insert ${into}`,
  (into) => `insert ignore ${into}`,
  (into, table) => keyOf(table).length > 0 ? `insert ${into} on duplicate key update ${last(table)} = values(${last(table)})` : `insert ignore ${into}`,
  (into) => `replace ${into}`,
] // prettier-ignore

// TRUNCATE fires no trigger: so it stands in the guide
const odd: Engine['odd'] = [
  (table, a) => `update ${quote(table.name)} set ${first(table)} = ${first(table)} + 1 where ${first(table)} >= ${a} order by ${first(table)} desc`,
  (table, a, b) => `update ${quote(table.name)} x join ${quote(table.name)} y on y.${first(table)} = ${a} set x.${last(table)} = y.${last(table)} where x.${first(table)} <= ${b}`,
  (table, a, b) => `delete x from ${quote(table.name)} x join ${quote(table.name)} y on y.${first(table)} = ${a} where x.${first(table)} = ${b}`,
  (table, a) => `delete from ${quote(table.name)} where ${first(table)} >= ${a} order by ${first(table)} limit 1`,
] // prettier-ignore

/** A number of JSON as the shortest text of it; of what a float can hold, as the shortest that is the same float. */
function numberText(value: number): string {
  if (Math.fround(value) !== value || Number.isSafeInteger(value)) return `${value}`
  for (let digits = 1; digits < 10; digits++) {
    const short = Number(value.toPrecision(digits))
    if (Math.fround(short) === value) return `${short}`
  }
  return `${value}`
}

function expression({ name, type: { sql } }: Column): string {
  const column = quote(name)
  if (sql === 'blob') return `concat('x:', lower(hex(${column})))`
  if (sql === 'float' || sql === 'double') return `${column} + 0e0`
  return sql.startsWith('bit') ? `cast(${column} + 0 as char)` : `convert(${column} using utf8mb4)`
}

export const mariadb: Engine = {
  types,
  numberKey,
  textKey,
  recordsUnknown: false,
  // refused by the database
  cascadesToItself: false,
  quote,
  createTable,
  inserts,
  odd,
  retype: (table, column, type) => ({
    sql: [`alter table ${quote(table.name)} modify ${quote(column.name)} ${type.sql}`],
    migrates: false,
  }),
  drop: (rest, column) => ({
    sql: [`alter table ${quote(rest.name)} drop column ${quote(column.name)}`],
    migrates: false,
  }),
  // rows, and who waits for whom; and what ALTER TABLE refuses
  isExpected: (error) =>
    [
      1062, 1205, 1213, 1451, 1452, 1048, 1264, 1265, 1366, 1406, 1292, 1069, 1067, 1101, 1361, 4025, 1305, 1761, 1022, 1020, 1264, 1367, 1690, 1118, 1846, 1833, 1832, 1025,
    ].includes((error as { errno?: number }).errno ?? 0), // prettier-ignore
  textOf: (value, source) => {
    if (typeof value === 'number') return numberText(Number(source))
    const blob = value as { $?: string; hex?: string } | null
    return typeof blob === 'object' && blob?.$ === 'blob' ? `x:${blob.hex}` : value
  },
  open,
}

async function open(tables: readonly Table[]): Promise<Place> {
  const database = await freshMariadb()
  const [wrapped, plain] = [1, 2].map(() =>
    mysql.createPool({ uri: database.url, connectionLimit: 5, timezone: 'Z' }),
  )
  const reader = await plain!.getConnection()
  await reader.query(`set time_zone = '+00:00'`)
  for (const table of tables) await reader.query(createTable(table))
  const audit = createAudit({ database: fromMysql2(wrapped!) })
  await audit.migrate()
  const all: mysql.PoolConnection[] = []
  for (let on = 0; on < connections; on++) {
    const one = await (on % 2 ? plain! : audit.client).getConnection()
    await one.query(
      `set innodb_lock_wait_timeout = 0, lock_wait_timeout = 1, time_zone = '${on < 2 ? '+00:00' : '-03:30'}'`,
    )
    all.push(one)
  }
  let seen = '0'
  return {
    run: async (on, sql) =>
      void (await audit.withContext({ actor: { id: `worker ${on}` } }, async () => all[on]!.query(sql))),
    async alter(statements) {
      for (const sql of statements) await reader.query(sql)
    },
    migrate: async () => void (await audit.migrate()),
    async read(table) {
      const list = table.columns.map((column) => `${expression(column)} as ${quote(column.name)}`)
      const [rows] = await reader.query(`select ${list.join(', ')} from ${quote(table.name)}`)
      return (rows as Record<string, string | number | null>[]).map((row): Row =>
        Object.fromEntries(
          Object.entries(row).map(([name, value]) => [
            name,
            typeof value === 'number' ? numberText(value) : value,
          ]),
        ),
      )
    },
    async changes() {
      const [rows] = await reader.query(
        `select cast(id as char) as id, action, model, target_id, convert(changes using utf8mb4) as changes from whodunit_entries where kind = 'change' and id > ? order by whodunit_entries.id`,
        [seen],
      )
      const found = (rows as Change[]).toSorted((a, b) => Number(a.id) - Number(b.id))
      seen = found.at(-1)?.id ?? seen
      return found
    },
    async close() {
      for (const one of [...all, reader]) one.release()
      await audit.close()
      await wrapped!.end()
      await plain!.end()
      await database.drop()
    },
  }
}
