import { createHash, randomUUID } from 'node:crypto'
import { needsEnabling, syncSteps, tableStatus } from '../capture/drift.ts'
import { checkNames, goneModels, type PlannedTable, planTables } from '../capture/plan.ts'
import {
  AuditError,
  canonicalPolicy,
  currentScope,
  encodeParts,
  type MigrateOptions,
  type MigrateReport,
  type Policy,
  type TableStatus,
  type TrailSetup,
  type TrailStatus,
} from '../core/internal.ts'
import type { Captured, Dialect, RunSql, Session } from '../dialect/dialect.ts'
import { backfillTables, describeBackfill } from './backfill.ts'
import { compareDisclosure } from './disclosure.ts'
import { createRun } from './run.ts'
import { createTurns, runVariable, type Turns } from './turns.ts'

/** Sets up the trail and capture over a session and a dialect; `holding` is for a lock that outlasts the session's steps. */
export function createTrailSetup(session: Session, dialect: Dialect, holding: Session): TrailSetup {
  const { trail, capture } = dialect
  const inRun = process.env[runVariable] !== undefined
  const turns = createTurns(session, dialect, inRun)
  const runTool = createRun(session, holding, dialect, inRun, {
    standing,
    migrate: (policy) => migrate(policy, {}, createTurns(session, dialect, true)),
  })
  const explained = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (error) {
      throw dialect.explain(error)
    }
  }

  async function migrate(
    given: Policy | undefined,
    { dryRun = false, backfill = false, onProgress }: MigrateOptions = {},
    { alone, patiently }: Turns = turns,
  ): Promise<MigrateReport> {
    if (backfill && !capture.backfill) throw noBackfill()
    const done: string[] = []
    const warnings: string[] = []
    let made = 0
    await trail.checkServer(session.run)
    const before = await trail.installed(session.run)
    if (before && before.version > trail.version) throw newer(before.version)
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
    const steps = syncSteps(planned.map((item) => ({ planned: item, wanted: wantedText(item) })))
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
        const also = months > 0 ? [`made room for the entries of ${months} months`] : []
        // by now another migrate may have stored it
        if ((await trail.storedPolicy(run))?.fingerprint !== fingerprint) {
          const statement = trail.storePolicy(canonicalPolicy(policy), fingerprint)
          await run(statement.sql, statement.parameters)
        }
        if (done.length + also.length > 0 || stored?.fingerprint !== fingerprint)
          await recordSetup(run, 'MIGRATE', described(fingerprint, planned, [...done, ...also]))
        return { secured, also }
      })
      warnings.push(...last.secured)
      done.push(...last.also)
    }
    if (stored?.fingerprint !== fingerprint) done.push(`stored the policy ${fingerprint.slice(0, 12)}`)
    if (backfill && capture.backfill) {
      const filled = dryRun
        ? describeBackfill(planned, capture.backfill)
        : await backfillTables(planned, dialect, capture.backfill, { alone, patiently }, onProgress)
      done.push(...filled.done)
      warnings.push(...filled.warnings)
    }
    const tables = dryRun
      ? statusOf(planned)
      : statusOf(planTables(policy, await capture.catalogue(session.run, policy.schemas)))
    const limits = [
      ...(capture.notes ?? []),
      ...(catalogue.notes ?? []),
      ...planned.flatMap(({ plan }) => (plan ? capture.limits(plan) : [])),
    ]
    return { done, warnings: [...warnings, ...limits, ...warningsOf(tables)], tables, fingerprint }
  }

  async function upgrade(run: RunSql): Promise<void> {
    const now = await trail.installed(run) // another migrate may have been first
    if (now && now.version > trail.version) throw newer(now.version)
    if (now?.current && now.version === trail.version) return
    for (const { sql, parameters } of trail.upgrade(now?.version ?? 0)) await run(sql, parameters)
  }

  /** What is audited, and what no longer is, is itself worth an entry: nothing is switched off in silence. */
  async function recordSetup(
    run: RunSql,
    action: 'MIGRATE' | 'UNINSTALL',
    details: Readonly<Record<string, unknown>>,
  ): Promise<void> {
    const at = new Date()
    const ref = `${action.toLowerCase()}-${randomUUID()}`
    const context = encodeParts(currentScope()?.read() ?? {})
    const { sql, parameters } = dialect.record([{ ref, at, kind: 'event', action, details, context }], true)
    await run(sql, parameters)
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

  const wantedText = (item: PlannedTable): string | null => (item.plan ? capture.text(item.plan) : null)
  const statusOf = (planned: readonly PlannedTable[]): readonly TableStatus[] =>
    planned.map((item) => tableStatus(item, wantedText(item)))

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
    return (await standing()).filter((table) => !known.has(`${table.schema}.${table.name}`))
  }

  async function standing(): Promise<Captured[]> {
    const rows = await session.run(capture.all.sql, capture.all.parameters)
    return rows.map(({ schema, name, capture: kept }) => ({
      schema: String(schema),
      name: String(name),
      ...(typeof kept === 'string' ? { installed: { name: kept } } : {}),
    }))
  }

  async function status(given?: Policy): Promise<TrailStatus> {
    const there = await trail.installed(session.run)
    const stored = there ? await trail.storedPolicy(session.run) : null
    // What the database does is judged by what migrate was told; the application's own policy is check()'s matter
    const policy = stored?.policy ?? given ?? {}
    const catalogue = await capture.catalogue(session.run, policy.schemas)
    const tables = statusOf(planTables(policy, catalogue))
    return {
      installed: there !== null,
      version: there?.version ?? null,
      fingerprint: stored?.fingerprint ?? null,
      tables,
      warnings: [
        ...(there && !there.current ? [`The trail was made by another release: run migrate.`] : []),
        ...(there && there.version > trail.version ? [newer(there.version).message] : []),
        ...(there ? (catalogue.notes ?? []) : []),
        ...warningsOf(tables),
      ],
    }
  }

  return {
    migrate: (policy, options) => explained(() => migrate(policy, options)),
    run: (policy, tool, options) => explained(() => runTool(policy, tool, options)),
    mark: dialect.mark,
    tables: trail.tables ?? [],
    status: (policy) => explained(() => status(policy)),
    check: (policy) =>
      explained(async () => {
        const there = await trail.installed(session.run)
        const stored = there ? await trail.storedPolicy(session.run) : null
        if (!stored)
          throw new AuditError(
            'AUDIT_TRAIL_MISSING',
            'The database has no trail yet.',
            'Run: npx whodunit migrate',
          )
        const catalogue = await capture.catalogue(session.run, policy.schemas ?? stored.policy.schemas)
        checkNames(policy, catalogue)
        const asked = planTables(policy, catalogue)
        const does = planTables(stored.policy, catalogue)
        const drifted = statusOf(does).filter(({ state }) => state !== 'audited' && state !== 'skipped')
        return [
          ...compareDisclosure(asked, does),
          ...drifted.map(({ model, state, note }) => ({
            model,
            message: `${model} is ${state}: ${note ?? ''}`,
          })),
        ]
      }),
    uninstall: ({ trail: withTrail = false } = {}) =>
      explained(async () => {
        const done: string[] = []
        for (const table of await standing()) {
          await turns.patiently(async (run) => {
            for (const sql of capture.remove(table)) await run(sql)
          })
          done.push(`removed capture from ${table.schema}.${table.name}`)
        }
        if (await trail.installed(session.run)) {
          await turns.patiently(async (run) => {
            for (const sql of capture.sweep) await run(sql)
            if (done.length > 0) await recordSetup(run, 'UNINSTALL', { done: done.slice(0, 100) })
          })
        }
        if (withTrail) {
          await turns.patiently(async (run) => {
            for (const sql of trail.drop) await run(sql)
          })
          done.push('removed the trail with all its entries')
        }
        return done
      }),
    hash: (values) => explained(() => hashValues(dialect, session.run, values)),
  }
}

/** `null` for each value where the database cannot hash. */
export async function hashValues(
  { trail }: Dialect,
  run: RunSql,
  values: readonly string[],
): Promise<readonly (string | null)[]> {
  if (values.length === 0 || !trail.hash) return values.map(() => null)
  const { sql, parameters } = trail.hash(values)
  return (await run(sql, parameters)).map((row) => String(row['hash']))
}

const sentences = {
  install: 'put capture on',
  replace: 'brought up to date the capture of',
  enable: 'enabled the capture of',
  remove: 'removed capture from',
} as const

export function fingerprintOf(policy: Policy): string {
  return createHash('sha256').update(canonicalPolicy(policy)).digest('hex')
}

function warningsOf(tables: readonly TableStatus[]): string[] {
  return tables.flatMap(({ model, state, note }) => (state === 'audited' && note ? [`${model} ${note}`] : []))
}

function noBackfill(): AuditError {
  return new AuditError(
    'AUDIT_DATABASE_UNSUPPORTED',
    'On this database rows that are there already cannot get a first entry.',
    'Migrate without backfill.',
  )
}

function newer(version: number): AuditError {
  return new AuditError(
    'AUDIT_TRAIL_NEWER',
    `The trail has version ${version}, made by a newer release.`,
    'Install that release or a later one.',
  )
}
