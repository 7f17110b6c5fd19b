import { isBookkeeping } from '../../capture/bookkeeping.ts'
import type { Catalogue, CatalogueColumn, CatalogueTable, ColumnForm } from '../../capture/catalogue.ts'
import type { RunSql, SqlRow } from '../dialect.ts'
import { truncateTriggerName, triggerName } from './capture.ts'

const native = new Set(['bool', 'int2', 'int4', 'float4', 'float8'])
/** Types whose `=` is the equality of their images. All others are compared as stored. */
const exact = new Set(['bool', 'int2', 'int4', 'int8', 'oid', 'uuid', 'date', 'time', 'timestamp', 'timestamptz', 'inet',
  'cidr', 'macaddr', 'macaddr8', 'bytea', 'bit', 'varbit', 'name', 'pg_lsn', 'xid8']) // prettier-ignore
/** Exact unless the column's collation takes different texts for equal. */
const texts = new Set(['text', 'varchar'])

export async function readCatalogue(run: RunSql, schemas: readonly string[] | undefined): Promise<Catalogue> {
  const [where] = await run(
    `select coalesce(current_schema(), 'public') as schema, current_setting('server_version_num')::int >= 180000 as virtual`,
  )
  const defaultSchema = String(where!['schema'])
  const wanted = schemas?.length ? schemas : [defaultSchema]
  const tables = await run(
    `select c.oid::text as oid, n.nspname as schema, c.relname as name, c.relispartition as partition,
       f.prosrc as text, f.proname as function, t.tgenabled::text as enabled, tt.tgenabled::text as truncate_enabled,
       coalesce((select json_agg(a.attname order by k.place) from pg_index i, unnest(i.indkey::int2[]) with ordinality as k(attnum, place), pg_attribute a
         where i.indexrelid = best.indexrelid and a.attrelid = c.oid and a.attnum = k.attnum and k.place <= i.indnkeyatts), '[]')::text as key
     from pg_class c
     join pg_namespace n on n.oid = c.relnamespace
     left join pg_trigger t on t.tgrelid = c.oid and t.tgname = $2 and not t.tgisinternal
     left join pg_proc f on f.oid = t.tgfoid
     left join pg_trigger tt on tt.tgrelid = c.oid and tt.tgname = $3 and not tt.tgisinternal
     left join lateral (select i.indexrelid from pg_index i where i.indrelid = c.oid and i.indisunique and i.indisvalid
       and i.indpred is null and i.indexprs is null
       and (i.indisprimary or not exists (select from pg_attribute a where a.attrelid = c.oid and a.attnum = any(i.indkey) and not a.attnotnull))
       order by i.indisprimary desc, i.indisreplident desc, i.indnkeyatts, i.indexrelid limit 1) best on true
     where c.relkind in ('r', 'p') and n.nspname = any($1) and n.nspname <> 'whodunit' and c.relpersistence <> 't'
     order by n.nspname <> $4, n.nspname, c.relname`,
    [wanted, triggerName, truncateTriggerName, defaultSchema],
  )
  const columns = await readColumns(run, wanted, where!['virtual'] === true)
  return {
    defaultSchema,
    tables: tables.map((row) => toTable(row, defaultSchema, columns.get(String(row['oid'])) ?? [])),
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

async function readColumns(
  run: RunSql,
  schemas: readonly string[],
  virtual: boolean,
): Promise<Map<string, CatalogueColumn[]>> {
  const rows = await run(
    `select a.attrelid::text as relation, a.attname as name, format_type(a.atttypid, a.atttypmod) as type, b.typname as base, t.typtype = 'd' as domain,
       ${nestedType} as nested,
       coalesce(co.collisdeterministic, true) as deterministic, a.atttypmod as modifier,
       ${virtual ? `a.attgenerated = 'v'` : 'false'} as virtual
     from pg_attribute a
     join pg_class c on c.oid = a.attrelid
     join pg_namespace n on n.oid = c.relnamespace
     join pg_type t on t.oid = a.atttypid
     join pg_type b on b.oid = ${baseType}
     left join pg_collation co on co.oid = a.attcollation
     where n.nspname = any($1) and c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped
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
  const base = String(row['base'])
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
    form,
    exactEquality: exact.has(base) || (texts.has(base) && row['deterministic'] === true),
    unbounded:
      !native.has(base) &&
      !(exact.has(base) && base !== 'bytea' && base !== 'varbit') &&
      base !== 'numeric' &&
      !limited,
    domain: row['domain'] === true,
    virtual: row['virtual'] === true,
  }
}

function toTable(row: SqlRow, defaultSchema: string, columns: readonly CatalogueColumn[]): CatalogueTable {
  const [schema, name] = [String(row['schema']), String(row['name'])]
  const text = row['text']
  return {
    schema,
    name,
    model: schema === defaultSchema ? name : `${schema}.${name}`,
    key: JSON.parse(String(row['key'])) as string[],
    columns,
    bookkeeping: isBookkeeping(name, columns),
    partition: row['partition'] === true,
    installed:
      typeof text === 'string'
        ? {
            name: String(row['function']),
            text,
            enabled:
              row['enabled'] !== 'D' && row['enabled'] !== 'R' && (row['truncate_enabled'] ?? 'O') !== 'D',
          }
        : null,
  }
}
