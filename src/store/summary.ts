import { sql } from 'kysely'
import {
  actorTypes,
  type AuditSummary,
  kinds,
  type SummaryCount,
  type SummaryQuery,
} from '../core/internal.ts'
import type { EntryRow, ReadDialect, Statement } from '../dialect/dialect.ts'
import { conditions } from './read.ts'

type Run = (statement: Statement) => Promise<readonly EntryRow[]>
type Counted = {
  readonly name: string | null
  readonly count: string | number
  readonly kind?: string
  readonly more?: string | null
}

/** Groups of a list. */
const longest = 20

/** Counts over the trail, by five grouped statements. */
export async function summarize(
  run: Run,
  read: ReadDialect,
  query: SummaryQuery & { readonly from: Date; readonly to: Date },
): Promise<AuditSummary> {
  const where = conditions(read, {
    since: query.from,
    until: query.to,
    ...(query.actor === undefined
      ? {}
      : {
          actors: actorTypes.some((type) => query.actor!.startsWith(`${type}:`))
            ? [query.actor]
            : actorTypes.map((type) => `${type}:${query.actor}`),
        }),
    ...(query.model === undefined ? {} : { models: [query.model] }),
    ...(query.tenant === undefined ? {} : { tenant: query.tenant }),
  })
  const group = async (by: readonly ReturnType<typeof sql>[]): Promise<Counted[]> => {
    const [name, more] = by
    let select = read.db
      .selectFrom(`${read.table} as e`)
      .select([sql`${name}`.as('name'), sql`${more ?? sql`null`}`.as('more'), sql`count(*)`.as('count')])
      .groupBy(by as never)
    for (const condition of where) select = select.where(condition)
    return (await run(select.compile())) as unknown as Counted[]
  }
  const kindsAndActions = await group([sql`e.kind`, sql`e.action`])
  const models = await group([sql`e.model`])
  const actors = await group([sql`e.actor`])
  const days = await group([sql`${read.day}`])
  const logins = await loginStatuses()
  const unresolved = await countUnresolved()

  async function loginStatuses(): Promise<Counted[]> {
    let select = read.db
      .selectFrom(`${read.table} as e`)
      .select([sql`${read.detail('status')}`.as('name'), sql`count(*)`.as('count')])
      .where(sql<boolean>`e.kind = 'login' and e.action = 'LOGIN'`)
      .groupBy(sql`${read.detail('status')}` as never)
    for (const condition of where) select = select.where(condition)
    return (await run(select.compile())) as unknown as Counted[]
  }
  async function countUnresolved(): Promise<number> {
    const settled = read.db
      .selectFrom(`${read.table} as done`)
      .select(sql`1`.as('one'))
      .where(sql<boolean>`done.about = e.ref and done.action = 'RESOLVED'`)
    let select = read.db
      .selectFrom(`${read.table} as e`)
      .select(sql`count(*)`.as('count'))
      .where(sql<boolean>`e.kind = 'system' and e.action <> 'RESOLVED'`)
      .where(({ not, exists }) => not(exists(settled as never)))
    for (const condition of where) select = select.where(condition)
    const [row] = (await run(select.compile())) as unknown as Counted[]
    return Number(row?.count ?? 0)
  }

  const byKind = Object.fromEntries(
    kinds.map((kind) => [kind, sum(kindsAndActions.filter(({ name }) => name === kind))]),
  )
  const ofAction = (kind: string, action: string): number =>
    sum(kindsAndActions.filter(({ name, more }) => name === kind && more === action))
  const ofStatus = (status: string): number => sum(logins.filter(({ name }) => name === status))
  return {
    since: query.from,
    until: query.to,
    total: sum(kindsAndActions),
    byKind: byKind as AuditSummary['byKind'],
    byAction: ranked(merge(kindsAndActions.map(({ more, count }) => ({ name: more ?? null, count })))),
    byModel: ranked(models),
    byActor: ranked(actors),
    byDay: days.map(toCount).toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    logins: { success: ofStatus('SUCCESS'), failed: ofStatus('FAILED'), blocked: ofStatus('BLOCKED') },
    exports: ofAction('export', 'EXPORT'),
    errors: ofAction('system', 'ERROR'),
    unresolved,
  }
}

function toCount({ name, count }: Counted): SummaryCount {
  return { name: name ?? '', count: Number(count) }
}

function sum(rows: readonly Counted[]): number {
  return rows.reduce((total, { count }) => total + Number(count), 0)
}

function merge(rows: readonly Counted[]): Counted[] {
  const totals = new Map<string | null, number>()
  for (const { name, count } of rows) totals.set(name, (totals.get(name) ?? 0) + Number(count))
  return [...totals].map(([name, count]) => ({ name, count }))
}

/** Longest first; what has no name (no model, no actor) is not a group. */
function ranked(rows: readonly Counted[]): SummaryCount[] {
  return rows
    .filter(({ name }) => name !== null)
    .map(toCount)
    .toSorted((a, b) => b.count - a.count || (a.name < b.name ? -1 : 1))
    .slice(0, longest)
}
