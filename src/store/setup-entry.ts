import { randomUUID } from 'node:crypto'
import { currentScope, encodeParts } from '../core/internal.ts'
import type { Dialect, RunSql } from '../dialect/dialect.ts'

/** What is audited, and what no longer is, is itself worth an entry: nothing is switched off in silence. */
export async function recordSetup(
  dialect: Dialect,
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
