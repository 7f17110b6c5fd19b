/** Tables with everything that Chinook lacks: odd types and names, keys of every kind, partitions, generated columns. */
export const longName = `ключ_${'x'.repeat(52)}`.slice(0, 58) // 63 bytes

export const schema = (version: number): string => `
  create type mood as enum ('happy', 'it''s "fine"', 'grün');
  create collation case_blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
  create domain small_number as int check (value between -1000 and 1000);
  create domain filled as text not null;

  create table "Odd ""Types""" (
    id uuid primary key, mood mood, ints int[], texts text[], j json, jb jsonb, n numeric, f4 real, f8 double precision,
    b bytea, ts timestamptz, t timestamp, d date, tm time, iv interval, ip inet, bits varbit, span int4range, c char(5),
    nd text collate case_blind, big bigint, sm smallint, ok boolean, x xml, pt point, cash money, dom small_number, must filled default 'x',
    "select" text, "it's ""quoted"" \\ %s $1" text, ${longName} text, touched_by text,
    doubled numeric generated always as (n * 2) stored${version >= 18 ? ', shown text generated always as (upper("select")) virtual' : ''});
  create table "select" ("from" int, "where" text, "group" text, touched_by text, primary key ("from", "where"));
  create table no_key (a int, b text, touched_by text);
  create table only_unique (code text not null unique, v int, touched_by text);
  create table part (id int, region text, v text, touched_by text, primary key (id, region)) partition by list (region);
  create table part_eu partition of part for values in ('eu');
  create table part_us (touched_by text, v text, id int not null, region text not null);
  alter table part attach partition part_us for values in ('us');
  create table part_rest partition of part default;
  create table scratch (id int generated always as identity primary key, v text, touched_by text);

  ${[
    'album',
    'artist',
    'genre',
    'invoice',
    'invoice_line',
    'media_type',
    'playlist',
    'playlist_track',
    'track',
  ]
    .map((table) => `alter table ${table} add touched_by text;`)
    .join('\n  ')}
  alter table album drop constraint album_artist_id_fkey, add foreign key (artist_id) references artist on delete cascade;
  alter table track drop constraint track_album_id_fkey,
    add foreign key (album_id) references album on delete cascade on update cascade;
  alter table track drop constraint track_genre_id_fkey,
    add foreign key (genre_id) references genre on delete set null;
  alter table invoice_line drop constraint invoice_line_track_id_fkey, add foreign key (track_id) references track on delete cascade;
  alter table playlist_track drop constraint playlist_track_track_id_fkey,
    add foreign key (track_id) references track on delete cascade;
  create index on invoice_line (track_id); create index on playlist_track (track_id); create index on invoice_line (invoice_id);

  -- these change the row that was just written, and another table
  create function rename_again() returns trigger language plpgsql as $$ begin
    update playlist set name = name || '+' where playlist_id = new.playlist_id and length(name) < 100;
    return null;
  end $$;
  create trigger "Again" after insert on playlist for each row execute function rename_again();
  create function sum_up() returns trigger language plpgsql as $$ begin
    update invoice set total = coalesce((select sum(unit_price * quantity) from invoice_line where invoice_id = coalesce(new.invoice_id, old.invoice_id)), 0)
      where invoice_id = coalesce(new.invoice_id, old.invoice_id);
    return null;
  end $$;
  create trigger zz_last after insert or update or delete on invoice_line for each row execute function sum_up();
  create procedure touch_track(id int, who text) language plpgsql as $$ begin
    update track set bytes = coalesce(bytes, 0) + 1, touched_by = who || '+' where track_id = id; commit;
    update track set bytes = bytes + 1, touched_by = who where track_id = id;
  end $$;`

const texts = [
  '',
  ' ',
  'plain',
  `it's "quoted"`,
  'back\\slash',
  'new\nline\ttab',
  'grün 漢字 😀',
  '$1 %s {x}',
  'null',
  '\u001e\u0001',
  'x'.repeat(3_000),
]

/** Texts that each column of the odd table may be set to, NULL besides. */
export const oddValues: Readonly<Record<string, readonly string[]>> = {
  mood: ['happy', `it's "fine"`, 'grün'],
  ints: ['{}', '{1,NULL,3}', '{{1,2},{3,4}}', '[5:6]={7,8}'],
  texts: ['{}', '{"a,b",NULL,"\\"q\\"","NULL",""}', '{é}'],
  j: [
    'null',
    '{"a": 1, "a": 2}',
    '{"x":"\\u0000"}',
    '[1, 2.50, {"deep": [null, true]}]',
    '"text"',
    ' {"a":1}',
  ],
  jb: ['null', '{"a": 1.0}', '{"a": 1.00}', '[]', '{"é": "\\\\ \\" \\n"}'],
  n: ['0', '-0.00', '1.10', '1.1', '1e-30', '12345678901234567890.123', 'NaN', 'Infinity', '-Infinity'],
  f4: ['0', '-0', '1.5', '3.4028235e38', 'NaN', 'Infinity', '1e-45'],
  f8: [
    '0',
    '-0',
    '0.1',
    '0.30000000000000004',
    '1e308',
    '5e-324',
    'NaN',
    '-Infinity',
    '1e22',
    '123456789012345680000',
  ],
  b: ['\\x', '\\x00ff', '\\xdeadbeef'],
  ts: ['infinity', '-infinity', '2024-02-29 12:00:00.123456+05:30', '0044-03-15 00:00:00+00 BC'],
  t: ['infinity', '2024-02-29 12:00:00.1', '9999-12-31 23:59:59.999999'],
  d: ['infinity', '2024-01-01', '5874897-12-31', '0044-03-15 BC'],
  tm: ['24:00:00', '00:00:00.000001'],
  iv: ['1 mon', '30 days', '-1 year 2 days 03:04:05.678', '1 mon -30 days'],
  ip: ['::1', '192.168.0.1/24', '10.0.0.1'],
  bits: ['', '1010', '10100'],
  span: ['[1,5)', 'empty', '(,)'],
  c: ['ab', '', 'é'],
  nd: ['abc', 'ABC', 'AbC'],
  big: ['9007199254740993', '-9223372036854775808', '0'],
  sm: ['0', '-32768'],
  ok: ['true', 'false'],
  x: ['<a b="c">é</a>', 'text<b/>'],
  pt: ['(1,2)', '(NaN,-0)'],
  cash: ['12.34', '-0.05'],
  dom: ['7', '-1000'],
  select: texts,
  [`it's "quoted" \\ %s $1`]: texts,
  [longName]: texts,
}
