import type { TablePlan } from '../../capture/plan.ts'
import { lineSeparator, partSeparator, restLines } from '../../core/internal.ts'
import { literal } from './quote.ts'

const separator = literal(partSeparator)
const line = literal(lineSeparator)

/** Text that is compared byte by byte, whatever the collations of database and session are. */
export const textType = 'character set utf8mb4 collate utf8mb4_bin'

/**
 * What every trigger begins with. The separators behind the context give it all its parts, also where somebody set it by
 * hand. The token tells transactions apart: drivers give one, else each statement is taken for a transaction of its own,
 * since a trigger cannot see where one ends.
 */
export const declarations: string = `declare context longtext ${textType} default concat(ifnull(@whodunit_context, ''), ${literal(partSeparator.repeat(3))});
  declare token varchar(64) ${textType} default ifnull(@whodunit_transaction, now(6));
  declare action varchar(20) ${textType};
  declare changes, ignored, piece, target, moved, label, subject longtext ${textType};
  declare drift bool default false;`

/** A part of a context with all its separators. */
function part(context: string, place: number): string {
  const upTo = `substring_index(${context}, ${separator}, ${place})`
  return place === 1 ? upTo : `substring_index(${upTo}, ${separator}, -1)`
}

/** A part of the context as it is stored: too long a text must not fail the application's write. */
const stored = (place: 1 | 2 | 3 | 4): string =>
  `left(nullif(${part('context', place)}, ''), ${place === 4 ? 20_000 : 200})`

/** The line of a stored context, as SQL. Total: text of any form has an answer. */
export function contextLine(context: string, which: (typeof restLines)[number]): string {
  const padded = `concat(${context}, ${literal(lineSeparator.repeat(restLines.length))})`
  const upTo = `substring_index(${padded}, ${line}, ${restLines.indexOf(which) + 1})`
  return `nullif(substring_index(${upTo}, ${line}, -1), '')`
}

/** The clock at the write, in UTC: `sysdate` is the clock in the session's zone, the other two tell its distance. */
export const clock = 'sysdate(6) + interval timestampdiff(second, now(), utc_timestamp()) second'

/** Who signed in, without the host, which is an address. */
export const role = `substring_index(user(), '@', 1)`

/** What differs between the entries that a trigger writes. */
export interface EntryColumns {
  readonly action: string
  readonly facts?: boolean
  /** Of a change that could not be recorded: `cause` is a variable. */
  readonly lost?: { readonly operation: string; readonly target: boolean }
}

/**
 * Writes an entry of the trigger's variables, and remembers the first of a transaction, which gives it its name. A context
 * is taken apart once for all the rows in a row that have it.
 */
export function insertEntry(plan: TablePlan, { action, facts = true, lost }: EntryColumns): string {
  const address = plan.addresses
    ? `if(ifnull(@whodunit_context, '') in ('', '-'), substring_index(user(), '@', -1), null)`
    : 'null'
  const tags = plan.tags.length > 0 ? `'tags', json_array(${plan.tags.map(literal).join(', ')})` : ''
  const drifted = `json_object(${tags}${tags ? ', ' : ''}'drifted', true)`
  const details = facts ? `if(drift, ${drifted}, ${tags ? `json_object(${tags})` : 'null'})` : 'null'
  const columns: [string, string][] = [
    ['at', clock],
    ['xid', 'if(binary @whodunit_token <=> binary token, @whodunit_tx, null)'],
    ['kind', `'change'`],
    ['action', action],
    ['model', literal(plan.model)],
    ...(facts
      ? ([
          ['target_id', 'target'],
          ['moved_to', 'moved'],
          ['label', 'left(label, 200)'],
          ['changes', `concat('{', substr(concat(changes, ifnull(ignored, '')), 2), '}')`],
          ['subject', 'left(subject, 200)'],
          ['category', plan.category === null ? 'null' : literal(plan.category)],
          ['severity', plan.severity === null ? 'null' : literal(plan.severity)],
          ['details', details],
        ] satisfies [string, string][])
      : []),
    ...(lost
      ? ([
          ['target_id', lost.target ? 'target' : 'null'],
          ['severity', `'high'`],
          ['details', `json_object('operation', '${lost.operation}', 'cause', concat(cause), 'changes', 1)`],
        ] satisfies [string, string][])
      : []),
    ['actor', '@whodunit_actor'],
    ['request_id', '@whodunit_request'],
    ['tenant', '@whodunit_tenant'],
    ['context', '@whodunit_rest'],
    ['role', role],
    ['address', address],
  ]
  const used = columns.filter(([, value]) => value !== 'null')
  return `if not binary @whodunit_taken <=> binary context then
    set @whodunit_actor = ${stored(1)}, @whodunit_request = ${stored(2)}, @whodunit_tenant = ${stored(3)},
      @whodunit_rest = ${stored(4)}, @whodunit_taken = context;
  end if;
  insert into whodunit_entry (${used.map(([column]) => column).join(', ')})
    values (${used.map(([, value]) => value).join(', ')});
  if not binary @whodunit_token <=> binary token then
    set @whodunit_tx = last_insert_id(), @whodunit_token = token;
  end if;`
}

export function requireReason(plan: TablePlan): string {
  if (!plan.reasonRequired) return ''
  const message = `AUDIT: a change of ${plan.model} needs a reason: give one by audit.withContext({ reason })`
  return `  if ${contextLine(part('context', 4), 'reason')} is null then
    ${plan.letsThrough ? 'set refused = true;\n    ' : ''}set piece = ${literal(message.slice(0, 128))};
    signal sqlstate '45000' set message_text = piece;
  end if;
`
}
