import type { ClientBase } from 'pg'

/** A row as the texts of its columns. */
export type Row = Readonly<Record<string, string | null>>
export interface Table {
  readonly key: readonly string[]
  readonly rows: readonly Row[]
}

/** A row change as it is stored. */
export interface Change {
  readonly id: string
  readonly action: string
  readonly model: string
  readonly target_id: string | null
  readonly changes: string | null
}

/** Of a session that reads: values print as the trail holds them. */
export const settings = `set datestyle = 'ISO, YMD'; set intervalstyle = 'postgres'; set timezone = 'UTC'; set bytea_output = 'hex';
  set extra_float_digits = 1; set xmloption = 'content'; set lc_monetary = 'C'`

/** Every table of the schema, each value as its text. Columns that are computed when read are left out. */
export async function readTables(client: ClientBase): Promise<Map<string, Table>> {
  await client.query(settings)
  const { rows: tables } = await client.query<{ name: string; key: string[]; columns: string[] }>(`
    select c.relname as name,
      array(select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        and a.attgenerated <> 'v' order by a.attnum) as columns,
      coalesce((select array(select a.attname::text from unnest(i.indkey::int2[]) with ordinality k(n, place)
          join pg_attribute a on a.attrelid = c.oid and a.attnum = k.n order by place)
        from pg_index i where i.indrelid = c.oid and i.indisunique order by i.indisprimary desc limit 1), '{}') as key
    from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition`)
  const found = new Map<string, Table>()
  for (const { name, key, columns } of tables) {
    const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`
    const list = columns.map((column) => `${quoted(column)}::text as ${quoted(column)}`).join(', ')
    const { rows } = await client.query<Row>(`select ${list} from ${quoted(name)}`)
    found.set(name, { key, rows })
  }
  return found
}

/** A value of JSON as a text of a row; of a number, `source` is as it is written, not as JavaScript would write it. */
export type TextOf = (value: unknown, source: string) => unknown

const plainText: TextOf = (value, source) =>
  typeof value === 'number' ? source : typeof value === 'boolean' ? String(value) : value

/** How a database prints values in the trail, where not as texts of its own. */
export interface Reading {
  readonly textOf: TextOf
  /** A value of a row as a part of `target_id`. */
  keyText(value: string): string
  /** What of a change counts. */
  seen<T>(model: string, pairs: Readonly<Record<string, T>>): Readonly<Record<string, T>>
}

/** Applies changes to tables, in order; `faults` says where one does not fit what was there before it. */
export function rebuild(
  base: ReadonlyMap<string, Table>,
  changes: readonly Change[],
  reading: Partial<Reading> = {},
): { tables: Map<string, Row[]>; faults: string[] } {
  const faults: string[] = []
  const how: Reading = {
    textOf: plainText,
    keyText: (value) => value,
    seen: (_model, pairs) => pairs,
    ...reading,
  }
  const tables = new Map([...base].map(([name, table]) => [name, createState(table, how)]))
  for (const change of changes) {
    const state = tables.get(change.model)
    if (!state) {
      faults.push(`entry ${change.id} is of an unknown table ${change.model}`)
      continue
    }
    const fault = state.apply(change)
    if (fault)
      faults.push(`entry ${change.id}, ${change.action} of ${change.model} ${change.target_id}: ${fault}`)
  }
  return { tables: new Map([...tables].map(([name, state]) => [name, state.rows()])), faults }
}

function createState({ key, rows }: Table, { textOf, keyText, seen }: Reading) {
  const keyOf = (row: Row): string => {
    if (key.length === 0) return JSON.stringify(Object.entries(row).toSorted(([a], [b]) => (a < b ? -1 : 1)))
    const texts = key.map((column) => (row[column] == null ? null : keyText(row[column])))
    return texts.length === 1 ? texts[0]! : JSON.stringify(texts)
  }
  const normal = (id: string | null): string => (key.length > 1 ? JSON.stringify(JSON.parse(id!)) : id!)
  let stored = new Map<string, Row[]>()
  const put = (row: Row) => {
    const at = keyOf(row)
    stored.set(at, [...(stored.get(at) ?? []), row])
  }
  const take = (at: string): Row | undefined => {
    const [row, ...rest] = stored.get(at) ?? []
    if (rest.length > 0) stored.set(at, rest)
    else stored.delete(at)
    return row
  }
  for (const row of rows) put(row)
  return {
    rows: () => [...stored.values()].flat(),
    apply({ action, model, target_id, changes }: Change): string | undefined {
      if (action === 'TRUNCATE') {
        stored = new Map()
        return undefined
      }
      const pairs = seen(model, parse(changes!, textOf))
      const side = (index: 0 | 1): Row =>
        Object.fromEntries(Object.entries(pairs).map(([column, pair]) => [column, pair[index]]))
      if (action === 'CREATE') {
        const row = side(1)
        if (key.length > 0 && stored.has(keyOf(row))) return 'a row with this key is there already'
        if (key.length > 0 && keyOf(row) !== normal(target_id)) return 'the key is not the target'
        put(row)
        return undefined
      }
      const before = side(0)
      // without a key, a whole row is known by its values
      const row = take(key.length > 0 ? normal(target_id) : keyOf(before))
      if (!row) return 'there is no such row'
      const wrong = Object.keys(before).filter((column) => before[column] !== row[column])
      if (wrong.length > 0)
        return `before is not what was there: ${wrong.map((column) => `${column} ${row[column]} / ${before[column]}`).join(', ')}`
      if (action === 'UPDATE') put({ ...row, ...side(1) })
      else if (Object.keys(row).length !== Object.keys(before).length) return 'not every column is in it'
      return undefined
    },
  }
}

function parse(changes: string, textOf: TextOf): Record<string, [string | null, string | null]> {
  const revive = (_key: string, value: unknown, context?: { source?: string }) =>
    textOf(value, context?.source ?? '')
  return JSON.parse(changes, revive as never) as never
}
