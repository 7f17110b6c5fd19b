import type { TablePlan } from '../../capture/plan.ts'
import type { BackfillDialect, RunSql } from '../dialect.ts'
import { entryColumns, wholeRow } from './capture.ts'
import { literal, name } from './quote.ts'
import { keyText } from './values.ts'

/** The transaction of a batch is the only one that may write: no change can come between a row and its entry. */
export const backfill: BackfillDialect = {
  impossible({ key }) {
    if (key.length === 0) return 'it has no key, so its rows cannot be told apart'
    const masked = key.find(({ redaction }) => redaction !== 'keep')
    return masked && `its key ${masked.name} is masked, so its rows cannot be told apart`
  },

  async batch(run, plan, { cursor, limit, context }) {
    const table = name(plan.table.name)
    const key = keyText(plan, 'x')
    const columns = entryColumns(plan, { ...wholeRow(plan, 'x', 'CREATE'), action: `'SNAPSHOT'` })
    const insert = async (where: string, parameters: readonly unknown[]): Promise<number> => {
      const parts = [context.actor, context.request, context.tenant, context.rest].map((part) => part || null)
      const made = await run(
        `insert into whodunit_entry (${columns.map(([column]) => column).join(', ')}, actor, request_id, tenant, context)
        select ${columns.map(([, value]) => value).join(', ')}, ?, ?, ?, ? from ${table} x where ${where} returning id`,
        [...parts, ...parameters],
      )
      return made.length
    }
    if (!(await hasRowid(run, plan))) {
      const made = await insert(`${open(plan, key)} limit ${limit}`, [])
      return { next: made === limit ? '' : null, made, again: null }
    }
    const after = cursor === null ? [] : [cursor]
    const behind = cursor === null ? 'true' : 'x._rowid_ > cast(? as integer)'
    const [last] = await run(
      `select cast(max(row) as text) as row from (select x._rowid_ as row from ${table} x where ${behind} order by x._rowid_ limit ${limit})`,
      after,
    )
    const upto = last?.['row']
    if (typeof upto !== 'string') {
      // a row may have moved to where the table was gone through already
      const made = await insert(`${open(plan, key)} limit ${limit}`, [])
      return { next: made === limit ? cursor : null, made, again: null }
    }
    const made = await insert(
      `${behind} and x._rowid_ <= cast(? as integer) and ${open(plan, key)} order by x._rowid_`,
      [...after, upto],
    )
    return { next: upto, made, again: null }
  },
}

async function hasRowid(run: RunSql, plan: TablePlan): Promise<boolean> {
  const rows = await run(`select 1 from pragma_table_list where schema = 'main' and name = ? and wr = 0`, [
    plan.table.name,
  ])
  return rows.length > 0
}

function open(plan: TablePlan, key: string): string {
  return `coalesce((select e.action from whodunit_entry e where e.model = ${literal(plan.model)} and e.target_id = ${key}
    and e.kind = 'change' and e.action in ('CREATE', 'SNAPSHOT', 'DELETE') order by e.id desc limit 1), 'DELETE') = 'DELETE'`
}
