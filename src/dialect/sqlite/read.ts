import {
  DummyDriver,
  type Expression,
  Kysely,
  sql,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
  type SqlBool,
} from 'kysely'
import type { ReadDialect, TrailTables } from '../dialect.ts'
import { contextLine } from './lines.ts'
import { literal, name } from './quote.ts'

const db = new Kysely<TrailTables>({
  dialect: {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (any) => new SqliteIntrospector(any),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  },
})

const plain = [
  'kind', 'action', 'model', 'target_id', 'label', 'changes', 'subject', 'category', 'severity', 'ref', 'about',
  'details',
] // prettier-ignore
/** What SQLite has nothing like; a transaction is in `xid` only where the entry belongs to it. */
const none = ['role', 'joined']
/** A context put in by hand has whatever length. */
const longest = { actor: 200, request_id: 200, tenant: 200, context: 20_000 }

const millis = (micros: string): number => Math.floor(Number(micros) / 1_000)
const details = `case when json_valid(e.details) then e.details end`
const member = (ids: readonly string[]) => sql`(select value from json_each(${JSON.stringify(ids)}))`

export const read: ReadDialect = {
  db,
  table: 'whodunit_entry',
  columns: [
    sql`cast(e.id as text)`.as('id'),
    sql`cast(e.at * 1000 as text)`.as('at'),
    sql`case when coalesce(e.joined, 1) then cast(e.tx as text) end`.as('xid'),
    ...plain.map((of) => sql`e.${sql.raw(of)}`.as(of)),
    ...none.map((of) => sql`null`.as(of)),
    ...Object.entries(longest).map(([of, length]) =>
      sql.raw(`nullif(substr(e.${of}, 1, ${length}), '')`).as(of),
    ),
  ] as unknown as readonly Expression<unknown>[],
  before: (at, id) => sql<SqlBool>`(e.at, e.id) < (${millis(at)}, ${Number(id)})`,
  since: (date) => sql<SqlBool>`e.at >= ${date.getTime()}`,
  until: (date) => sql<SqlBool>`e.at < ${date.getTime()}`,
  contextLine: (line) => sql.raw<string | null>(contextLine('e.context', line)),
  target: (model, ids) => sql<SqlBool>`(e.model = ${model} and e.target_id in ${member(ids)})`,
  moves: (model, ids) => ({
    sql: `select target_id as "from", moved_to as "to" from whodunit_entry
      where model = ? and moved_to is not null and (moved_to in (select value from json_each(?)) or target_id in (select value from json_each(?)))`,
    parameters: [model, JSON.stringify(ids), JSON.stringify(ids)],
  }),
  // lower() knows ASCII alone
  contains: (column, text) => {
    const cases = [...new Set([text, text.toLowerCase(), text.toUpperCase()])]
    return sql<SqlBool>`(${sql.join(
      cases.map((part) => sql`instr(lower(${column}), lower(${part})) > 0`),
      sql` or `,
    )})`
  },
  // the plain look first: few rows have to be parsed
  tag: (value) =>
    sql<SqlBool>`(instr(e.details, ${JSON.stringify(value)}) > 0 and exists (select 1 from json_each(${sql.raw(details)}, '$.tags') as t where t.value = ${value}))`,
  id: (value) => sql<SqlBool>`e.id = ${Number(value)}`,
  transaction: (value) => sql<SqlBool>`(e.tx = ${Number(value)} and coalesce(e.joined, 1))`,
  day: sql<string>`strftime('%Y-%m-%d', e.at / 1000, 'unixepoch')`,
  detail: (field) =>
    sql.raw<string | null>(`json_extract(${details}, ${literal(`$.${JSON.stringify(field)}`)})`),
  // one transaction writes at a time, so an id that can be seen has all smaller ones before it
  async end({ run }) {
    const [row] = await run('select coalesce(max(id), 0) as position from whodunit_entry')
    return String(row!['position'])
  },
  between: (from, to, afterId) =>
    sql<SqlBool>`(e.id > ${Math.max(Number(from ?? 0), Number(afterId ?? 0))} and e.id <= ${Number(to)})`,
  labels: (of, template, ids) => {
    const key = `cast(${name(of.key[0] ?? 'id')} as text)`
    const pieces = template.map((piece) =>
      typeof piece === 'string' ? literal(piece) : `coalesce(cast(${name(piece.column)} as text), '')`,
    )
    return {
      sql: `select ${key} as key, ${pieces.join(' || ') || `''`} as label from ${name(of.name)} where ${key} in (select value from json_each(?))`,
      parameters: [JSON.stringify(ids)],
    }
  },
}
