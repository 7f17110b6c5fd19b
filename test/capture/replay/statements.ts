import { longName, oddValues } from './world.ts'

/** One statement of the many. `who` is written into `touched_by` wherever the table has it. */
export interface Statement {
  readonly sql: string
  readonly values?: readonly unknown[]
  /** Rows for a COPY, which has no other way in. */
  readonly copy?: string
  /** Tables whose entries it may cause, besides those of {@link also}. */
  readonly tables: readonly string[]
  /** Tables that change through cascades and triggers, where nobody writes `touched_by`. */
  readonly also?: readonly string[]
  /** Whether each row it counts is exactly one entry. */
  readonly exact?: boolean
  /** Only by itself, outside of a transaction. */
  readonly alone?: boolean
}

export type Random = (below: number) => number

/** mulberry32: the same numbers for the same seed. */
export function random(seed: number): Random {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}

const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`
const odd = quoted('Odd "Types"')
const pick = <T>(from: readonly T[], next: Random): T => from[next(from.length)]!
let fresh = 1_000_000

/** Makes the next statement of a worker. Workers mostly keep to rows of their own, so that few wait for one another. */
export function nextStatement(next: Random, worker: number, workers: number, who: string | null): Statement {
  const own = (below: number) => 1 + worker + workers * next(Math.floor(below / workers))
  const id = () => ++fresh
  const value = (column: string) => (next(6) === 0 ? null : pick(oddValues[column]!, next))
  const oddColumns = () => Object.keys(oddValues).filter(() => next(3) === 0)
  const uuid = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`
  const region = () => pick(['eu', 'us', 'asia', 'africa'], next)

  const makers: (() => Statement)[] = [
    () => ({
      sql: 'update track set milliseconds = milliseconds + 1, touched_by = $2 where track_id = $1',
      values: [own(3_500), who],
      tables: ['track'],
      exact: true,
    }),
    () => ({
      sql: `update track set name = $2, unit_price = unit_price + 0.10, touched_by = $3 where track_id % 400 = $1`,
      values: [own(400), pick(oddValues['select']!, next).slice(0, 200), who],
      tables: ['track'],
      exact: true,
    }),
    () => ({
      sql: `with t as (select track_id from track where track_id = $1) update track set composer = null, bytes = coalesce(bytes, 0) + 1, touched_by = '${who}' from t where t.track_id = track.track_id`.replace(
        `'null'`,
        'null',
      ),
      values: [own(3_500)],
      tables: ['track'],
      exact: true,
    }),
    () => ({
      sql: 'update invoice_line set quantity = quantity + 1, touched_by = $2 where invoice_id = $1',
      values: [own(412), who],
      tables: ['invoice_line'],
      also: ['invoice'],
    }),
    () => ({
      sql: 'insert into invoice_line values ($1, $2, 1, 0.99, 3, $3)',
      values: [id(), own(412), who],
      tables: ['invoice_line'],
      also: ['invoice'],
    }),
    () => ({
      sql: 'delete from invoice_line where invoice_line_id = $1',
      values: [own(2_240)],
      tables: ['invoice_line'],
      also: ['invoice'],
    }),
    () => ({
      sql: `insert into playlist values ($1, 'list', $2)`,
      values: [id(), who],
      tables: ['playlist'],
      also: ['playlist'],
    }),
    () => ({
      sql: 'insert into playlist_track select $1, track_id, $3 from track where track_id % 50 = $2 on conflict do nothing',
      values: [1 + next(18), own(50), who],
      tables: ['playlist_track'],
      exact: true,
    }),
    () => ({
      sql: 'delete from playlist_track where playlist_id = $1 and track_id % 100 = $2',
      values: [1 + next(18), own(100)],
      tables: ['playlist_track'],
      exact: true,
    }),
    () => ({
      sql: `insert into genre values ($1, 'a', $2) on conflict (genre_id) do update set name = excluded.name || genre.name, touched_by = excluded.touched_by`,
      values: [own(40), who],
      tables: ['genre'],
    }),
    () => ({
      sql: 'delete from genre where genre_id = $1',
      values: [20 + own(32)],
      tables: ['genre'],
      also: ['track'],
    }),
    () => ({
      sql: 'delete from artist where artist_id = $1',
      values: [own(275)],
      tables: ['artist'],
      also: ['album', 'track', 'invoice_line', 'invoice', 'playlist_track'],
    }),
    () => ({
      sql: 'update album set album_id = album_id + $2, touched_by = $3 where album_id = $1',
      values: [own(347), id() * 10, who],
      tables: ['album'],
      also: ['track'],
    }),
    () => ({ sql: `merge into media_type m using (values ($1::int, $2::text), ($1 + 100, 'new')) as v(id, name) on m.media_type_id = v.id
        when matched and v.id % 3 = 0 then delete
        when matched then update set name = v.name, touched_by = $3
        when not matched then insert values (v.id, v.name, $3)`, values: [100 + own(80), `m${id()}`, who], tables: ['media_type'] }), // prettier-ignore
    () => {
      const columns = oddColumns()
      const values = columns.map(value)
      const names = ['id', 'touched_by', ...columns].map(quoted).join(', ')
      const places = columns.map((column, index) => `$${index + 3}::text::${typeOf(column)}`).join(', ')
      return {
        sql: `insert into ${odd} (${names}) values ($1, $2${places && `, ${places}`}) on conflict do nothing`,
        values: [uuid(own(80)), who, ...values],
        tables: ['Odd "Types"'],
        exact: true,
      }
    },
    () => {
      const columns = oddColumns()
      const sets = columns
        .map((column, index) => `, ${quoted(column)} = $${index + 3}::text::${typeOf(column)}`)
        .join('')
      return {
        sql: `update ${odd} set touched_by = $2${sets} where id = $1`,
        values: [uuid(own(80)), who, ...columns.map(value)],
        tables: ['Odd "Types"'],
      }
    },
    () => ({
      sql: `update ${odd} set id = $2, touched_by = $3 where id = $1`,
      values: [uuid(own(80)), uuid(id()), who],
      tables: ['Odd "Types"'],
      exact: true,
    }),
    () => ({
      sql: `delete from ${odd} where id = $1`,
      values: [uuid(own(80))],
      tables: ['Odd "Types"'],
      exact: true,
    }),
    () => ({
      sql: `insert into "select" values ($1, $2, 'g', $3) on conflict ("from", "where") do update set "group" = "select"."group" || 'g', touched_by = $3`,
      values: [own(24), pick(oddValues['select']!, next).slice(0, 50), who],
      tables: ['select'],
      exact: true,
    }),
    () => ({
      sql: `update "select" set "where" = "where" || '!', "from" = "from" + 1000, touched_by = $2 where "from" = $1`,
      values: [own(24), who],
      tables: ['select'],
      exact: true,
    }),
    () => ({
      sql: 'delete from "select" where "from" % 1000 = $1',
      values: [own(24)],
      tables: ['select'],
      exact: true,
    }),
    () => ({
      sql: 'insert into no_key select n, $1::text || n, $2 from generate_series(1, 5) n',
      values: [`${id()}-`, who],
      tables: ['no_key'],
      exact: true,
    }),
    () => ({
      sql: `update no_key set a = a + 100, b = b || '~', touched_by = $2 where a % 60 = $1`,
      values: [own(60), who],
      tables: ['no_key'],
    }),
    () => ({
      sql: 'delete from no_key where a % 60 = $1',
      values: [own(60)],
      tables: ['no_key'],
      exact: true,
    }),
    () => ({
      sql: 'insert into only_unique values ($1, 1, $2) on conflict (code) do update set v = only_unique.v + 1, code = only_unique.code || $3, touched_by = $2',
      values: [`c${own(24)}`, who, `.${id()}`],
      tables: ['only_unique'],
      exact: true,
    }),
    () => ({
      sql: 'insert into part (id, region, v, touched_by) values ($1, $2, $4, $3), ($1 + 1000, $2, $4, $3) on conflict do nothing',
      values: [own(80), region(), who, 'v'],
      tables: ['part'],
      exact: true,
    }),
    () => ({
      sql: 'update part set region = $2, v = v || $3, touched_by = $4 where id = $1 and not exists (select from part p where p.id = $1 and p.region = $2)',
      values: [own(80), region(), '-', who],
      tables: ['part'],
    }),
    () => ({
      sql: `update part_us set v = v || 'u', touched_by = $2 where id = $1`,
      values: [own(80), who],
      tables: ['part'],
    }),
    () => ({
      sql: `insert into part_eu values ($1, 'eu', 'direct', $2)`,
      values: [id(), who],
      tables: ['part'],
      exact: true,
    }),
    () => ({
      sql: 'delete from part where id % 1000 = $1',
      values: [own(80)],
      tables: ['part'],
      exact: true,
    }),
    () => ({
      sql: 'insert into scratch (v, touched_by) select $1, $2 from generate_series(1, 3)',
      values: [`s${id()}`, who],
      tables: ['scratch'],
      exact: true,
    }),
    () => ({
      sql: 'with moved as (delete from scratch where id % 30 = $1 returning v) insert into no_key select 7, v, $2 from moved',
      values: [own(30), who],
      tables: ['scratch', 'no_key'],
    }),
    () => ({ sql: 'truncate scratch', tables: ['scratch'], alone: true }),
    () => ({
      sql: 'copy no_key from stdin',
      copy: [1, 2, 3].map((n) => `${n}\tcopied ${id()}\t${who ?? '\\N'}\n`).join(''),
      tables: ['no_key'],
      exact: true,
    }),
    () => ({
      sql: `do $$ begin insert into scratch (v, touched_by) values ('do', '${who}'); update track set bytes = 1 + coalesce(bytes, 0), touched_by = '${who}' where track_id = ${own(3_500)}; end $$`.replaceAll(
        `'null'`,
        'null',
      ),
      tables: ['scratch', 'track'],
    }),
    () => ({
      sql: `insert into no_key values (1, 'multi ${id()}', '${who}'); insert into scratch (v, touched_by) values ('multi', '${who}')`.replaceAll(
        `'null'`,
        'null',
      ),
      tables: ['no_key', 'scratch'],
      exact: true,
    }),
    () => ({ sql: 'call touch_track($1, $2)', values: [own(3_500), who], tables: ['track'], alone: true }),
  ]
  return pick(makers, next)()
}

/** Types of the odd table's columns, where not text. */
export const types: Readonly<Record<string, string>> = {
  ints: 'int[]', texts: 'text[]', j: 'json', jb: 'jsonb', n: 'numeric', f4: 'real', f8: 'double precision', b: 'bytea',
  ts: 'timestamptz', t: 'timestamp', d: 'date', tm: 'time', iv: 'interval', ip: 'inet', bits: 'varbit', span: 'int4range',
  c: 'char(5)', nd: 'text', big: 'bigint', sm: 'smallint', ok: 'boolean', x: 'xml', pt: 'point', cash: 'money', dom: 'small_number', mood: 'mood',
} // prettier-ignore
function typeOf(column: string): string {
  return column === longName ? 'text' : (types[column] ?? 'text')
}
