import { partSeparator, skipMark } from '../../core/internal.ts'

/** Where triggers take the context of a transaction from. */
export interface ContextSource {
  /** Of one row: skip, actor, request_id, tenant, context, tx. */
  readonly from: string
  /** Whether capture is skipped, as a condition on `whodunit_context`. While it is, the row is filled whatever the source. */
  readonly skips: string
  /** The number of the current transaction. */
  readonly transaction: string
  /** One row with the column `context`, in the form of the wire, by a statement that writes: only those carry it. */
  readonly probe: string
}

const mark = partSeparator.charCodeAt(0)
const wire = `coalesce(case when skip is not null then '${skipMark}' end, '') || coalesce(actor, '') || char(${mark}) || coalesce(request_id, '') || char(${mark}) || coalesce(tenant, '') || char(${mark}) || coalesce(context, '')`

/** The row that the driver fills at the first write of a transaction, and empties before it commits. */
export const rowContext: ContextSource = {
  from: 'whodunit_context',
  skips: 'skip is not null',
  transaction: '(select tx from whodunit_context where id = 1)',
  probe: `update whodunit_context set id = id where id = 1 returning ${wire} as context`,
}

/** What the driver's function answers: a list in JSON, which is taken apart once a row. */
const parts = ['skip', 'actor', 'request_id', 'tenant', 'context', 'tx']
const listed = `(select 1 as id, ${parts.map((part, index) => `json_extract(list, '$[${index}]') as ${part}`).join(', ')} from (select whodunit_context() as list limit 1))`

export const functionContext: ContextSource = {
  from: listed,
  skips: 'skip is not null',
  transaction: `json_extract(whodunit_context(), '$[5]')`,
  // triggers that read the row would not see what the function answers
  probe: `update whodunit_context set id = id where id = 1 and not exists (select 1 from sqlite_master where type = 'trigger'
    and name glob '!whodunit *' and instr(sql, 'whodunit_context()') = 0) returning (select ${wire} from ${listed}) as context`,
}
