import type { TablePlan } from '../../capture/plan.ts'
import type { BackfillDialect, RunSql } from '../dialect.ts'
import { baseType } from './catalogue.ts'
import { literal, name, table } from './quote.ts'
import { settings as printing } from './settings.ts'
import { constants, factsOf, keyText, joinedByOperators, wholeRow } from './values.ts'

/** Where a backfill of one table stands. */
interface Cursor {
  /** The types of the key's columns, as casts. */
  readonly types: readonly string[]
  readonly partitioned: boolean
  /** How many keys of the table had moved when this pass over it began. */
  readonly since: string
  readonly passes: number
  /** Keys as texts: behind the one, up to the other where that is known. */
  readonly after: readonly string[] | null
  readonly upto: readonly string[] | null
}

/** A key that moves while its table is gone through may be missed; then the table is gone through again. */
const mostPasses = 3

export const backfill: BackfillDialect = {
  impossible({ key }) {
    if (key.length === 0) return 'it has no key, so its rows cannot be told apart'
    const masked = key.find(({ redaction }) => redaction !== 'keep' && redaction !== 'hash')
    return masked && `its key ${masked.name} is masked, so its rows cannot be told apart`
  },

  async batch(run, plan, { cursor, limit, context, wait }) {
    await run(settings(plan))
    if (wait) await run(`set local lock_timeout = '5s'`)
    const from = cursor === null ? await begin(run, plan) : (JSON.parse(cursor) as Cursor)
    const page = from.upto ? { upto: from.upto, rows: limit } : await nextPage(run, plan, from, limit)
    if (!page) {
      const again = from.passes < mostPasses && (await keysMoved(run, plan, from.since))
      return {
        next: again ? JSON.stringify({ ...(await begin(run, plan)), passes: from.passes + 1 }) : null,
        made: 0,
        again: null,
      }
    }
    const range = { ...from, upto: page.upto }
    const within = between(plan, range)
    const entry = entryOf(plan, within.parameters.length)
    const [row] = await run(
      `with made as (insert into whodunit.entry (${Object.keys(entry).join(', ')}) select ${Object.values(entry).join(', ')}
        from ${source(plan, range)} where ${within.sql} and ${open(plan)}
        ${wait ? `order by ${keyColumns(plan)} limit 1 for share of t` : 'for share of t skip locked'} returning 1)
      select count(*)::int as made from made`,
      [...within.parameters, context.actor, context.request, context.tenant, context.rest],
    )
    const made = Number(row!['made'])
    const left = made < page.rows && (await anyOpen(run, plan, range))
    return {
      next: JSON.stringify({ ...from, after: page.upto, upto: null }),
      made,
      again: left ? JSON.stringify(range) : null,
    }
  },
}

/**
 * Settings of the transaction: values print as they do in triggers, and no foreign operators get in. The schema of a
 * key's type (citext) has to stay in the path, for that is where its operators are.
 */
function settings(plan: TablePlan): string {
  const types = `select string_agg(distinct quote_ident(n.nspname), ', ') from pg_catalog.pg_attribute a
    join pg_catalog.pg_type t on t.oid = a.atttypid join pg_catalog.pg_type b on b.oid = ${baseType}
    join pg_catalog.pg_namespace n on n.oid = b.typnamespace
    where a.attrelid = ${literal(table(plan.table))}::regclass and a.attname = any(${keyNames(plan)}) and b.typtype = 'b' and n.nspname <> 'pg_catalog'`
  // rows that are hidden from this role are an error, not left out
  const pinned = [...printing.map(([, setting, value]) => [setting, value]), ['row_security', 'off']]
  return `select set_config('search_path', concat_ws(', ', 'pg_catalog', (${types}), 'pg_temp'), true), ${pinned
    .map(([setting, value]) => `set_config('${setting}', '${value}', true)`)
    .join(', ')}`
}

async function begin(run: RunSql, plan: TablePlan): Promise<Cursor> {
  const [row] = await run(
    `select c.relkind = 'p' as partitioned, (select count(*) from whodunit.moved m where m.model = ${literal(plan.model)})::text as since,
      (select json_agg(format_type(a.atttypid, a.atttypmod) order by array_position(${keyNames(plan)}, a.attname::text))
        from pg_attribute a where a.attrelid = c.oid and a.attname = any(${keyNames(plan)}))::text as types
    from pg_class c where c.oid = ${literal(table(plan.table))}::regclass`,
  )
  return {
    types: JSON.parse(String(row!['types'])) as string[],
    partitioned: row!['partitioned'] === true,
    since: String(row!['since']),
    passes: 1,
    after: null,
    upto: null,
  }
}

async function nextPage(
  run: RunSql,
  plan: TablePlan,
  from: Cursor,
  limit: number,
): Promise<{ upto: readonly string[]; rows: number } | undefined> {
  const keys = plan.key.map(({ name: column }) => `t.${name(column)}`)
  const within = between(plan, from)
  const [row] = await run(
    `with page as materialized (select ${keys.join(', ')} from ${source(plan, from)} where ${within.sql}
      order by ${keyColumns(plan)} limit ${limit})
    select array_to_json(array[${keys.map((key) => `${key}::text`).join(', ')}])::text as upto, (select count(*)::int from page) as rows
    from page t order by ${keys.map((key) => `${key} desc`).join(', ')} limit 1`,
    within.parameters,
  )
  return row && { upto: JSON.parse(String(row['upto'])) as string[], rows: Number(row['rows']) }
}

/** Whether rows between the two keys are still without a beginning: those that others hold locked. */
async function anyOpen(run: RunSql, plan: TablePlan, range: Cursor): Promise<boolean> {
  const within = between(plan, range)
  const [row] = await run(
    `select exists (select from ${source(plan, range)} where ${within.sql} and ${open(plan)}) as left`,
    within.parameters,
  )
  return row!['left'] === true
}

async function keysMoved(run: RunSql, plan: TablePlan, since: string): Promise<boolean> {
  const [row] = await run(`select count(*) > $2::bigint as moved from whodunit.moved where model = $1`, [
    plan.model,
    since,
  ])
  return row!['moved'] === true
}

/** The table's own rows: those of tables that inherit from it are recorded under their own names. */
function source(plan: TablePlan, { partitioned }: Cursor): string {
  return `${partitioned ? '' : 'only '}${table(plan.table)} as t`
}

function between(plan: TablePlan, { types, after, upto }: Cursor): { sql: string; parameters: string[] } {
  const parameters: string[] = []
  const compare = (operator: string, key: readonly string[] | null): string[] => {
    if (!key) return []
    const given = key.map((text, index) => `$${parameters.push(text)}::text::${types[index]}`)
    return [`(${keyColumns(plan)}) ${operator} (${given.join(', ')})`]
  }
  const conditions = [...compare('>', after), ...compare('<=', upto)]
  return { sql: conditions.join(' and ') || 'true', parameters }
}

/** Whether the row's history has no beginning: none at all, or none since a row with this key was last deleted. */
function open(plan: TablePlan): string {
  const key = keyText(plan, 't')
  return `coalesce((select e.action from whodunit.entry e where e.model = ${literal(plan.model)}
    and e.target_id = ${key}
    and e.kind = 'change' and e.action in ('CREATE', 'SNAPSHOT', 'DELETE') order by e.id desc limit 1), 'DELETE') = 'DELETE'`
}

/** What the trigger stores for a new row, with the context as parameters behind the `given` ones. */
function entryOf(plan: TablePlan, given: number): Record<string, string> {
  const { target, label, subject } = factsOf(plan, 't')
  const context = ['actor', 'request_id', 'tenant', 'context'].map((column, index) => [
    column,
    `nullif($${given + index + 1}, '')`,
  ])
  return {
    kind: `'change'`,
    action: `'SNAPSHOT'`,
    model: literal(plan.model),
    target_id: target!,
    ...(label ? { label } : {}),
    changes: joinedByOperators(wholeRow(plan, 'new', 't')),
    ...(subject ? { subject } : {}),
    ...constants(plan),
    ...(Object.fromEntries(context) as Record<string, string>),
  }
}

function keyColumns(plan: TablePlan): string {
  return plan.key.map((column) => `t.${name(column.name)}`).join(', ')
}

function keyNames(plan: TablePlan): string {
  return `array[${plan.key.map((column) => literal(column.name)).join(', ')}]::text[]`
}
