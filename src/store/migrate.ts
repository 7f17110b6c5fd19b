import { needsEnabling, syncSteps } from '../capture/drift.ts'
import { checkNames, goneModels, type PlannedTable, planTables } from '../capture/plan.ts'
import {
  AuditError,
  canonicalPolicy,
  type MigrateOptions,
  type MigrateReport,
  type Policy,
  type Unrecorded,
} from '../core/internal.ts'
import type { Captured, Dialect, RunSql, Session } from '../dialect/dialect.ts'
import { backfillTables, describeBackfill } from './backfill.ts'
import { fingerprintOf } from './fingerprint.ts'
import { recordSetup } from './setup-entry.ts'
import { standingCapture } from './standing.ts'
import { newerTrail, statusOf, wantedText, warningsOf } from './status.ts'
import type { Turns } from './turns.ts'
import { readUnrecorded, settleUnrecorded, unrecordedSentence } from './unrecorded.ts'

/** Brings trail and capture to what a policy asks for, step by step: the turns that are given decide who has to wait. */
export function createMigrate(
  session: Session,
  dialect: Dialect,
): (given: Policy | undefined, options: MigrateOptions, turns: Turns) => Promise<MigrateReport> {
  const { trail, capture } = dialect

  async function migrate(
    given: Policy | undefined,
    { dryRun = false, backfill = false, onProgress }: MigrateOptions,
    { alone, patiently }: Turns,
  ): Promise<MigrateReport> {
    if (backfill && !capture.backfill) throw noBackfill()
    const done: string[] = []
    const warnings: string[] = []
    let made = 0
    await trail.checkServer(session.run)
    const before = await trail.installed(session.run)
    if (before && before.version > trail.version) throw newerTrail(before.version)
    const stored = before ? await trail.storedPolicy(session.run) : null
    // in the form in which it is stored: the triggers' text must not depend on the order of keys
    const policy = given ? (JSON.parse(canonicalPolicy(given)) as Policy) : stored?.policy
    if (!policy) {
      throw new AuditError(
        'AUDIT_POLICY_NONE',
        'There is no policy: none was given, and the trail has none stored.',
        'Write a whodunit.config.ts, or pass the policy to createAudit.',
      )
    }
    // Before anything is changed: a policy that does not fit the database must leave it as it is
    const catalogue = await capture.catalogue(session.run, policy.schemas)
    if (given) checkNames(given, catalogue)
    else
      warnings.push(
        ...goneModels(policy, catalogue).map(
          (model) => `the stored policy names ${model}, which the database has no more`,
        ),
      )
    const planned = planTables(policy, catalogue)
    const fingerprint = fingerprintOf(policy)

    if (!before?.current || before.version < trail.version) {
      done.push(
        !before
          ? `made the trail, version ${trail.version}`
          : before.version < trail.version
            ? `upgraded the trail from version ${before.version} to ${trail.version}`
            : `brought the trail's views and functions up to date`,
      )
      if (!dryRun)
        made += await patiently(async (run) => {
          await upgrade(run)
          const months = await trail.prepare(run) // before the first entry, which would else be of no month
          await trail.secure(run) // before the first writer, whom a change of owner would lock out
          return months
        })
    }
    const steps = syncSteps(planned.map((item) => ({ planned: item, wanted: wantedText(capture, item) })))
    for (const { kind, planned: item } of steps) {
      done.push(`${sentences[kind]} ${item.table.model}`)
      if (!dryRun)
        await patiently(async (run) => {
          for (const sql of statementsFor(kind, item)) await run(sql)
        })
    }
    for (const left of await orphans(planned)) {
      done.push(`removed capture from ${left.schema}.${left.name}, which the policy no longer covers`)
      if (!dryRun)
        await patiently(async (run) => {
          for (const sql of capture.remove(left)) await run(sql)
        })
    }
    if (!dryRun) {
      const last = await patiently(async (run) => {
        for (const sql of capture.sweep) await run(sql)
        const secured = await trail.secure(run)
        const months = made + (await trail.prepare(run))
        const also = [
          ...(months > 0 ? [`made room for the entries of ${months} months`] : []),
          ...(await settleUnrecorded(dialect, run)).map(settled),
        ]
        // by now another migrate may have stored it
        if ((await trail.storedPolicy(run))?.fingerprint !== fingerprint) {
          const statement = trail.storePolicy(canonicalPolicy(policy), fingerprint)
          await run(statement.sql, statement.parameters)
        }
        if (done.length + also.length > 0 || stored?.fingerprint !== fingerprint)
          await recordSetup(dialect, run, 'MIGRATE', described(fingerprint, planned, [...done, ...also]))
        return { secured, also }
      })
      warnings.push(...last.secured)
      done.push(...last.also)
    }
    if (dryRun && before) done.push(...(await readUnrecorded(dialect, session.run)).map(settled))
    if (stored?.fingerprint !== fingerprint) done.push(`stored the policy ${fingerprint.slice(0, 12)}`)
    if (backfill && capture.backfill) {
      const filled = dryRun
        ? describeBackfill(planned, capture.backfill)
        : await backfillTables(planned, dialect, capture.backfill, { alone, patiently }, onProgress)
      done.push(...filled.done)
      warnings.push(...filled.warnings)
    }
    const tables = dryRun
      ? statusOf(capture, planned)
      : statusOf(capture, planTables(policy, await capture.catalogue(session.run, policy.schemas)))
    const limits = [
      ...(capture.notes ?? []),
      ...(catalogue.notes ?? []),
      ...planned.flatMap(({ plan }) => (plan ? capture.limits(plan) : [])),
    ]
    return { done, warnings: [...warnings, ...limits, ...warningsOf(tables)], tables, fingerprint }
  }

  async function upgrade(run: RunSql): Promise<void> {
    const now = await trail.installed(run) // another migrate may have been first
    if (now && now.version > trail.version) throw newerTrail(now.version)
    if (now?.current && now.version === trail.version) return
    for (const { sql, parameters } of trail.upgrade(now?.version ?? 0)) await run(sql, parameters)
  }

  function statementsFor(kind: keyof typeof sentences, { table, plan }: PlannedTable): readonly string[] {
    if (!plan) return capture.remove(table)
    if (kind === 'replace')
      return [
        ...capture.replace(plan),
        ...(table.installed && needsEnabling(table.installed) ? capture.enable(plan) : []),
      ]
    return kind === 'enable' ? capture.enable(plan) : capture.install(plan)
  }

  async function orphans(planned: readonly PlannedTable[]): Promise<Captured[]> {
    const known = new Set(planned.map(({ table }) => `${table.schema}.${table.name}`))
    return (await standingCapture(session, dialect)).filter(
      (table) => !known.has(`${table.schema}.${table.name}`),
    )
  }

  return migrate
}

function described(
  fingerprint: string,
  planned: readonly PlannedTable[],
  done: readonly string[],
): Record<string, unknown> {
  const skipped = planned.flatMap((item) => (item.plan === null ? [item.table.model] : []))
  const audited = planned.length - skipped.length
  return { fingerprint, audited, skipped: skipped.slice(0, 100), done: done.slice(0, 100) }
}

const sentences = {
  install: 'put capture on',
  replace: 'brought up to date the capture of',
  enable: 'enabled the capture of',
  remove: 'removed capture from',
} as const

const settled = (item: Unrecorded): string => `${unrecordedSentence(item)}: the trail says so by entries`

function noBackfill(): AuditError {
  return new AuditError(
    'AUDIT_DATABASE_UNSUPPORTED',
    'On this database rows that are there already cannot get a first entry.',
    'Migrate without backfill.',
  )
}
