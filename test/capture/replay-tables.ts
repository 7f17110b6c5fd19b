import type { Pool } from 'pg'
import type { AuditEntry, ChangeValue } from '../../src/index.ts'

/** Tables beyond Chinook's: odd names, keys and types. */
export const oddTables = `
  create type mood as enum ('sad', 'ok', 'very "happy"');
  create collation ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
  create table odd_types (
    id bigint generated always as identity primary key, flag boolean, small smallint, n numeric, f real, d double precision,
    b bytea, t timestamptz, day date, time time, span interval, list text[], grid int[][], j json, jb jsonb, m mood,
    ci text collate ci, u uuid, ip inet, bits bit varying, range int4range, point point, fixed char(6),
    twice numeric generated always as (n * 2) stored);
  create table "select ""ünïcode"" 🎵" ("group by" int, "a ""b" text, "payload $$" text, primary key ("group by", "a ""b"));
  create table keyless (a int, b text);
  create table parent (id int primary key, name text);
  create table child (id int primary key, parent_id int references parent on delete cascade on update cascade, note text);
  create table measure (at date not null, id int not null, value numeric, primary key (at, id)) partition by range (at);
  create table measure_a partition of measure for values from ('2026-01-01') to ('2026-02-01');
  create table measure_b partition of measure for values from ('2026-02-01') to ('2026-03-01');`

/** A row as text: column to the text of its value, `null` for NULL. */
export type Row = Record<string, string | null>
/** Rows by key; a table without a key has its rows' own text as keys, with counts. */
export type TableState = Map<string, Row>
export type State = Map<string, TableState>

interface Shape {
  readonly name: string
  readonly key: readonly string[]
  readonly columns: readonly { readonly name: string; readonly type: string }[]
}

export async function readShapes(pool: Pool): Promise<Shape[]> {
  const { rows } = await pool.query<{ name: string; key: string[] | null; columns: Shape['columns'] }>(`
    select c.relname as name,
      (select array_agg(a.attname::text order by k.place) from pg_index i, unnest(i.indkey::int2[]) with ordinality as k(attnum, place), pg_attribute a
        where i.indrelid = c.oid and i.indisprimary and a.attrelid = c.oid and a.attnum = k.attnum) as key,
      (select json_agg(json_build_object('name', a.attname, 'type', t.typname) order by a.attnum) from pg_attribute a join pg_type t on t.oid = a.atttypid
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns
    from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition`)
  return rows.map((row) => ({ ...row, key: row.key ?? [] }))
}

/** Every row of every table, under the settings that capture pins. */
export async function readState(pool: Pool, shapes: readonly Shape[]): Promise<State> {
  const client = await pool.connect()
  try {
    await client.query(
      `begin; set local timezone = 'UTC'; set local datestyle = 'ISO'; set local intervalstyle = 'postgres'; set local bytea_output = 'hex'`,
    )
    const state: State = new Map()
    for (const shape of shapes) {
      const list = shape.columns.map(({ name }) => `"${name.replaceAll('"', '""')}"::text`).join(', ')
      const { rows } = await client.query<(string | null)[]>({
        text: `select ${list} from "${shape.name.replaceAll('"', '""')}"`,
        rowMode: 'array',
      })
      const table: TableState = new Map()
      for (const values of rows) {
        const row = Object.fromEntries(
          shape.columns.map(({ name, type }, index) => [name, plain(values[index] ?? null, type)]),
        )
        put(table, shape, row)
      }
      state.set(shape.name, table)
    }
    await client.query('commit')
    return state
  } finally {
    client.release()
  }
}

/** Plays the entries of row changes over a state, in their order. Throws where they do not fit. */
export function replay(state: State, shapes: readonly Shape[], entries: readonly AuditEntry[]): void {
  for (const entry of entries) {
    const shape = shapes.find(({ name }) => name === entry.target?.model)
    if (!shape) throw new Error(`an entry of an unknown table ${entry.target?.model}`)
    const table = state.get(shape.name)!
    const side = (index: 0 | 1): Row =>
      Object.fromEntries(
        Object.entries(entry.changes ?? {}).map(([column, pair]) => {
          const type = shape.columns.find(({ name }) => name === column)?.type
          if (!type) throw new Error(`an unknown column ${column} of ${shape.name}`)
          return [column, textOf(pair[index], type)]
        }),
      )
    const id = entry.target!.id
    if (entry.action === 'CREATE') put(table, shape, side(1))
    else if (entry.action === 'TRUNCATE') table.clear()
    else if (entry.action === 'DELETE') take(table, shape, id, side(0))
    else if (entry.action === 'UPDATE') put(table, shape, { ...take(table, shape, id, side(0)), ...side(1) })
    else throw new Error(`an unexpected action ${entry.action}`)
  }
}

function put(table: TableState, shape: Shape, row: Row): void {
  let key = keyOf(shape, row)
  if (shape.key.length > 0 && table.has(key)) throw new Error(`${shape.name} ${key} is there already`)
  while (table.has(key)) key += '+' // equal rows of a table without a key
  table.set(key, row)
}

function take(table: TableState, shape: Shape, id: string | null, before: Row): Row {
  let key = shape.key.length > 0 ? String(id) : keyOf(shape, before)
  if (shape.key.length === 0) while (table.has(`${key}+`)) key += '+'
  const row = table.get(key)
  if (!row) throw new Error(`${shape.name} ${key} is not there`)
  for (const [column, value] of Object.entries(before)) {
    if (row[column] !== value)
      throw new Error(`${shape.name} ${key}: ${column} was ${row[column]}, the entry says ${value}`)
  }
  table.delete(key)
  return row
}

function keyOf(shape: Shape, row: Row): string {
  if (shape.key.length === 0) return JSON.stringify(shape.columns.map(({ name }) => row[name]))
  return shape.key.length === 1
    ? String(row[shape.key[0]!])
    : JSON.stringify(shape.key.map((name) => row[name]))
}

function textOf(value: ChangeValue, type: string): string | null {
  if (typeof value === 'object' && value !== null)
    throw new Error(`a mark in place of a value: ${JSON.stringify(value)}`)
  return plain(value === null ? null : String(value), type)
}

/** Floats print differently in JavaScript and SQL, for the same number. */
function plain(text: string | null, type: string): string | null {
  if (text === null || !['float4', 'float8'].includes(type)) return text
  return String(Number(text.replace(/^(-?)infinity$/i, '$1Infinity')))
}
