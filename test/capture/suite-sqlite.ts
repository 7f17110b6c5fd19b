import type { CaptureSql, Fault } from '../../src/testing/index.ts'
import { partsOf } from '../../src/driver/base/sqlite/carrier.ts'

/** What SQLite gives to the contract of capture, over whatever client. */
export const sqliteSql: CaptureSql = {
  placeholder: () => '?',
  autoKey: 'id integer primary key',
  view: 'whodunit_entries',
  ignoring: (into) => `insert or ignore ${into}`,
  // SQLite refuses DROP COLUMN while a trigger names the column; this is what migration tools do
  dropColumn: (table, _column, rest) => [
    `create table new_${table} (${rest.join(', ')})`,
    `insert into new_${table} select ${rest.map((column) => column.split(' ')[0]).join(', ')} from ${table}`,
    `drop table ${table}`,
    `alter table new_${table} rename to ${table}`,
  ],
  false: 0,
  clock: 1,
  can: { hash: false, recordUnknownColumns: false, recordCascades: true, truncate: false, report: false },
  faults: { noUpdates: fault(`new.action = 'UPDATE'`), noChanges: fault(`new.kind = 'change'`) },
  values: [
    ['integer', '-2147483648', -2_147_483_648],
    ['integer', '42', 42],
    ['integer', '-9223372036854775808', '-9223372036854775808'],
    ['integer', `'no number'`, 'no number'],
    ['boolean', 'true', 1],
    ['real', '1e-7', 1e-7],
    ['real', '5', 5],
    ['real', '9e999', 'Infinity'],
    ['real', '-9e999', '-Infinity'],
    ['numeric(10,4)', '1.1', 1.1],
    ['decimal', '12345678901234567890', 12_345_678_901_234_567_000],
    ['varchar(3)', `'it''s longer'`, "it's longer"],
    ['text', `''`, ''],
    ['text', '7', '7'],
    ['blob', `x'00ff27'`, { $: 'blob', hex: '00FF27' }],
    ['text', `x'00ff27'`, { $: 'blob', hex: '00FF27' }],
    ['', '1.0', 1],
    ['any', `'x'`, 'x'],
    ['datetime', `'2024-02-03 04:05:06'`, '2024-02-03 04:05:06'],
    ['json', `'{"b":1,"a":1.0}'`, '{"b":1,"a":1.0}'],
    ['text', `'a' || char(0) || 'b'`, 'a\u0000b'],
  ],
}

/** Everything that migrate could leave, as one text. */
export const sqliteState = `select group_concat(type || name || coalesce(sql, ''), char(10)) as everything from (select * from sqlite_master order by type, name)`

/** Puts a context in by hand, as anybody may who writes SQL. */
export function byHand(
  context: string,
  run: (sql: string, parameters?: unknown[]) => unknown,
  statements: readonly string[],
): void {
  run('begin')
  run(
    'update whodunit_context set skip = ?, actor = ?, request_id = ?, tenant = ?, context = ? where id = 1',
    partsOf(context),
  )
  for (const sql of statements) run(sql)
  run(
    'update whodunit_context set skip = null, actor = null, request_id = null, tenant = null, context = null where id = 1',
  )
  run('commit')
}

function fault(condition: string): Fault {
  return {
    does: [
      `create trigger fault before insert on whodunit_entry when ${condition} begin select raise(abort, 'broken'); end`,
    ],
    mends: ['drop trigger fault'],
    cause: 'broken',
  }
}
