import { createHash } from 'node:crypto'
import { AuditError, type Policy } from '../../core/internal.ts'
import type { Dialect, RunSql } from '../dialect.ts'
import { captureText, createTriggers, dropTriggers } from './capture.ts'
import { lostCascades } from './cascade.ts'
import { readCatalogue } from './catalogue.ts'
import { clock, role } from './entry.ts'
import { explain } from './explain.ts'
import { read } from './read.ts'
import { recordStatement } from './record.ts'
import { routines } from './routines.ts'
import { alone, hold } from './tool.ts'
import { tables, trailVersions } from './trail.ts'
import { unrecorded } from './unrecorded.ts'
import { views } from './views.ts'

const replaceable: readonly string[] = [
  ...Object.keys(views).map((view) => `drop view if exists ${view}`),
  ...Object.entries(routines).flatMap(([routine, text]) => [
    `drop procedure if exists ${routine}`,
    `create procedure ${routine} ${text}`,
  ]),
  ...Object.entries(views).map(([view, text]) => `create sql security definer view ${view} as ${text}`),
]
const fingerprint = createHash('sha256').update(replaceable.join('\n')).digest('hex')

/** MariaDB 10.6 and later, MySQL 8.0.22 and later. */
export const mariadb: Dialect = {
  trail: {
    version: trailVersions.length,
    alone,
    hold,
    tables: tables.map((table) => `whodunit_${table}`),
    async checkServer(run) {
      const [row] = await run('select version() as version')
      const version = String(row!['version'])
      const [, major = '0', minor = '0', patch = '0'] = /^(\d+)\.(\d+)\.(\d+)/.exec(version) ?? []
      const number = Number(major) * 1_000_000 + Number(minor) * 1_000 + Number(patch)
      if (number >= (/mariadb/i.test(version) ? 10_006_000 : 8_000_022)) return
      throw new AuditError(
        'AUDIT_DATABASE_UNSUPPORTED',
        `The server is ${version}.`,
        'MariaDB 10.6, or MySQL 8.0.22, or later is needed.',
      )
    },
    async installed(run) {
      const [there] = await run(
        `select 1 as one from information_schema.tables where table_schema = database() and table_name = 'whodunit_trail'`,
      )
      if (!there) return null
      const [row] = await run('select version, functions from whodunit_trail')
      return row ? { version: Number(row['version']), current: row['functions'] === fingerprint } : null
    },
    upgrade: (from) => [
      ...trailVersions.slice(from).flat(),
      ...replaceable.map((sql) => ({ sql })),
      {
        sql: 'update whodunit_trail set version = ?, functions = ?',
        parameters: [trailVersions.length, fingerprint],
      },
    ],
    secure: async () => [],
    prepare: async () => 0,
    storedPolicy,
    storePolicy: (policy, mark) => ({
      sql: `insert into whodunit_policy (at, fingerprint, policy, role) values (${clock}, ?, convert(unhex(?) using utf8mb4), ${role})`,
      parameters: [mark, Buffer.from(policy).toString('hex')],
    }),
    drop: [
      ...Object.keys(views).map((view) => `drop view if exists ${view}`),
      ...Object.keys(routines).map((routine) => `drop procedure if exists ${routine}`),
      ...tables.map((table) => `drop table if exists whodunit_${table}`),
    ],
    hash: (values) => ({
      sql: 'call whodunit_hash(convert(unhex(?) using utf8mb4))',
      parameters: [Buffer.from(JSON.stringify(values)).toString('hex')],
    }),
  },
  capture: {
    catalogue: readCatalogue,
    text: captureText,
    install: createTriggers,
    replace: createTriggers,
    enable: createTriggers,
    remove: (table) => dropTriggers(table.installed?.name),
    sweep: [],
    blocksMigrations: true,
    unrecorded,
    limits: (plan) => [
      ...(plan.table.limit ? [`${plan.model} ${plan.table.limit}`] : []),
      ...lostCascades(plan).map(
        (model) =>
          `${plan.model}: its foreign keys come back to ${model} in a circle, where cascades are not recorded`,
      ),
      ...(plan.truncateRows
        ? [`${plan.model}: TRUNCATE fires no trigger, so "truncateRows" has no effect`]
        : []),
    ],
    notes: [
      'TRUNCATE fires no trigger and leaves no entry: take the right DROP from the application, which it needs.',
    ],
    all: {
      sql: `select event_object_schema as \`schema\`, event_object_table as name, group_concat(trigger_name order by trigger_name separator '\n') as capture
        from information_schema.triggers where trigger_schema = database() and left(trigger_name, 9) = 'whodunit_' and event_object_table <> 'whodunit_entry'
        group by event_object_schema, event_object_table`,
    },
  },
  read,
  record: recordStatement,
  probe: { sql: 'select @whodunit_context as context' },
  explain,
}

async function storedPolicy(run: RunSql): Promise<{ policy: Policy; fingerprint: string } | null> {
  const [row] = await run('select policy, fingerprint from whodunit_policy order by id desc limit 1')
  if (!row) return null
  return { policy: JSON.parse(String(row['policy'])) as Policy, fingerprint: String(row['fingerprint']) }
}
