import type { PlannedTable } from '../capture/plan.ts'
import { AuditError, type CheckWarning, type Redaction } from '../core/internal.ts'

/** How much of a value each redaction leaves: a smaller number hides more. */
const discloses: Record<Redaction, number> = { omit: 0, mask: 1, hash: 2, keep: 3 }

/**
 * Compares what the application asks to hide with what the database stores. Storing more is an error, since it cannot
 * be undone; storing less is a warning.
 *
 * @throws AUDIT_POLICY_EXPOSED
 */
export function compareDisclosure(
  asked: readonly PlannedTable[],
  does: readonly PlannedTable[],
): readonly CheckWarning[] {
  const warnings: CheckWarning[] = []
  const exposed: string[] = []
  for (const { table, plan: wanted } of asked) {
    const actual = does.find((item) => item.table.model === table.model)?.plan
    if (wanted === null && actual) exposed.push(table.model)
    if (wanted && !actual) {
      warnings.push({
        model: table.model,
        message: `${table.model} is audited by the application's policy, not by the database's: run migrate`,
      })
    }
    for (const column of wanted?.columns ?? []) {
      const other = actual?.columns.find((item) => item.name === column.name)
      if (!other) continue
      const [should, is] = [level(column), level(other)]
      if (is > should) exposed.push(`${table.model}.${column.name}`)
      if (is < should) {
        warnings.push({
          model: table.model,
          message: `${table.model}.${column.name} is hidden by the database, not by the application's policy: run migrate`,
        })
      }
    }
  }
  if (exposed.length > 0) {
    throw new AuditError(
      'AUDIT_POLICY_EXPOSED',
      `The database stores what the application's policy hides: ${exposed.slice(0, 10).join(', ')}${exposed.length > 10 ? ', ...' : ''}.`,
      'Run: npx whodunit migrate, with the configuration of this application.',
    )
  }
  return warnings
}

function level(column: { readonly recorded: boolean; readonly redaction: Redaction }): number {
  return column.recorded ? discloses[column.redaction] : 0
}
