import {
  DummyDriver,
  type Expression,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type RawBuilder,
  sql,
  type SqlBool,
} from 'kysely'
import { lineSeparator, restLines } from '../../core/internal.ts'
import type { ReadDialect, TrailTables } from '../dialect.ts'
import { storedKey } from './key.ts'
import { literal, name, table } from './quote.ts'
import { objectOf } from './values.ts'

const db = new Kysely<TrailTables>({
  dialect: {
    createAdapter: () => new PostgresAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (any) => new PostgresIntrospector(any),
    createQueryCompiler: () => new PostgresQueryCompiler(),
  },
}).withSchema('whodunit')

/** Exact, unlike `to_timestamp`, which counts in floating seconds. */
const moment = (micros: string): RawBuilder<unknown> =>
  sql`(timestamptz 'epoch' + ${micros}::bigint * interval '1 microsecond')`

const plain = [
  'kind', 'action', 'model', 'target_id', 'label', 'actor', 'request_id', 'tenant', 'context',
  'subject', 'category', 'severity', 'ref', 'about', 'details', 'role', 'joined',
] // prettier-ignore

export const read: ReadDialect = {
  db,
  table: 'entry',
  columns: [
    sql`e.id::text`.as('id'),
    sql`(extract(epoch from e.at) * 1000000)::bigint::text`.as('at'),
    sql`e.xid::text`.as('xid'),
    sql.raw(objectOf('e.changes')).as('changes'),
    ...plain.map((of) => sql`e.${sql.raw(of)}`.as(of)),
  ] as unknown as readonly Expression<unknown>[],
  // the plain bound beside the pair lets the planner leave out partitions
  before: (at, id) => sql<SqlBool>`(e.at <= ${moment(at)} and (e.at, e.id) < (${moment(at)}, ${id}::bigint))`,
  since: (date) => sql<SqlBool>`e.at >= ${date.toISOString()}::timestamptz`,
  until: (date) => sql<SqlBool>`e.at < ${date.toISOString()}::timestamptz`,
  contextLine: (line) =>
    sql<
      string | null
    >`nullif(split_part(e.context, ${sql.lit(lineSeparator)}, ${sql.lit(restLines.indexOf(line) + 1)}), '')`,
  target: (model, ids) =>
    sql<SqlBool>`(e.model = ${model} and e.target_id = any(${ids.map(storedKey)}::text[]))`,
  moves: (model, ids) => ({
    sql: `select from_id as "from", to_id as "to" from whodunit.moved where model = $1 and (from_id = any($2::text[]) or to_id = any($2::text[]))`,
    parameters: [model, ids.map(storedKey)],
  }),
  contains: (text, part) => sql<SqlBool>`${text} ilike ${`%${part.replace(/[\\%_]/g, '\\$&')}%`}`,
  // the plain look first: few rows have to be parsed
  tag: (value) =>
    sql<SqlBool>`(position(${JSON.stringify(value)} in e.details) > 0 and whodunit.read_json(e.details) -> 'tags' @> to_jsonb(${value}::text))`,
  id: (value) => sql<SqlBool>`e.id = ${value}::bigint`,
  transaction: (value) => sql<SqlBool>`(e.xid = ${value}::bigint and coalesce(e.joined, true))`,
  day: sql<string>`to_char(e.at at time zone 'UTC', 'YYYY-MM-DD')`,
  detail: (field) => sql<string | null>`(whodunit.read_json(e.details) ->> ${sql.lit(field)})`,
  async end({ run }) {
    const [row] = await run('select pg_current_snapshot()::text as position')
    return String(row!['position'])
  },
  // PgQ's batches: what the later snapshot sees and the earlier did not (research/integrity-scale.md A5)
  between: (from, to, afterId) => {
    const [a, b] = [sql`${from ?? '1:1:'}::pg_snapshot`, sql`${to}::pg_snapshot`]
    const xid = sql`e.xid::text::xid8`
    const running = sql`array(select pg_snapshot_xip(${a})::text::bigint)`
    const unseen = sql`(e.xid = any(${running}) or (e.xid >= pg_snapshot_xmax(${a})::text::bigint and e.xid < pg_snapshot_xmax(${b})::text::bigint))`
    const after = afterId === undefined ? sql`` : sql` and e.id > ${afterId}::bigint`
    return sql<SqlBool>`(${unseen} and pg_visible_in_snapshot(${xid}, ${b})${after})`
  },
  labels: (of, template, ids) => {
    const key = `${name(of.key[0] ?? 'id')}::text`
    const pieces = template.map((piece) =>
      typeof piece === 'string' ? literal(piece) : `${name(piece.column)}::text`,
    )
    return {
      sql: `select ${key} as key, concat(${pieces.join(', ')}) as label from ${table(of)} where ${key} = any($1::text[])`,
      parameters: [ids],
    }
  },
}
