import { createHash } from 'node:crypto'
import type { TablePlan } from '../../capture/plan.ts'
import { AuditError, type Policy } from '../../core/internal.ts'
import type { Dialect, RunSql } from '../dialect.ts'
import { createTriggers, dropTriggers, triggerPrefix } from './capture.ts'
import { backfill } from './backfill.ts'
import { captureName, installedText, readCatalogue } from './catalogue.ts'
import { type ContextSource, functionContext, rowContext } from './context.ts'
import { explain } from './explain.ts'
import { read } from './read.ts'
import { recordStatement } from './record.ts'
import { secretTable } from './secrets.ts'
import { alone, hold } from './tool.ts'
import { dropViews, removeTrail, trailTables, trailVersions } from './trail.ts'
import { trailViews } from './views.ts'

/** The oldest version that the tests run. */
const oldest = [3, 40]

const replaceable = [...secretTable, ...dropViews, ...trailViews]
const fingerprint = createHash('sha256').update(replaceable.join('\n')).digest('hex')

/** SQLite 3.40 and later. `function`: the context comes from a function that the driver registers, not from a row. */
export function sqlite({ context = 'row' }: { readonly context?: 'row' | 'function' } = {}): Dialect {
  const source: ContextSource = context === 'row' ? rowContext : functionContext
  const statements = (plan: TablePlan): readonly string[] => createTriggers(plan, source)
  const install = (plan: TablePlan): readonly string[] => [...dropTriggers(plan.table), ...statements(plan)]
  return {
    trail: {
      version: trailVersions.length,
      alone,
      hold,
      tables: trailTables,
      async checkServer(run) {
        const [row] = await run('select sqlite_version() as version')
        const version = String(row!['version'])
        const [major, minor] = version.split('.').map(Number) as [number, number]
        if (major > oldest[0]! || (major === oldest[0] && minor >= oldest[1]!)) return
        throw new AuditError(
          'AUDIT_DATABASE_UNSUPPORTED',
          `The client has SQLite ${version}.`,
          `SQLite ${oldest.join('.')} or later is needed.`,
        )
      },
      async installed(run) {
        const [there] = await run(
          `select 1 from sqlite_master where type = 'table' and name = 'whodunit_trail'`,
        )
        if (!there) return null
        const [row] = await run(
          `select version, functions, (select count(*) from sqlite_master where type = 'view' and name glob 'whodunit_*') as views from whodunit_trail`,
        )
        // a schema tool that does not know the views drops them
        const current = row?.['functions'] === fingerprint && Number(row?.['views']) === trailViews.length
        return row ? { version: Number(row['version']), current } : null
      },
      upgrade: (from) => [
        ...trailVersions.slice(from).flatMap((steps) => steps.map((sql) => ({ sql }))),
        ...replaceable.map((sql) => ({ sql })),
        {
          sql: 'update whodunit_trail set version = ?, functions = ?',
          parameters: [trailVersions.length, fingerprint],
        },
      ],
      secure: () => Promise.resolve([]), // there are no roles
      prepare: () => Promise.resolve(0),
      storedPolicy,
      storePolicy: (policy, hash) => ({
        sql: 'insert into whodunit_policy (fingerprint, policy) values (?, ?)',
        parameters: [hash, policy],
      }),
      drop: removeTrail,
    },
    capture: {
      catalogue: readCatalogue,
      text: (plan) => installedText(statements(plan)),
      install,
      replace: install,
      enable: install,
      remove: dropTriggers,
      sweep: [],
      blocksMigrations: true,
      backfill,
      cannotReport: 'a trigger of SQLite cannot catch an error',
      limits: (plan) =>
        plan.columns
          .filter((column) => column.redaction === 'hash' && column.recorded)
          .map(({ name }) => `${plan.model}.${name} is masked, not hashed: a trigger of SQLite cannot hash`),
      all: {
        sql: `select 'main' as schema, tbl_name as name, min(${captureName}) as capture from sqlite_master
          where type = 'trigger' and name glob '${triggerPrefix}*' group by tbl_name order by tbl_name`,
      },
    },
    read,
    record: (entries, joined) => recordStatement(entries, joined, source.transaction),
    probe: { sql: source.probe },
    explain,
  }
}

async function storedPolicy(run: RunSql): Promise<{ policy: Policy; fingerprint: string } | null> {
  const [row] = await run('select policy, fingerprint from whodunit_policy order by id desc limit 1')
  if (!row) return null
  return { policy: JSON.parse(String(row['policy'])) as Policy, fingerprint: String(row['fingerprint']) }
}
