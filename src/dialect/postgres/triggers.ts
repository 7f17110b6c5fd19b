import { createHash } from 'node:crypto'
import type { TablePlan } from '../../capture/plan.ts'
import { dollarQuote, name, table } from './quote.ts'

/** Sorts before the triggers of people, so that what they change in turn is recorded after, in order. */
export const triggerName = '!whodunit'
export const truncateTriggerName: string = `${triggerName}_truncate`

/** A trigger of a table: its name, and when it fires. */
interface Trigger {
  readonly name: string
  readonly fires: string
}

/** The triggers that capture a table. All of them call its one function. */
function triggersOf(plan: TablePlan): readonly Trigger[] {
  const truncate = plan.truncateRows ? 'before' : 'after'
  const statement = (event: string, rows: string): Trigger => ({
    name: `${triggerName}_${event}`,
    fires: `after ${event} on ${table(plan.table)} referencing ${rows} for each statement`,
  })
  return [
    {
      name: triggerName,
      fires: `after ${inBulk(plan) ? 'update' : 'insert or update or delete'} on ${table(plan.table)} for each row`,
    },
    ...(inBulk(plan)
      ? [statement('delete', 'old table as gone'), statement('insert', 'new table as added')]
      : []),
    ...(plan.table.hidesTruncate
      ? []
      : [
          {
            name: truncateTriggerName,
            fires: `${truncate} truncate on ${table(plan.table)} for each statement`,
          },
        ]),
  ]
}

/** Why a table is not captured by statement though the policy asks for it. */
export function whyNotInBulk(plan: TablePlan): string | undefined {
  return plan.reasonRequired ? 'each change needs a reason' : plan.table.notInBulk
}

export function inBulk(plan: TablePlan): boolean {
  return plan.bulk && !whyNotInBulk(plan)
}

/** What tells one capture from another: the text of the function, and the triggers that call it. */
export function comparable(body: string, triggers: readonly string[]): string {
  return `${body}\n-- ${triggers.toSorted().join(', ')}`
}

/** The function of a table's trigger: readable in the catalogue, within the 63 bytes of a name. */
export function functionName(of: { readonly schema: string; readonly name: string }): string {
  const full = `capture ${of.schema}.${of.name}`
  if (Buffer.byteLength(full) <= 63) return full
  const hash = createHash('sha256').update(full).digest('hex').slice(0, 10)
  return `${Buffer.from(full)
    .subarray(0, 50)
    .toString()
    .replace(/\uFFFD+$/, '')} ${hash}`
}

/** The names of the triggers as planned. */
export function triggerNames(plan: TablePlan): readonly string[] {
  return triggersOf(plan).map((trigger) => trigger.name)
}

/** The triggers of a table as planned, and none else of ours. */
export function createTriggers(plan: TablePlan): readonly string[] {
  const call = `execute function whodunit.${name(functionName(plan.table))}()`
  const planned = triggersOf(plan)
  const left = installedTriggers(plan).filter((old) => !planned.some((trigger) => trigger.name === old))
  return [
    ...left.map((trigger) => `drop trigger ${name(trigger)} on ${table(plan.table)}`),
    ...planned.map((trigger) => `create or replace trigger ${name(trigger.name)} ${trigger.fires} ${call}`),
    ...enableTriggers(plan),
  ]
}

function installedTriggers({ table: { installed } }: TablePlan): string[] {
  return installed ? installed.text.slice(installed.text.lastIndexOf('\n-- ') + 4).split(', ') : []
}

/** To record the rows that a TRUNCATE removes, the owner of the trail has to read them. */
export function grantRows({ truncateRows, table: of }: TablePlan): readonly string[] {
  if (!truncateRows) return []
  const grants = `grant usage on schema ${name(of.schema)} to whodunit_owner; grant select on ${table(of)} to whodunit_owner;`
  const block = `begin if exists (select from pg_roles where rolname = 'whodunit_owner') then ${grants} end if; end`
  return [`do ${dollarQuote(block)}`]
}

/** Whether the triggers that stand are those that are planned, so that to replace the function is enough. */
export function hasTriggers(plan: TablePlan): boolean {
  return (
    plan.table.installed?.name === functionName(plan.table) &&
    installedTriggers(plan).join() === triggerNames(plan).toSorted().join()
  )
}

/** Always: also for what replication applies, and for a session that plays a replica. */
export function enableTriggers(plan: TablePlan): readonly string[] {
  const enabled = triggerNames(plan).map((trigger) => `enable always trigger ${name(trigger)}`)
  return [`alter table ${table(plan.table)} ${enabled.join(', ')}`]
}

const everyTrigger = ['', '_delete', '_insert', '_truncate'].map((event) => triggerName + event)

export function dropCapture(of: { readonly schema: string; readonly name: string }): readonly string[] {
  return everyTrigger.map((trigger) => `drop trigger if exists ${name(trigger)} on ${table(of)}`)
}

/** Removes the functions that no trigger calls any more. */
export const sweep = `do $$ declare unused regprocedure; begin
  for unused in select p.oid from pg_proc p where p.pronamespace = 'whodunit'::regnamespace and p.proname like 'capture %'
    and not exists (select from pg_trigger t where t.tgfoid = p.oid)
  loop execute format('drop function %s', unused); end loop; end $$`
