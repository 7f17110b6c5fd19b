import type { PoolClient } from 'pg'

/** A seeded random generator (mulberry32), so that a failure can be run again. */
export function createRandom(seed: number) {
  const next = (): number => {
    seed = (seed + 0x6d2b79f5) | 0
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  const int = (from: number, to: number): number => from + Math.floor(next() * (to - from + 1))
  return { next, int, pick: <T>(list: readonly T[]): T => list[int(0, list.length - 1)]! }
}
type Random = ReturnType<typeof createRandom>

/** A write with `RETURNING`'s place marked: how many rows it changed is what the trail must hold of it. */
export interface Write {
  readonly model: string
  readonly sql: string
  readonly values?: unknown[]
}

const texts = [
  'plain',
  '',
  'O\'Brien "x" \\ % $1',
  'žluťoučký 🎵',
  'line\nbreak\ttab',
  'null',
  '{"a":1}',
  '0',
]
const types: [string, readonly unknown[]][] = [
  ['flag', [true, false, null]],
  ['small', [0, -32_768, 32_767, null]],
  ['n', ['1.10', '1.1', '0', 'NaN', '123456789012345678901234567890.0001', null]],
  ['f', [0.1, 3.4e38, 'Infinity', null]],
  ['d', [0.1 + 0.2, 1e308, '-Infinity', 'NaN', -0, null]],
  ['b', [Buffer.from([0, 255, 92]), Buffer.alloc(0), null]],
  ['t', ['2026-03-29T01:30:00.123456+02', 'infinity', '0044-03-15 12:00:00 BC', null]],
  ['day', ['2026-02-28', '-infinity', null]],
  ['time', ['23:59:59.999999', null]],
  ['span', ['1 mon', '30 days', '-1 day 02:03:04.5', null]],
  ['list', ['{a,"b c",NULL,"q\\"x"}', '{}', null]],
  ['grid', ['{{1,2},{3,4}}', null]],
  ['j', ['{"a": 1,  "a":2, "x": "\\u0000"}', 'null', null]],
  ['jb', ['{"b": 1.0, "a": [null, true]}', 'null', '"text"', null]],
  ['m', ['sad', 'very "happy"', null]],
  ['ci', ['Straße', 'STRASSE', 'straße', null]],
  ['u', ['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', null]],
  ['ip', ['10.0.0.1/8', '::1', null]],
  ['bits', ['1011', null]],
  ['range', ['[1,5)', 'empty', '(,3]', null]],
  ['point', ['(1.5,-2)', null]],
  ['fixed', ['ab', 'abcdef', null]],
]

/** One random write; `n` makes keys that no other write makes. */
export function randomWrite(random: Random, n: number): Write {
  const id = 100_000 + n
  const text = random.pick(texts)
  const [column, values] = random.pick(types)
  const any = random.int(1, 59)
  return random.pick<() => Write>([
    () => ({
      model: 'customer',
      sql: 'update customer set city = $1, company = $2 where customer_id = $3',
      values: [text, random.pick([null, text]), any],
    }),
    () => ({ model: 'customer', sql: `update customer set phone = phone where customer_id = ${any}` }),
    () => ({
      model: 'invoice_line',
      sql: `update invoice_line set quantity = quantity + 1 where invoice_id = ${random.int(1, 412)}`,
    }),
    () => ({
      model: 'track',
      sql: `update track set unit_price = unit_price + 0.01 where genre_id = ${random.int(15, 25)}`,
    }),
    () => ({
      model: 'artist',
      sql: 'insert into artist (artist_id, name) values ($1, $2)',
      values: [id, text],
    }),
    () => ({
      model: 'artist',
      sql: `update artist set artist_id = artist_id + 1000000 where artist_id = (select max(artist_id) from artist where artist_id between 100000 and 999999)`,
    }),
    () => ({
      model: 'artist',
      sql: `delete from artist where artist_id = (select min(artist_id) from artist where artist_id > 100000)`,
    }),
    () => ({
      model: 'playlist_track',
      sql: `insert into playlist_track select ${random.int(1, 18)}, track_id from track where track_id % 97 = ${random.int(0, 96)} on conflict do nothing`,
    }),
    () => ({
      model: 'playlist_track',
      sql: `delete from playlist_track where playlist_id = ${random.int(1, 18)} and track_id % 53 = ${random.int(0, 52)}`,
    }),
    () => ({
      model: 'genre',
      sql: `insert into genre values (${random.int(1, 40)}, $1) on conflict (genre_id) do update set name = excluded.name`,
      values: [text],
    }),
    () => ({
      model: 'genre',
      sql: `merge into genre g using (values (${random.int(1, 60)})) as v(id) on g.genre_id = v.id when matched then update set name = 'm${n}' when not matched then insert values (v.id, 'new')`,
    }),
    () => ({
      model: 'odd_types',
      sql: `insert into odd_types ("${column}") values ($1)`,
      values: [random.pick(values)],
    }),
    () => ({
      model: 'odd_types',
      sql: `update odd_types set "${column}" = $1 where id % 7 = ${random.int(0, 6)}`,
      values: [random.pick(values)],
    }),
    () => ({ model: 'odd_types', sql: `delete from odd_types where id % 31 = ${random.int(0, 30)}` }),
    () => ({
      model: 'select "ünïcode" 🎵',
      sql: `insert into "select ""ünïcode"" 🎵" values ($1, $2, $3) on conflict ("group by", "a ""b") do update set "payload $$" = excluded."payload $$"`,
      values: [random.int(1, 9), text, random.pick(texts)],
    }),
    () => ({
      model: 'select "ünïcode" 🎵',
      sql: `update "select ""ünïcode"" 🎵" set "group by" = "group by" + 10 + ${n} where "group by" = ${random.int(1, 9)}`,
    }),
    () => ({
      model: 'keyless',
      sql: `insert into keyless select ${random.int(1, 3)}, $1 from generate_series(1, 3)`,
      values: [text],
    }),
    () => ({ model: 'keyless', sql: `delete from keyless where a = ${random.int(1, 3)}` }),
    () => ({ model: 'measure', sql: `insert into measure values ('2026-01-05', ${id}, 1.50)` }),
    () => ({
      model: 'measure',
      sql: `update measure set value = value * 2 where id % 3 = ${random.int(0, 2)}`,
    }),
  ])()
}

/** Runs a write and answers how many rows it changed. */
export async function run(client: Pick<PoolClient, 'query'>, { sql, values }: Write): Promise<number> {
  const result = values ? await client.query(sql, values) : await client.query(sql)
  return result.rowCount ?? 0
}
