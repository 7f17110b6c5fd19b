import type { TablePlan } from '../../capture/plan.ts'
import type { RunSql, SqlRow, UnrecordedCount, UnrecordedDialect } from '../dialect.ts'
import { clock, insertEntry } from './entry.ts'
import { literal } from './quote.ts'

/*
 * Changes that cannot be recorded and are let through. A handler around the work of a trigger tries to leave an entry
 * without values, and counts the change. Neither may fail. A warning would never leave the trigger.
 */

/**
 * What ends the transaction, or the statement, whoever catches it: a changed snapshot, memory, lock waits, deadlocks, kills.
 * The server itself hands most of them to no handler.
 */
const ends = [1020, 1037, 1038, 1041, 1205, 1213, 1317, 1614, 1637, 1969, 3024]

/** A note behind an error, which tells in which line of which trigger it came up. */
const stackTrace = 4094

interface Row {
  /** SQL of its key, where the work may fail before it has set `target`. */
  readonly key?: string | undefined
  /** Whether `target` is the row that the work is about. @default true */
  readonly target?: boolean
}

/** The work of a trigger, or a part of it, whose failure is let through where the policy says so. */
export function lettingThrough(
  plan: TablePlan,
  operation: 'INSERT' | 'UPDATE' | 'DELETE',
  work: string,
  { key, target = true }: Row = {},
): string {
  if (!plan.letsThrough) return work
  const model = literal(plan.model)
  return `  begin
    declare refused, entered bool default false;
    declare conditions, cause int;
    declare exit handler for ${ends.join(', ')} resignal;
    declare exit handler for sqlexception
    begin
      get diagnostics conditions = number;
      repeat
        get diagnostics condition conditions cause = mysql_errno;
        set conditions = conditions - 1;
      until conditions = 0 or cause <> ${stackTrace} end repeat;
      if refused then
        resignal;
      end if;
      ${
        key
          ? `begin
        declare exit handler for sqlexception begin end;
        set target = ifnull(target, ${key});
      end;
      `
          : ''
      }begin
        declare exit handler for ${ends.join(', ')} resignal;
        declare exit handler for sqlexception begin end;
        ${insertEntry(plan, { action: `'UNRECORDED'`, facts: false, lost: { operation, target } })}
        set entered = true;
      end;
      begin
        declare exit handler for ${ends.join(', ')} resignal;
        declare exit handler for sqlexception begin end;
        insert into whodunit_unrecorded (at, model, operation, cause, entered) values (${clock}, ${model}, '${operation}', cause, entered);
      end;
    end;
${work}
  end;`
}

/** Only appended to, so that no writer waits for another. */
export const unrecordedTable = (options: string): string => `create table if not exists whodunit_unrecorded (
      id bigint not null auto_increment primary key,
      at datetime(6) not null,
      model varchar(200) not null,
      operation varchar(20) not null,
      cause varchar(20) not null,
      entered tinyint not null) ${options}`

const moment = (at: string): string =>
  `cast(timestampdiff(microsecond, timestamp'1970-01-01 00:00:00', ${at}) div 1000 as char)`
const counted = `select model, operation, cause, entered, count(*) as changes, ${moment('min(at)')} as since, ${moment('max(at)')} as until
  from whodunit_unrecorded`
const grouped = 'group by model, operation, cause, entered order by model, operation, cause, entered'

export const unrecorded: UnrecordedDialect = {
  count: async (run) => countsOf(await run(`${counted} ${grouped}`)),
  take,
}

/** In pieces, by ids that are seen and locked: what others count meanwhile, or have not committed, stays. */
async function take(run: RunSql): Promise<UnrecordedCount[]> {
  const counts: UnrecordedCount[] = []
  for (;;) {
    const rows = await run('select id from whodunit_unrecorded order by id limit 5000 for update skip locked')
    if (rows.length === 0) return counts
    const ids = `id in (${rows.map(({ id }) => String(id)).join(', ')})`
    counts.push(...countsOf(await run(`${counted} where ${ids} ${grouped}`)))
    await run(`delete from whodunit_unrecorded where ${ids}`)
  }
}

function countsOf(rows: readonly SqlRow[]): UnrecordedCount[] {
  return rows.map((row) => ({
    model: String(row['model']),
    operation: String(row['operation']),
    cause: String(row['cause']),
    entered: Number(row['entered']) === 1,
    changes: Number(row['changes']),
    since: new Date(Number(row['since'])),
    until: new Date(Number(row['until'])),
  }))
}
