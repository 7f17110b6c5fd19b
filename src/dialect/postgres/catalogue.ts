import { isBookkeeping } from '../../capture/bookkeeping.ts'
import type { Catalogue, CatalogueColumn, CatalogueTable, ColumnForm } from '../../capture/catalogue.ts'
import type { RunSql, SqlRow } from '../dialect.ts'
import { comparable, triggerName, truncateTriggerName } from './triggers.ts'

const native = new Set(['bool', 'int2', 'int4', 'float4', 'float8'])
/** Types whose `=` is the equality of their images. All others are compared as stored. */
const exact = new Set(['bool', 'int2', 'int4', 'int8', 'oid', 'uuid', 'date', 'time', 'timestamp', 'timestamptz', 'inet',
  'cidr', 'macaddr', 'macaddr8', 'bytea', 'bit', 'varbit', 'name', 'pg_lsn', 'xid8', 'enum']) // prettier-ignore
/** Types, and lists of them, that print the same in every session; enums do too. */
const settledTypes = `('bool', 'int2', 'int4', 'int8', 'oid', 'numeric', 'uuid', 'text', 'varchar', 'bpchar', 'name', 'inet', 'cidr', 'macaddr',
  'macaddr8', 'bit', 'varbit', 'pg_lsn', 'xid8', 'json', 'jsonb', 'citext', 'time')`
/** Exact unless the column's collation takes different texts for equal. */
const texts = new Set(['text', 'varchar'])

const broughtNote =
  'a subscription brings the entries of the trail: what subscriptions write in this database is not recorded a second time'

export async function readCatalogue(run: RunSql, schemas: readonly string[] | undefined): Promise<Catalogue> {
  const [where] = await run(
    `select coalesce(current_schema(), 'public') as schema, current_setting('server_version_num')::int as version,
       exists (select from pg_subscription_rel s join pg_class c on c.oid = s.srrelid where c.relnamespace = to_regnamespace('whodunit')) as brought`,
  )
  const defaultSchema = String(where!['schema'])
  const wanted = schemas?.length ? schemas : [defaultSchema]
  const tables = await run(
    `select c.oid::text as oid, n.nspname as schema, c.relname as name, c.relispartition as partition, c.relkind = 'f' as foreign,
       f.prosrc as text, f.proname as function, ours.names as triggers, fires.enabled, fires.always,
       (select max(a.attnum) from pg_attribute a where a.attrelid = c.oid) as last_column, c.relkind = 'p' as partitioned,
       case when c.relkind = 'f' then 'it is a foreign table'
         when c.relkind = 'p' or exists (select from pg_inherits i where c.oid in (i.inhrelid, i.inhparent)) then 'its rows are in several tables'
         when exists (select from pg_trigger u where u.tgrelid = c.oid and not u.tgisinternal and u.tgname not like '!whodunit%'
           and u.tgtype & 1 = 1 and u.tgtype & 2 = 0) then 'it has a trigger of its own after each row, whose writes would be recorded out of order'
         when exists (select from pg_subscription_rel s where s.srrelid = c.oid) then 'a subscription writes to it, which fires no trigger of statements'
       end as not_in_bulk,
       coalesce((select json_agg(a.attname order by k.place) from pg_index i, unnest(i.indkey::int2[]) with ordinality as k(attnum, place), pg_attribute a
         where i.indexrelid = best.indexrelid and a.attrelid = c.oid and a.attnum = k.attnum and k.place <= i.indnkeyatts), '[]')::text as key
     from pg_class c
     join pg_namespace n on n.oid = c.relnamespace
     left join (pg_trigger t join pg_proc f on f.oid = t.tgfoid and f.pronamespace = to_regnamespace('whodunit'))
       on t.tgrelid = c.oid and t.tgname = $2 and not t.tgisinternal and t.tgqual is null and t.tgattr = ''
     left join lateral (select json_agg(o.tgname order by o.tgname)::text as names
       from pg_trigger o where o.tgrelid = c.oid and o.tgfoid = f.oid and o.tgname like '!whodunit%' and not o.tgisinternal) ours on true
     -- with those of its partitions, which call the same function
     left join (select o.tgfoid, bool_and(o.tgenabled in ('O', 'A')) as enabled, bool_and(o.tgenabled = 'A') as always
       from pg_trigger o where o.tgname like '!whodunit%' group by o.tgfoid) fires on fires.tgfoid = f.oid
     left join lateral (select i.indexrelid from pg_index i where i.indrelid = c.oid and i.indisunique and i.indisvalid
       and i.indpred is null and i.indexprs is null
       and (i.indisprimary or not exists (select from pg_attribute a where a.attrelid = c.oid and a.attnum = any(i.indkey) and not a.attnotnull))
       order by i.indisprimary desc, i.indisreplident desc, i.indnkeyatts, i.indexrelid limit 1) best on true
     where c.relkind in ('r', 'p', 'f') and n.nspname = any($1) and n.nspname <> 'whodunit' and c.relpersistence <> 't'
     order by n.nspname <> $3, n.nspname, c.relname`,
    [wanted, triggerName, defaultSchema],
  )
  const version = Number(where!['version'])
  const columns = await readColumns(run, wanted, version >= 180_000)
  return {
    defaultSchema,
    notes: where!['brought'] === true ? [broughtNote] : [],
    tables: tables.map((row) => {
      const hidesTruncate = row['foreign'] === true && version < 160_000
      return toTable(row, defaultSchema, columns.get(String(row['oid'])) ?? [], hidesTruncate)
    }),
  }
}

/** The type below a domain, which decides how its values print and compare. */
export const baseType = `case t.typtype when 'd' then (
    with recursive below as (
      select t.typbasetype as type
      union all select b.typbasetype from below join pg_type b on b.oid = below.type where b.typtype = 'd')
    select b.oid from below join pg_type b on b.oid = below.type where b.typtype <> 'd') else t.oid end`

/** Types whose values have named parts, any of which may be secret. */
export const nestedType = `(b.typtype = 'c' or b.typname in ('_json', '_jsonb', 'hstore')
    or b.typcategory = 'A' and exists (select from pg_type e where e.oid = b.typelem and e.typtype = 'c'))`

/** The type of what is compared and printed: of a list, that of its elements. */
const elementType = `case when b.typcategory = 'A' and b.typelem <> 0 then b.typelem else b.oid end`

async function readColumns(
  run: RunSql,
  schemas: readonly string[],
  virtual: boolean,
): Promise<Map<string, CatalogueColumn[]>> {
  const rows = await run(
    `select a.attrelid::text as relation, a.attname as name, format_type(a.atttypid, a.atttypmod) as type, b.typname as base,
       case when t.typtype = 'b' and t.typnamespace = 'pg_catalog'::regnamespace then t.typname end as built_in,
       ${nestedType} as nested,
       (select case when e.typtype = 'e' then 'enum' else e.typname end from pg_type e where e.oid = ${elementType}) as element,
       (select e.typtype = 'e' or e.typname in ${settledTypes} from pg_type e where e.oid = ${elementType}) as settled,
       coalesce(co.collisdeterministic, true) as deterministic, a.atttypmod as modifier,
       ${virtual ? `a.attgenerated = 'v'` : 'false'} as virtual
     from pg_attribute a
     join pg_class c on c.oid = a.attrelid
     join pg_namespace n on n.oid = c.relnamespace
     join pg_type t on t.oid = a.atttypid
     join pg_type b on b.oid = ${baseType}
     left join pg_collation co on co.oid = a.attcollation
     where n.nspname = any($1) and c.relkind in ('r', 'p', 'f') and a.attnum > 0 and not a.attisdropped
     order by a.attrelid, a.attnum`,
    [schemas],
  )
  const byTable = new Map<string, CatalogueColumn[]>()
  for (const row of rows) {
    const relation = String(row['relation'])
    byTable.set(relation, [...(byTable.get(relation) ?? []), toColumn(row)])
  }
  return byTable
}

function toColumn(row: SqlRow): CatalogueColumn {
  const [base, element] = [String(row['base']), String(row['element'])]
  const form: ColumnForm = native.has(base)
    ? 'native'
    : texts.has(base)
      ? 'text'
      : base === 'json' || base === 'jsonb'
        ? 'json'
        : row['nested'] === true
          ? 'nested'
          : 'other'
  const limited = base === 'varchar' && Number(row['modifier']) > 0 && Number(row['modifier']) < 10_000
  return {
    name: String(row['name']),
    type: String(row['type']),
    ...(row['built_in'] === null ? {} : { builtIn: row['built_in'] as string }),
    form,
    exactEquality: exact.has(element) || (texts.has(element) && row['deterministic'] === true),
    unbounded:
      !native.has(base) &&
      !(exact.has(base) && base !== 'bytea' && base !== 'varbit') &&
      base !== 'numeric' &&
      !limited,
    settled: row['settled'] === true,
    virtual: row['virtual'] === true,
  }
}

function toTable(
  row: SqlRow,
  defaultSchema: string,
  columns: readonly CatalogueColumn[],
  hidesTruncate: boolean,
): CatalogueTable {
  const [schema, name] = [String(row['schema']), String(row['name'])]
  const { text } = row
  const triggers = JSON.parse((row['triggers'] as string | null) ?? '[]') as string[]
  return {
    schema,
    name,
    model: schema === defaultSchema ? name : `${schema}.${name}`,
    key: JSON.parse(String(row['key'])) as string[],
    columns,
    bookkeeping: isBookkeeping(name, columns),
    partition: row['partition'] === true,
    ...(row['last_column'] === null ? {} : { lastColumn: Number(row['last_column']) }),
    partitioned: row['partitioned'] === true,
    hidesTruncate,
    ...(row['not_in_bulk'] === null ? {} : { notInBulk: row['not_in_bulk'] as string }),
    // one trigger missing is as good as all: migrate makes them again
    installed:
      typeof text === 'string' && (hidesTruncate || triggers.includes(truncateTriggerName))
        ? {
            name: String(row['function']),
            text: comparable(text, triggers),
            enabled: row['enabled'] === true,
            ...(row['always'] === true ? {} : { leavesOut: 'what replication and replica roles write' }),
          }
        : null,
  }
}
