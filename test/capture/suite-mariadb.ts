import type { CaptureSql, Fault } from '../../src/testing/index.ts'

/** What MariaDB gives to the contract of capture, over whatever client. */
export const mariadbSql: CaptureSql = {
  placeholder: () => '?',
  quote: (name) => `\`${name.replaceAll('`', '``')}\``,
  autoKey: 'id integer auto_increment primary key',
  upsert: 'on duplicate key update n = values(n)',
  ignoring: (into) => `insert ignore ${into}`,
  // assignments are done one after another, each by the values that the last has left
  swap: 'update item i join (select * from item) o on o.id = i.id set i.a = o.b, i.b = o.a, i.c = o.c * 10 + 1, i.d = o.d',
  view: 'whodunit_entries',
  false: 0,
  can: { hash: true, recordUnknownColumns: false, recordCascades: true, truncate: false, report: true },
  faults: { noUpdates: fault(`action <> 'UPDATE'`), noChanges: fault(`kind <> 'change'`) },
  // names of tables and columns may hold letters of the first plane alone
  oddNames: [`we"ird $$ t'able`, `c"ol $1`, `a'b\\c`, 'select', 'c`ö日l {"x":[1]}', '%s %d \\n', 'old'],
  values: [
    ['boolean', 'true', 1],
    ['integer', '-2147483648', -2_147_483_648],
    ['int unsigned', '4294967295', 4_294_967_295],
    ['int(5) zerofill', '7', 7],
    ['bigint', '42', '42'],
    ['bigint unsigned', '18446744073709551615', '18446744073709551615'],
    ['decimal(10,4)', '1.1', '1.1000'],
    ['float', '0.1', 0.1],
    ['float', '16777215', 16_777_215],
    ['double', '1e-7', 1e-7],
    ['double', '0.1 + 0.2e0', 0.1 + 0.2],
    ['bit(3)', `b'101'`, 5],
    ['bit(64)', `b'${'1'.repeat(64)}'`, '18446744073709551615'],
    ['year', '2024', 2024],
    ['varchar(10)', `'it''s'`, "it's"],
    ['char(10)', `'a'`, 'a'],
    ['varchar(10) character set latin1', `'ä€'`, 'ä€'],
    ['varchar(10) character set ucs2', `'日本'`, '日本'],
    ['text', `''`, ''],
    [`enum('a','B')`, `'b'`, 'B'],
    [`set('x','y')`, `'y,x'`, 'x,y'],
    ['date', `'2024-02-03'`, '2024-02-03'],
    ['time(3)', `'-838:59:58.123'`, '-838:59:58.123'],
    ['datetime(6)', `'2024-02-03 04:05:06.789012'`, '2024-02-03 04:05:06.789012'],
    ['timestamp(6) null', `'2024-02-03 04:05:06.789012'`, '2024-02-03 04:05:06.789012'],
    ['json', `'{"b":1, "a":1.0}'`, '{"b":1, "a":1.0}'],
    ['blob', `x'00ff27'`, { $: 'blob', hex: '00ff27' }],
    ['varbinary(10)', `x'00ff27'`, { $: 'blob', hex: '00ff27' }],
    ['uuid', `'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'`, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
    ['inet6', `'::1'`, '::1'],
  ],
}

function fault(condition: string): Fault {
  return {
    does: [
      'set @@check_constraint_checks = 0',
      `alter table whodunit_entry add constraint fault check (${condition})`,
      'set @@check_constraint_checks = 1',
    ],
    mends: ['alter table whodunit_entry drop constraint fault'],
    cause: '4025',
  }
}

/** Everything that migrate could leave, as one text. */
export const mariadbState = `select concat(
  (select ifnull(group_concat(trigger_name, event_manipulation, action_timing, event_object_table, md5(action_statement) order by trigger_name), '') from information_schema.triggers where trigger_schema = database()),
  (select ifnull(group_concat(routine_name, md5(routine_definition) order by routine_name), '') from information_schema.routines where routine_schema = database()),
  (select ifnull(group_concat(table_name, table_type order by table_name), '') from information_schema.tables where table_schema = database())) as state`

export function contextByHand(context: string): string {
  return `set @whodunit_context = _utf8mb4 x'${Buffer.from(context).toString('hex')}'`
}
