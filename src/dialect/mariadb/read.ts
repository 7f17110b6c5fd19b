import {
  DummyDriver,
  type Expression,
  Kysely,
  MysqlAdapter,
  MysqlIntrospector,
  MysqlQueryCompiler,
  sql,
  type SqlBool,
} from 'kysely'
import type { ReadDialect, TrailTables } from '../dialect.ts'
import { contextLine } from './entry.ts'
import { betweenPositions, endPosition } from './position.ts'
import { literal, name } from './quote.ts'

const db = new Kysely<TrailTables>({
  dialect: {
    createAdapter: () => new MysqlAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (any) => new MysqlIntrospector(any),
    createQueryCompiler: () => new MysqlQueryCompiler(),
  },
})

const plain = [
  'kind', 'action', 'model', 'target_id', 'label', 'changes', 'actor', 'request_id', 'tenant', 'subject', 'category',
  'severity', 'ref', 'about', 'details', 'role', 'joined',
] // prettier-ignore

/** A write that came with no context has the address of its connection as the only line of one. */
const context = `case when e.context is null and e.address is not null
  then concat(char(10), e.address, char(10), char(10), char(10), char(10), 'sql', char(10)) else e.context end`

/** Exact, and independent of the session's time zone. */
const micros = "cast(timestampdiff(microsecond, timestamp'1970-01-01 00:00:00', e.at) as char)"
const tx = 'ifnull(e.xid, e.id)'

/** Microseconds since 1970 as a time of the database. */
function moment(text: string): string {
  const whole = BigInt(text)
  const digits = String(whole % 1_000_000n).padStart(6, '0')
  return new Date(Number(whole / 1_000n))
    .toISOString()
    .replace('T', ' ')
    .replace(/\.\d+Z$/, `.${digits}`)
}

const dateText = (date: Date): string => date.toISOString().replace('T', ' ').replace('Z', '')

export const read: ReadDialect = {
  db,
  table: 'whodunit_entry',
  columns: [
    sql`cast(e.id as char)`.as('id'),
    sql.raw(context).as('context'),
    sql.raw(micros).as('at'),
    sql.raw(`cast(${tx} as char)`).as('xid'),
    ...plain.map((of) => sql`e.${sql.raw(of)}`.as(of)),
  ] as unknown as readonly Expression<unknown>[],
  before: (at, id) => sql<SqlBool>`(e.at <= ${moment(at)} and (e.at < ${moment(at)} or e.id < ${id}))`,
  since: (date) => sql<SqlBool>`e.at >= ${dateText(date)}`,
  until: (date) => sql<SqlBool>`e.at < ${dateText(date)}`,
  contextLine: (line) => sql.raw<string | null>(contextLine('e.context', line)),
  target: (model, ids) => sql<SqlBool>`(e.model = ${model} and e.target_id in (${sql.join(ids)}))`,
  moves: (model, ids) => {
    const list = ids.map(() => '?').join(', ')
    return {
      sql: `select target_id as \`from\`, moved_to as \`to\` from whodunit_entry
        where model = ? and moved_to is not null and (moved_to in (${list}) or target_id in (${list}))`,
      parameters: [model, ...ids, ...ids],
    }
  },
  contains: (text, part) => sql<SqlBool>`(instr(lower(${text}), lower(${part})) > 0)`,
  // the plain look first: few rows have to be parsed
  tag: (value) =>
    sql<SqlBool>`(instr(e.details, ${JSON.stringify(value)}) > 0 and json_valid(e.details) and ifnull(json_contains(e.details, ${JSON.stringify(value)}, '$.tags'), false))`,
  id: (value) => sql<SqlBool>`e.id = ${value}`,
  transaction: (value) =>
    sql<SqlBool>`((e.xid = ${value} or (e.id = ${value} and e.xid is null)) and ifnull(e.joined, true))`,
  day: sql<string>`date_format(e.at, '%Y-%m-%d')`,
  detail: (field) => sql.raw<string | null>(`json_value(e.details, ${literal(`$.${field}`)})`),
  end: endPosition,
  between: betweenPositions,
  labels: (of, template, ids) => {
    const key = name(of.key[0] ?? 'id')
    const pieces = template.map((piece) =>
      typeof piece === 'string' ? literal(piece) : `ifnull(convert(${name(piece.column)} using utf8mb4), '')`,
    )
    return {
      sql: `select cast(${key} as char) as \`key\`, concat(${pieces.join(', ')}) as label from ${name(of.name)} where ${key} in (${ids.map(() => '?').join(', ')})`,
      parameters: [...ids],
    }
  },
}
