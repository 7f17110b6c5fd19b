import pg from 'pg'
import { fromPg } from '../../src/database/postgres.ts'
import { createAudit } from '../../src/index.ts'
import { freshDatabase, type TestDatabase } from '../harness/postgres.ts'
import { type Change, type Row, settings } from '../capture/replay/rebuild.ts'
import { types as typeNames } from '../capture/replay/statements.ts'
import { oddValues } from '../capture/replay/world.ts'
import { type ColumnType, type Engine, keyOf, type Place, type Table } from './engine.ts'
import { connections } from './history.ts'

const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`
const literal = (text: string): string =>
  `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''").replaceAll('\n', '\\n')}'`

const types = Object.entries(oddValues).map(([column, values]): ColumnType => {
  const sql = column === 'nd' ? 'text collate case_blind' : (typeNames[column] ?? 'text')
  return { sql, values: values.map((value) => `${literal(value)}::${sql.split(' collate')[0]}`) }
})
const numberKey = { sql: 'integer', values: Array.from({ length: 8 }, (_, n) => `${n + 1}`) }
const texts = ['a', 'A', '', '7', `it's "[]" \\`, '漢😀', 'a ']
const textKey = { sql: 'text', values: texts.map(literal) }

const kinds = ['plain', 'bulk', 'partitioned', 'rows of truncate'] as const
const kindOf = ({ kind }: Table) => kinds[kind % kinds.length]!
const isPartitioned = (table: Table): boolean =>
  kindOf(table) === 'partitioned' &&
  keyOf(table)[0]?.type === numberKey &&
  // a unique index of a table with partitions has the key of these in it
  !table.columns.some(({ role }) => role === 'unique')

function createTable(table: Table): string {
  const keys = keyOf(table).map(({ name }) => quote(name))
  const name = quote(table.name)
  const list = table.columns.map(({ name: column, type, role }) => {
    const { references: to } = table
    const refers =
      role === 'reference' && to
        ? ` references ${quote(to.table.name)} on delete ${to.onDelete} on update ${to.onUpdate}`
        : ''
    return `${quote(column)} ${type.sql}${role === 'unique' ? ' unique' : ''}${refers}`
  })
  if (keys.length > 0) list.push(`primary key (${keys.join(', ')})`)
  const create = `create table ${name} (${list.join(', ')})`
  if (!isPartitioned(table)) return create
  const part = (which: string) => quote(`${table.name} ${which}`)
  return `${create} partition by range (${keys[0]}); create table ${part('low')} partition of ${name} for values from (minvalue) to (4);
    create table ${part('rest')} partition of ${name} default`
}

const first = (table: Table): string => quote(keyOf(table)[0]!.name)
const last = (table: Table): string => quote(table.columns.at(-1)!.name)
const upsert = (table: Table): string => {
  const keys = keyOf(table).map(({ name }) => quote(name))
  if (keys.length === 0) return 'on conflict do nothing'
  return `on conflict (${keys.join(', ')}) do update set ${last(table)} = excluded.${last(table)}`
}

const inserts: Engine['inserts'] = [
  (into) => `insert ${into}`,
  (into) => `insert ${into} on conflict do nothing`,
  (into, table) => `insert ${into} ${upsert(table)}`,
]

const odd: Engine['odd'] = [
  (table) => `truncate ${quote(table.name)} cascade`,
  (table, a) => `with gone as (delete from ${quote(table.name)} where ${first(table)} = ${a} returning *) insert into ${quote(table.name)} select * from gone`,
  (table, a, b) => `with moved as (update ${quote(table.name)} set ${last(table)} = null where ${first(table)} <= ${a} returning 1) delete from ${quote(table.name)} where ${first(table)} = ${b}`,
  (table, a, b) => `do $$ begin update ${quote(table.name)} set ${last(table)} = null where ${first(table)} = ${a}; delete from ${quote(table.name)} where ${first(table)} = ${b};
    exception when others then null; end $$`,
  (table, a, b) => `merge into ${quote(table.name)} t using (values (${a}), (${b})) v(k) on t.${first(table)} = v.k when matched and v.k = ${a} then delete when matched then update set ${last(table)} = null`,
] // prettier-ignore

// rows, and who waits for whom; and what ALTER TABLE refuses
const expected = /^(22|23|40|25P02|55P03|42804|42846|42830|0A000|2BP01|42883|42P16|21000|42601|3B001|54000)/

export function postgres(): Engine & { close(): Promise<void> } {
  let database: Promise<TestDatabase> | undefined
  return {
    types,
    numberKey,
    textKey,
    recordsUnknown: true,
    cascadesToItself: true,
    quote,
    createTable,
    inserts,
    odd,
    retype: (table, column, type) => {
      const [name, bare] = [quote(column.name), type.sql.split(' collate')[0]]
      return {
        sql: [`alter table ${quote(table.name)} alter column ${name} drop default, alter column ${name} type ${type.sql} using ${name}::text::${bare}`],
        migrates: false,
      } // prettier-ignore
    },
    drop: (rest, column) => ({
      sql: [`alter table ${quote(rest.name)} drop column ${quote(column.name)}`],
      migrates: false,
    }),
    isExpected: (error) => expected.test((error as pg.DatabaseError).code ?? ''),
    open: async (tables) => open(await (database ??= prepared()), tables),
    close: async () => (await database)?.drop(),
  }
}

async function prepared(): Promise<TestDatabase> {
  const database = await freshDatabase()
  await database.pool.query(`
    create type mood as enum ('happy', 'it''s "fine"', 'grün');
    create collation case_blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    create domain small_number as int check (value between -1000 and 1000);
    do $$ begin execute format('alter database %I set deadlock_timeout = %L', current_database(), '20ms'); end $$;
    do $$ begin execute format('alter database %I set lock_timeout = %L', current_database(), '15ms'); end $$`)
  return database
}

let schemas = 0

async function open({ pool, url: server }: TestDatabase, tables: readonly Table[]): Promise<Place> {
  const schema = `p${++schemas}`
  await pool.query(`create schema ${schema}`)
  const url = `${server}?options=${encodeURIComponent(`-c search_path=${schema},public`)}`
  const models = Object.fromEntries(
    tables.map((table) => [
      table.name,
      { bulk: kindOf(table) === 'bulk', truncateRows: kindOf(table) === 'rows of truncate' },
    ]),
  )
  const [wrapped, plain] = [
    new pg.Pool({ connectionString: url, max: 5 }),
    new pg.Pool({ connectionString: url, max: 5 }),
  ]
  const reader = await plain.connect()
  await reader.query(settings)
  for (const table of tables) await reader.query(createTable(table))
  const audit = createAudit({ models, database: fromPg(wrapped) })
  await audit.migrate()
  const all: pg.PoolClient[] = []
  for (let on = 0; on < connections; on++) all.push(await (on % 2 ? plain : audit.client).connect())
  const { rows: ids } = await reader.query('select last_value as id from whodunit.entry_id')
  let seen: string = ids[0].id
  return {
    run: async (on, sql) =>
      void (await audit.withContext({ actor: { id: `worker ${on}` } }, async () => all[on]!.query(sql))),
    async alter(statements) {
      for (const sql of statements) await reader.query(sql)
    },
    migrate: async () => void (await audit.migrate()),
    async read(table) {
      const list = table.columns.map(({ name }) => `${quote(name)}::text as ${quote(name)}`)
      return (await reader.query<Row>(`select ${list.join(', ')} from ${quote(table.name)}`)).rows
    },
    async changes() {
      const { rows } = await reader.query<Change>(
        `select id, action, model, target_id, changes::text as changes from whodunit.entries where kind = 'change' and id > $1 order by id`,
        [seen],
      )
      seen = rows.at(-1)?.id ?? seen
      // the rows follow
      return rows.filter(({ action, model }) => action !== 'TRUNCATE' || !models[model]?.truncateRows)
    },
    async close() {
      for (const one of [...all, reader]) one.release()
      await audit.close()
      await wrapped.end()
      await plain.end()
      await pool.query(`drop schema ${schema} cascade`)
    },
  }
}
