import { createHash } from 'node:crypto'
import { AuditError, type Policy } from '../../core/internal.ts'
import type { Dialect, RunSql } from '../dialect.ts'
import { captureText, createFunction } from './capture.ts'
import { backfill } from './backfill.ts'
import { readCatalogue } from './catalogue.ts'
import { explain } from './explain.ts'
import { trailFunctions } from './functions.ts'
import { read } from './read.ts'
import { recordStatement } from './record.ts'
import { secure } from './roles.ts'
import { alone, hold, mark } from './tool.ts'
import { removeTrail, trailVersions } from './trail.ts'
import {
  createTriggers,
  dropCapture,
  enableTriggers,
  grantRows,
  hasTriggers,
  sweep,
  triggerName,
  whyNotInBulk,
} from './triggers.ts'
import { unrecorded } from './unrecorded.ts'
import { trailViews } from './views.ts'

/** The oldest server that has everything used here: `create or replace trigger`. */
const oldestServer = 140_000

const replaceable = [...trailFunctions, ...trailViews]
const fingerprint = createHash('sha256').update(replaceable.join('\n')).digest('hex')

/** PostgreSQL 14 and later, PGlite included. */
export const postgres: Dialect = {
  trail: {
    version: trailVersions.length,
    alone,
    hold,
    async checkServer(run) {
      const [row] = await run(
        `select current_setting('server_version_num')::int as number, current_setting('server_version') as version`,
      )
      if (Number(row!['number']) >= oldestServer) return
      throw new AuditError(
        'AUDIT_DATABASE_UNSUPPORTED',
        `The server is PostgreSQL ${String(row!['version'])}.`,
        'PostgreSQL 14 or later is needed.',
      )
    },
    async installed(run) {
      // not by to_regclass: behind the lock it would still know what was so before the lock
      const [there] = await run(
        `select 1 from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'whodunit' and c.relname = 'trail'`,
      )
      if (!there) return null
      const [row] = await run('select version, functions from whodunit.trail')
      return row ? { version: Number(row['version']), current: row['functions'] === fingerprint } : null
    },
    upgrade: (from) => [
      ...trailVersions.slice(from).flatMap((steps) => steps.map((sql) => ({ sql }))),
      ...(from > 0 ? ['data_exports', 'login_attempts', 'requests', 'system_events', 'entries'] : []).map(
        (view) => ({
          sql: `drop view if exists whodunit.${view}`,
        }),
      ),
      ...replaceable.map((sql) => ({ sql })),
      {
        sql: 'update whodunit.trail set version = $1::int, functions = $2',
        parameters: [trailVersions.length, fingerprint],
      },
    ],
    secure,
    async prepare(run) {
      const [row] = await run('select whodunit.prepare_months() as made')
      return Number(row!['made'])
    },
    storedPolicy,
    storePolicy: (policy, hash) => ({
      sql: 'insert into whodunit.policy (fingerprint, policy) values ($1, $2::json)',
      parameters: [hash, policy],
    }),
    drop: removeTrail,
    hash: (values) => ({
      sql: 'select whodunit.hash(value) as hash from unnest($1::text[]) with ordinality as v(value, place) order by place',
      parameters: [values],
    }),
  },
  capture: {
    catalogue: readCatalogue,
    unrecorded,
    text: captureText,
    install: (plan) => [createFunction(plan), ...createTriggers(plan), ...grantRows(plan)],
    // a renamed table keeps a trigger that calls the function of its old name, which another table may have by now
    replace: (plan) => [
      createFunction(plan),
      ...(hasTriggers(plan) ? [] : createTriggers(plan)),
      ...grantRows(plan),
    ],
    enable: enableTriggers,
    remove: dropCapture,
    sweep: [sweep],
    limits(plan) {
      const why = plan.bulk && whyNotInBulk(plan)
      return why ? [`${plan.model} is captured row by row, in spite of bulk: ${why}`] : []
    },
    backfill,
    all: {
      sql: `select n.nspname as schema, c.relname as name from pg_trigger t join pg_class c on c.oid = t.tgrelid
        join pg_namespace n on n.oid = c.relnamespace where t.tgname = $1 and not t.tgisinternal and t.tgparentid = 0`,
      parameters: [triggerName],
    },
  },
  read,
  record: recordStatement,
  mark,
  probe: { sql: `select current_setting('whodunit.context', true) as context` },
  explain,
}

async function storedPolicy(run: RunSql): Promise<{ policy: Policy; fingerprint: string } | null> {
  const [row] = await run(
    'select policy::text as policy, fingerprint from whodunit.policy order by id desc limit 1',
  )
  if (!row) return null
  return { policy: JSON.parse(String(row['policy'])) as Policy, fingerprint: String(row['fingerprint']) }
}
