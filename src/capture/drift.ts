import type { TableStatus } from '../core/internal.ts'
import type { InstalledCapture } from './catalogue.ts'
import type { PlannedTable } from './plan.ts'

/** What has to be done to a table so that it is captured as planned. */
export interface SyncStep {
  readonly kind: 'install' | 'replace' | 'enable' | 'remove'
  readonly planned: PlannedTable
}

/**
 * Compares what stands in the database with the text that policy and catalogue ask for. The text itself is the truth: a
 * column added, renamed, dropped or retyped, a changed policy and a newer version of the package all show as a difference.
 */
export function tableStatus(planned: PlannedTable, wanted: string | null): TableStatus {
  const { table } = planned
  const { model, installed } = table
  if (planned.plan === null) {
    return installed
      ? { model, state: 'drifted', note: `to be skipped ${planned.reason}, but still recorded: run migrate` }
      : { model, state: 'skipped', note: planned.reason }
  }
  if (!installed) return { model, state: 'missing', note: 'has no trigger: run migrate' }
  if (!installed.enabled)
    return { model, state: 'off', note: 'its trigger is disabled: enable it, or run migrate' }
  if (installed.text !== wanted) {
    return { model, state: 'drifted', note: 'table or policy changed since migrate: run migrate' }
  }
  if (installed.leavesOut) {
    return { model, state: 'drifted', note: `does not record ${installed.leavesOut}: run migrate` }
  }
  return table.key.length === 0
    ? { model, state: 'audited', note: 'has no key: entries cannot name the row' }
    : { model, state: 'audited' }
}

export function needsEnabling({ enabled, leavesOut }: InstalledCapture): boolean {
  return !enabled || leavesOut !== undefined
}

/** The steps that bring every table to its plan; none where everything is in place. */
export function syncSteps(
  tables: readonly { readonly planned: PlannedTable; readonly wanted: string | null }[],
): readonly SyncStep[] {
  return tables.flatMap(({ planned, wanted }): SyncStep[] => {
    const { installed } = planned.table
    if (planned.plan === null) return installed ? [{ kind: 'remove', planned }] : []
    if (!installed) return [{ kind: 'install', planned }]
    if (installed.text !== wanted) return [{ kind: 'replace', planned }]
    return needsEnabling(installed) ? [{ kind: 'enable', planned }] : []
  })
}
