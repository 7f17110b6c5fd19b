import { tableStatus } from '../capture/drift.ts'
import { checkNames, type PlannedTable, planTables } from '../capture/plan.ts'
import {
  AuditError,
  type CheckWarning,
  type Policy,
  type TableStatus,
  type TrailSetup,
  type TrailStatus,
} from '../core/internal.ts'
import type { CaptureDialect, Dialect, Session } from '../dialect/dialect.ts'
import { compareDisclosure } from './disclosure.ts'
import { readUnrecorded, unrecordedSentence } from './unrecorded.ts'

/** What stands in the database, told and compared. */
export function createStatus(session: Session, dialect: Dialect): Pick<TrailSetup, 'status' | 'check'> {
  const { trail, capture } = dialect

  async function status(given?: Policy): Promise<TrailStatus> {
    const there = await trail.installed(session.run)
    const stored = there ? await trail.storedPolicy(session.run) : null
    // What the database does is judged by what migrate was told; the application's own policy is check()'s matter
    const policy = stored?.policy ?? given ?? {}
    const catalogue = await capture.catalogue(session.run, policy.schemas)
    const tables = statusOf(capture, planTables(policy, catalogue))
    const unrecorded = there ? await readUnrecorded(dialect, session.run) : []
    return {
      installed: there !== null,
      version: there?.version ?? null,
      fingerprint: stored?.fingerprint ?? null,
      tables,
      unrecorded,
      warnings: [
        ...unrecorded.map(unrecordedSentence),
        ...(there && !there.current ? [`The trail was made by another release: run migrate.`] : []),
        ...(there && there.version > trail.version ? [newerTrail(there.version).message] : []),
        ...(there ? (catalogue.notes ?? []) : []),
        ...warningsOf(tables),
      ],
    }
  }

  async function check(policy: Policy): Promise<readonly CheckWarning[]> {
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
    const drifted = statusOf(capture, does).filter(({ state }) => state !== 'audited' && state !== 'skipped')
    const reports = stored.policy.onCaptureError === 'report' // only then does `check` need a right to read it
    const unrecorded = reports ? await readUnrecorded(dialect, session.run) : []
    return [
      ...compareDisclosure(asked, does),
      ...unrecorded.map((item) => ({ model: item.model, message: unrecordedSentence(item) })),
      ...drifted.map(({ model, state, note }) => ({
        model,
        message: `${model} is ${state}: ${note ?? ''}`,
      })),
    ]
  }

  return { status, check }
}

/** The text of the capture that a table is to have; `null` for none. */
export function wantedText(capture: CaptureDialect, { plan }: PlannedTable): string | null {
  return plan ? capture.text(plan) : null
}

export function statusOf(capture: CaptureDialect, planned: readonly PlannedTable[]): readonly TableStatus[] {
  return planned.map((item) => tableStatus(item, wantedText(capture, item)))
}

export function warningsOf(tables: readonly TableStatus[]): string[] {
  return tables.flatMap(({ model, state, note }) => (state === 'audited' && note ? [`${model} ${note}`] : []))
}

export function newerTrail(version: number): AuditError {
  return new AuditError(
    'AUDIT_TRAIL_NEWER',
    `The trail has version ${version}, made by a newer release.`,
    'Install that release or a later one.',
  )
}
