import type { TablePlan } from '../../capture/plan.ts'
import { AuditError } from '../../core/internal.ts'
import type { RunSql, ServerNotice, UnrecordedCount, UnrecordedDialect } from '../dialect.ts'
import { literal } from './quote.ts'
import { inBulk } from './triggers.ts'
import { factsOf } from './values.ts'

/*
 * Changes that cannot be recorded and are let through. The whole work of a capture function stands in one block more, whose
 * handler tries to leave an entry without values, counts the change, and warns the application. None of the three may fail.
 */

/** Errors by which the server ends a transaction, or wants it tried again: they are nobody's to catch. */
const ends = `when transaction_rollback or out_of_memory or operator_intervention then`

/** Tells our warning from all others: a warning, by its class. */
const noticeCode = '01WHO'

const warning = (model: string, cause: string): string =>
  `raise warning 'a change of % was not recorded (%)', ${model}, ${cause}
    using errcode = '${noticeCode}', table = ${model}, detail = ${cause}, hint = 'AUDIT: it was let through by the policy. See whodunit status.';`

/** Variables of a capture function that lets through. */
export function letThroughVariables(plan: TablePlan): string {
  return plan.letsThrough
    ? `  refused bool := false;  -- by the policy, which is no failure\n  cause text;\n  failed_in text;\n  failed_by text;\n  lost bigint := 1;\n`
    : ''
}

/** The end of a capture function: what becomes of a change that cannot be recorded. */
export function letThrough(plan: TablePlan): string {
  if (!plan.letsThrough) return ''
  const model = literal(plan.model)
  const [created, other] = [factsOf(plan, 'new').target, factsOf(plan, 'old').target]
  const rows = `if tg_level = 'STATEMENT' and tg_op = 'INSERT' then
        lost := (select count(*) from added);
      elsif tg_level = 'STATEMENT' and tg_op = 'DELETE' then
        lost := (select count(*) from gone);
      end if;`
  const key = `if tg_level = 'ROW' then
        target := case tg_op when 'INSERT' then ${created} else ${other} end;
      end if;`
  const tries = [...(inBulk(plan) ? [rows] : []), ...(created ? [key] : [])].map(
    (work) => `    begin
      ${work}
    exception ${ends} raise; when others then
      null;
    end;\n`,
  )
  return `exception ${ends} raise; when others then
    if refused then
      raise;
    end if;
    get stacked diagnostics failed_in = table_name, failed_by = constraint_name;
    cause := concat_ws(' ', sqlstate, nullif(concat_ws('.', nullif(failed_in, ''), nullif(failed_by, '')), ''));
${tries.join('')}    begin
      perform whodunit.let_through(${model}, tg_op, cause, lost, target, actor, request, tenant, context);
    exception ${ends} raise; when others then
      ${warning(model, 'cause')}
    end;
    return null;
`
}

/** What all capture functions do about a change that they let through. It warns once a transaction, table and cause. */
export const letThroughFunction = (
  settings: string,
): string => `create or replace function whodunit.let_through(
    about_model text, operation text, cause text, changes bigint, target text, actor text, request text, tenant text, context text)
  returns void language plpgsql security definer ${settings} as $$
  declare
    marker text := txid_current()::text || ' ' || about_model || ' ' || cause || e'\\n';
    known text := coalesce(current_setting('whodunit.let_through', true), '');
    entered bool := false;
  begin
    if changes = 0 then
      return;
    end if;
    begin
      insert into whodunit.change (kind, action, model, target_id, severity, details, actor, request_id, tenant, context)
      values ('change', 'UNRECORDED', about_model, target, 'high',
        json_build_object('operation', operation, 'cause', cause, 'changes', changes)::text, actor, request, tenant, context);
      entered := true;
    exception ${ends} raise; when others then
      null;
    end;
    begin
      insert into whodunit.unrecorded (model, operation, cause, entered, changes)
      values (about_model, operation, cause, entered, changes);
    exception ${ends} raise; when others then
      null;
    end;
    if position(marker in known) = 0 then
      ${warning('about_model', 'cause')}
      perform set_config('whodunit.let_through', known || marker, true);
    end if;
  end $$`

/** Only appended to, so that no writer waits for another. The key lets a publication of all tables take what is removed. */
export const unrecordedTable = `create table whodunit.unrecorded (
      id bigint generated always as identity primary key,
      at timestamptz not null default clock_timestamp(),
      model text not null,
      operation text not null,
      cause text not null,
      entered boolean not null,
      changes bigint not null
    )`

const counted = (
  from: string,
): string => `select model, operation, cause, entered, sum(changes)::text as changes,
    (extract(epoch from min(at)) * 1000)::bigint::text as since, (extract(epoch from max(at)) * 1000)::bigint::text as until
  from ${from} group by model, operation, cause, entered order by model, operation, cause, entered`

export const unrecorded: UnrecordedDialect = {
  count: async (run) => countsOf(run, counted('whodunit.unrecorded')),
  take: async (run) =>
    countsOf(run, `with taken as (delete from whodunit.unrecorded returning *) ${counted('taken')}`),
  heard: heardFailure,
}

async function countsOf(run: RunSql, sql: string): Promise<UnrecordedCount[]> {
  return (await run(sql)).map((row) => ({
    model: String(row['model']),
    operation: String(row['operation']),
    cause: String(row['cause']),
    entered: row['entered'] === true,
    changes: Number(row['changes']),
    since: new Date(Number(row['since'])),
    until: new Date(Number(row['until'])),
  }))
}

const meanings: readonly (readonly [codes: RegExp, meaning: string])[] = [
  [/^42501/, `the trail's owner lacks a right on the trail`],
  [/^(42P01|3F000|42883|42703)/, 'a part of the trail is missing or has another name'],
  [/^23/, 'a constraint refused the entry'],
  [/^53100/, 'no room is left for the trail'],
  [/^55P03/, 'the trail stayed locked'],
  [/^(58|XX)/, 'the trail cannot be read or written'],
  [/^(22|54)/, 'a value is too large, or of a form that cannot be recorded'],
]

function heardFailure({ code, table, detail }: ServerNotice): AuditError | undefined {
  if (code !== noticeCode) return undefined
  const meaning = meanings.find(([codes]) => codes.test(detail ?? ''))?.[1]
  return new AuditError(
    'AUDIT_CAPTURE_FAILED',
    `A change of ${table} was let through unrecorded (${detail}${meaning ? `: ${meaning}` : ''}).`,
    'Mend the cause and run: npx whodunit migrate. Until then npx whodunit status counts what is missing.',
  )
}
