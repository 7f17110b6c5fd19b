import { isAuditError } from '../../src/index.ts'
import type { CaptureSql, Fault } from '../../src/testing/index.ts'

/** What PostgreSQL gives to the contract of capture, over whatever client. */
export const postgresSql: CaptureSql = {
  autoKey: 'id integer generated always as identity primary key',
  view: 'whodunit.entries',
  can: { hash: true, recordUnknownColumns: true, recordCascades: true, truncate: true, report: true },
  faults: { noUpdates: fault(`action <> 'UPDATE'`), noChanges: fault(`kind <> 'change'`) },
  values: [
    ['boolean', 'true', true],
    ['integer', '-2147483648', -2_147_483_648],
    ['bigint', '42', '42'],
    ['numeric(10,4)', '1.1', '1.1000'],
    ['real', '0.1', 0.1],
    ['double precision', '1e-7', 1e-7],
    ['varchar(10)', `'it''s'`, "it's"],
    ['text', `''`, ''],
    ['date', `'2024-02-03'`, '2024-02-03'],
    ['timestamptz', `'2024-02-03 04:05:06.789012+09'`, '2024-02-02 19:05:06.789012+00'],
    ['jsonb', `'{"b":1,"a":1.0}'`, '{"a": 1.0, "b": 1}'],
    ['bytea', `'\\x00ff27'`, '\\x00ff27'],
    ['integer[]', `'{1,NULL,3}'`, '{1,NULL,3}'],
    ['uuid', `'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'`, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
  ],
}

function fault(condition: string): Fault {
  return {
    does: [`alter table whodunit.change add constraint fault check (${condition}) not valid`],
    mends: ['alter table whodunit.change drop constraint fault'],
    cause: '23514',
  }
}

/** What the contract breaks on purpose is nothing to print. */
export const quiet = {
  onError: (error: unknown): void => {
    if (!isAuditError(error, 'AUDIT_CAPTURE_FAILED')) console.error(error)
  },
}

/** Everything that migrate could leave in the schemas of the application and of the trail, as one text. */
export const postgresState = `select
  (select coalesce(json_agg(row(tgrelid::regclass, tgname, tgenabled, tgfoid::regproc) order by tgrelid::regclass::text, tgname), '[]') from pg_trigger where not tgisinternal)::text
  || (select coalesce(json_agg(row(proname, prosrc, proconfig, proacl) order by proname), '[]') from pg_proc where pronamespace = to_regnamespace('whodunit'))::text
  || (select coalesce(json_agg(row(relname, relkind, coalesce(relacl, acldefault(case relkind when 'S' then 's' else 'r' end::"char", relowner))) order by relname), '[]') from pg_class where relnamespace = to_regnamespace('whodunit'))::text as all`
