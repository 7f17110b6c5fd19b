import { Client } from 'pg'
import { expect, test } from 'vitest'
import { type Audited, captureDatabase } from './fixture.ts'

const capture = captureDatabase()

/** At least two values of every type that a column may have, as its own input reads them. */
const samples: Readonly<Record<string, readonly string[]>> = {
  bool: ['t', 'f'],
  bytea: ['\\x', '\\x00ff27', '\\x5c78'],
  char: ['x', '\\377', ''],
  name: ['n', 'it\'s "quoted" grün'],
  int2: ['0', '-32768', '32767'],
  int4: ['0', '-2147483648'],
  int8: ['9007199254740993', '-9223372036854775808', '1'],
  float4: ['0', '-0', 'NaN', 'Infinity', '-Infinity', '0.1', '3.4028235e38', '1e-45', '16777217'],
  float8: ['0', '-0', 'NaN', '-Infinity', '0.1', '0.30000000000000004', '1e308', '5e-324', '1e22', '100000000000000000000'],
  numeric: ['NaN', 'Infinity', '-Infinity', '1.10', '1.1', '0', '-0.00', '1e-30', '123456789012345678901234567890.123', '1e400'],
  money: ['12.34', '-92233720368547758.08', '0'],
  text: ['', 'plain', 'it\'s "q" \\ % $1 $$ {x}', 'grün 漢字 😀\u0001\u007f', 'line\nfeed\ttab\rcr', ' '],
  varchar: ['a', ' a '],
  bpchar: ['a', 'a b'],
  json: ['null', '{"a": 1,  "a": 2.50}', '{"x":"\\u0000 \\ud800"}', ' [1, "é"] '],
  jsonb: ['null', '{"b":1,"a":1.0}', '{"b":1,"a":1.00}', '"é\\u0001"', '12345678901234567890.10'],
  jsonpath: ['$.a[*] ? (@.b > 1)', 'strict $."it\'s"'],
  xml: ['<a b="c">é</a>', 'text<b/>', ''],
  uuid: ['A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '00000000-0000-0000-0000-000000000000'],
  date: ['2024-02-29', 'infinity', '-infinity', '0044-03-15 BC', '4713-01-01 BC', '5874897-12-31'],
  time: ['24:00', '00:00:00.000001'],
  timetz: ['12:00:00.5+02', '11:00:00.5+01', '23:59:59.999999-15:59', '12:00+05:30'],
  timestamp: ['2024-02-03 04:05:06.789012', 'infinity', '-infinity', '0044-03-15 01:02:03 BC', '294276-12-31 23:59:59.999999'],
  timestamptz: ['2024-02-03 04:05:06.789012+09', 'infinity', '0044-03-15 00:00:00.5+00 BC', '1883-11-18 12:00-05'],
  interval: ['1 mon', '30 days', '24 hours', '1 day', '-1 year 2 days -03:04:05.678901', '-1 mon 30 days', '0', '178000000 years', '-1 day 1 microsecond'],
  inet: ['192.168.0.1/24', '::1', '10.0.0.1', '::ffff:1.2.3.4/120'],
  cidr: ['10.0.0.0/8', '2001:db8::/32'],
  macaddr: ['08:00:2b:01:02:03', 'ff:ff:ff:ff:ff:ff'],
  macaddr8: ['08:00:2b:01:02:03:04:05', '08:00:2b:ff:fe:01:02:03'],
  bit: ['1', '0'],
  varbit: ['', '0101', '01010'],
  point: ['(1,2)', '(1,-0)', '(NaN,1e308)', '(0.1,0.30000000000000004)'],
  line: ['{1,2,3}', '{0.1,0.2,-0.3}'],
  lseg: ['[(1,2),(3,4)]', '[(0.1,0.2),(0.3,0.4)]'],
  box: ['(3,4),(1,2)', '(0.3,0.4),(0.1,0.2)'],
  path: ['((0,0),(1,1))', '[(0,0),(1,1)]'],
  polygon: ['((0,0),(1,1),(2,0))', '((0.1,0),(1,1),(2,0))'],
  circle: ['<(1,2),3>', '<(0.1,0.2),0.3>'],
  tsvector: [`a:1A 'it''s':2 b`, ''],
  tsquery: [`a & !'it''s' | b:*A`, 'c <2> d'],
  oid: ['1', '4294967295'],
  xid: ['1', '4294967295'],
  xid8: ['1', '18446744073709551615'],
  cid: ['1', '2'],
  tid: ['(0,1)', '(4294967295,65535)'],
  int2vector: ['1 2', '3'],
  oidvector: ['1 2', '3'],
  pg_lsn: ['16/B374D848', '0/0'],
  txid_snapshot: ['10:20:10,14,15', '1:1:'],
  pg_snapshot: ['10:20:10,14,15', '1:1:'],
  refcursor: ['c', 'it\'s "c"'],
  aclitem: ['postgres=r/postgres', '=rw*/postgres'],
  regclass: ['pg_class', '"odd ""table"'],
  regtype: ['int4', 'integer[]', '"odd type"'],
  regproc: ['now', 'odd_function'],
  regprocedure: ['length(text)', 'odd_function(integer)'],
  regoper: ['*<>', '*<'],
  regoperator: ['=(integer,integer)', '+(bigint,bigint)'],
  regrole: ['postgres', 'pg_read_all_data'],
  regnamespace: ['pg_catalog', 'public'],
  regconfig: ['english', 'simple'],
  regdictionary: ['simple', 'english_stem'],
  regcollation: ['"C"', '"POSIX"'],
  int4range: ['[1,5)', 'empty', '(,)'],
  int8range: ['[9007199254740993,)', '(,1)'],
  numrange: ['[1.10,1.1]', '[1.1,1.1]'],
  daterange: ['[2024-02-03,infinity)', '(,2024-01-01)'],
  tsrange: ['["2024-02-03 04:05:06.789012",)', 'empty'],
  tstzrange: ['["2024-02-03 04:05:06.789012+09",)', '(,infinity]'],
  int4multirange: ['{[1,5),[7,8)}', '{}'],
  int8multirange: ['{[9007199254740993,)}', '{}'],
  nummultirange: ['{[1.10,1.1],[2,3.00)}', '{[1.1,1.1]}'],
  datemultirange: ['{[2024-02-03,infinity)}', '{(,2024-01-01)}'],
  tsmultirange: ['{["2024-02-03 04:05:06.789012",)}', '{}'],
  tstzmultirange: ['{["2024-02-03 04:05:06.789012+09",)}', '{}'],
  // of the application and of extensions
  mood: ['sad', `it's "fine"`, 'grün'],
  span: ['[a,b)', '["it\'s \\"q\\"",)'],
  hstore: ['a=>1', '"it\'s"=>"\\"q\\"", b=>NULL'],
  citext: ['Abc', 'aBC', ''],
  ltree: ['a.b', 'a.b.c'],
  cube: ['(0.1,0.2)', '(1),(2)'],
} // prettier-ignore

/** Types whose values no input reads back. They appear in columns of system catalogues alone. */
const withoutInput = [
  'gtsvector', 'pg_node_tree', 'pg_ndistinct', 'pg_dependencies', 'pg_mcv_list',
  'pg_brin_bloom_summary', 'pg_brin_minmax_multi_summary',
] // prettier-ignore
const own = `create type mood as enum ('sad', 'it''s "fine"', 'grün'); create type span as range (subtype = text);
  create table "odd ""table" (id int primary key); create type "odd type" as (n int);
  create function odd_function(int) returns int language sql as 'select 1';`
const hostile = `set datestyle = 'SQL, DMY'; set timezone = 'Asia/Tokyo'; set bytea_output = 'escape'; set intervalstyle = 'iso_8601';
  set extra_float_digits = 0; set xmloption = 'document'; set quote_all_identifiers = on; set xmlbinary = 'hex'; set array_nulls = on`

const quoted = (text: string) => `'${text.replaceAll("'", "''")}'`
const typeName = (type: string) => (type === 'char' ? '"char"' : type)

interface Column {
  readonly name: string
  readonly type: string
  /** Values as SQL, of which a row takes one after another. */
  readonly values: readonly string[]
}

/** Each type by itself, below a domain, as a part of a record, and in lists of several forms. */
const columns: readonly Column[] = Object.entries(samples).flatMap(([type, texts]): Column[] => {
  const sql = texts.map((text) => `${quoted(text)}::${typeName(type)}`)
  const [a, b] = [sql[0]!, sql[1]!]
  const all = (wrap: (value: string) => string) => [...sql.map(wrap), 'null']
  return [
    { name: type, type: typeName(type), values: all((value) => value) },
    { name: `${type} domain`, type: `"d ${type}"`, values: all((value) => `${value}::"d ${type}"`) },
    { name: `${type} record`, type: `"c ${type}"`, values: all((value) => `row(${value}, 'it''s "(,)"')::"c ${type}"`) },
    {
      name: `${type} list`,
      type: `${typeName(type)}[]`,
      values: [
        `array[${sql.join(', ')}, null]`,
        `array[[${a}, null], [${b}, ${a}]]`,
        `array_fill(${b}, array[2, 1], array[-5, 7])`,
        `'{}'`,
        'null',
      ],
    },
  ]
}) // prettier-ignore
const most = Math.max(...columns.map(({ values }) => values.length))
const quote = (name: string) => `"${name}"`
const valuesOf = (row: number) => columns.map(({ values }) => values[row % values.length]!)

const extensions = ['hstore', 'citext', 'ltree', 'cube']
const types = Object.keys(samples).map(
  (type) => `create domain "d ${type}" as ${typeName(type)}; create type "c ${type}" as (value ${typeName(type)}, more text);`,
) // prettier-ignore
/** A table of all types, and one beside it that is not audited and holds what was there after each step. */
const tables = `${own} ${extensions.map((extension) => `create extension if not exists ${extension} schema public;`).join('\n')}
  select set_config('search_path', current_schema || ', public', false); ${types.join('\n')}
  create table item (id int primary key, ${columns.map(({ name, type }) => `${quote(name)} ${type}`).join(', ')});
  create table kept (step int, like item); select set_config('search_path', current_schema, false)`

/** Creates rows, changes each to the next values, and deletes them, in one session, keeping what was there. Answers the entry before. */
async function write({ url }: Audited, settings = ''): Promise<string> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(`select set_config('search_path', current_schema || ', public', false)`)
    const rows = Array.from({ length: most }, (_, row) => `(${row}, ${valuesOf(row).join(', ')})`)
    const next = Array.from({ length: most }, (_, row) => `update item set ${columns.map(({ name }, n) => `${quote(name)} = ${valuesOf(row + 1)[n]}`).join(', ')} where id = ${row}`) // prettier-ignore
    const keep = (step: number) =>
      `insert into kept select ${step}, id, ${columns.map(({ name }) => quote(name)).join(', ')} from item`
    // the values are read before the settings that would read them otherwise
    await client.query(`create temp table first (like item); create temp table second (like item);
      insert into first values ${rows.join(', ')}; insert into second select * from first`)
    await client.query(next.map((sql) => sql.replace('update item', 'update second')).join(';\n'))
    await client.query(
      `set search_path = ${new URL(url).searchParams.get('options')!.split('=')[1]}; ${settings}`,
    )
    const before = await client.query('select last_value as id from whodunit.entry_id')
    await client.query('insert into item select * from first')
    await client.query(keep(1))
    await client.query(`update item set (${columns.map(({ name }) => quote(name)).join(', ')}) =
      (select ${columns.map(({ name }) => `second.${quote(name)}`).join(', ')} from second where second.id = item.id)`)
    await client.query(keep(2))
    await client.query('delete from item')
    return before.rows[0].id
  } finally {
    await client.end()
  }
}

/** For each step, how many rows were recorded, and the columns that were recorded otherwise than they were. */
async function recorded(
  { url }: Audited,
  after: string,
): Promise<Record<string, { rows: number; wrong: string[] }>> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(`select set_config('search_path', current_schema || ', public', false);
      create temp table pair as select e.action, e.target_id::int as id, c.key as name, c.value ->> 0 as before, c.value ->> 1 as after
        from whodunit.entries e, json_each(e.changes) c where e.model = 'item' and e.id > ${after}; create index on pair (name); analyze pair`)
    const same = (side: string, kept: string, { name, type }: Column) =>
      `row(p.${side}::${type})::record operator(pg_catalog.*=) row(${kept}.${quote(name)})::record`
    const fits = {
      CREATE: (of: Column) => `p.before is null and ${same('after', 'k1', of)}`,
      UPDATE: (of: Column) => `case when row(k1.${quote(of.name)})::record operator(pg_catalog.*=) row(k2.${quote(of.name)})::record
        then p is null else ${same('before', 'k1', of)} and ${same('after', 'k2', of)} end`,
      DELETE: (of: Column) => `p.after is null and ${same('before', 'k2', of)}`,
    } // prettier-ignore
    const found: Record<string, { rows: number; wrong: string[] }> = {}
    for (const [action, fit] of Object.entries(fits)) {
      const { rows } = await client.query(
        `select count(distinct id)::int as n from pair where action = '${action}'`,
      )
      const wrong: string[] = []
      for (const of of columns) {
        const { rows: bad } =
          await client.query(`select from kept k1 join kept k2 on k2.step = 2 and k2.id = k1.id
          left join pair p on p.action = '${action}' and p.id = k1.id and p.name = ${quoted(of.name)}
          where k1.step = 1 and (${fit(of)}) is not true`)
        if (bad.length > 0) wrong.push(of.name)
      }
      found[action] = { rows: rows[0].n, wrong }
    }
    return found
  } finally {
    await client.end()
  }
}

const right = {
  CREATE: { rows: most, wrong: [] },
  UPDATE: { rows: most, wrong: [] },
  DELETE: { rows: most, wrong: [] },
}

test('every type of this server that a column may have is among those tried', async () => {
  const { rows } = await capture.database.pool.query(
    `select typname as name from pg_type where typnamespace = 'pg_catalog'::regnamespace and typtype in ('b', 'r', 'm')
      and not exists (select from pg_type e where e.typarray = pg_type.oid) order by 1`,
  )
  const missing = rows
    .map(({ name }) => name)
    .filter((name) => !samples[name] && !withoutInput.includes(name))
  expect(missing).toEqual([])
})

test('every value of every type can be read back from the trail, image for image [B1, B2, B3, B5]', async () => {
  const world = await capture.audited(tables, { models: { kept: false } })
  expect(await recorded(world, await write(world))).toEqual(right)
})

test('so it can under settings of the session that print values otherwise', async () => {
  const world = await capture.audited(tables, { models: { kept: false } })
  expect(await recorded(world, await write(world, hostile))).toEqual(right)
})

test('so it can while the table is another than migrate knew', async () => {
  const world = await capture.audited(tables, { models: { kept: false } })
  await world.sql('alter table item add later int; alter table kept add later int')
  expect(await recorded(world, await write(world, hostile))).toEqual(right)
})

test('a value of any type that is longer than the policy allows is cut, and marked with its length [B8]', async () => {
  const limit = 100
  const world = await capture.audited(tables, { models: { kept: false }, maxValueBytes: limit })
  const before = await write(world)
  const { rows } = await world.sql(
    `select c.key as name, c.value -> 1 as value from whodunit.entries e, json_each(e.changes) c
     where e.model = 'item' and e.action = 'CREATE' and e.id > $1`,
    [before],
  )
  const long = rows.filter(({ value }) => typeof value === 'string' && Buffer.byteLength(value) > limit)
  // as long as the server lets a number be
  expect(new Set(long.map(({ name }) => name))).toEqual(new Set(['numeric', 'numeric domain']))
  const cut = rows.filter(({ value }) => value?.$ === 'cut')
  expect(cut.length).toBeGreaterThanOrEqual(20)
  for (const { value } of cut) expect(value.length).toBeGreaterThan(limit / 4) // characters, of up to four bytes
})
