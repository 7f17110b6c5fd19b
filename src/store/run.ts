import { randomUUID } from 'node:crypto'
import { planTables } from '../capture/plan.ts'
import {
  AuditError,
  AuditScope,
  currentScope,
  encodeParts,
  type MigrateReport,
  type NewEntry,
  type Policy,
  type RunOptions,
  type ToolRun,
  type TrailSetup,
} from '../core/internal.ts'
import type { Captured, Dialect, Session } from '../dialect/dialect.ts'
import { createTurns } from './turns.ts'

const defaultWait = 60_000

interface Steps {
  /** All tables that have capture. */
  standing(): Promise<readonly Captured[]>
  migrate(policy: Policy | undefined): Promise<MigrateReport>
}

/**
 * Runs migration tools over two sessions: one for the steps, the other, `holding`, for the lock that spans them all.
 * `migrate` is called inside of that lock. `inRun`: another run, which waits for this one, holds it already.
 */
export function createRun(
  session: Session,
  holding: Session,
  dialect: Dialect,
  inRun: boolean,
  { standing, migrate }: Steps,
): TrailSetup['run'] {
  const { trail, capture } = dialect
  const turns = createTurns(session, dialect, true)

  async function runTool<T>(
    given: Policy | undefined,
    tool: (context: string) => Promise<T>,
    lift: boolean,
  ): Promise<ToolRun<T>> {
    const policy = given ?? (await storedPolicy())
    const recording = policy.migrations === 'record' || policy.allowSkip === false
    const orMigrate = async (error: unknown): Promise<never> => {
      await migrateAgain(given, lift)
      throw error
    }
    const lifted = lift && (await liftCapture(policy).catch(orMigrate))
    const warnings =
      lifted && recording
        ? ['what the tool wrote was not recorded: capture was off the tables meanwhile']
        : []
    const reason = currentScope()?.read().reason ?? 'a migration'
    // no `app`: it is the tool that writes, not whoever started it
    const own = { origin: 'migration', app: '' } as const
    const scope = new AuditScope(own, currentScope(), recording ? undefined : reason)
    const result = await tool(scope.text()).catch(orMigrate)
    return { result, warnings, ...(await migrateAgain(given, lifted)) }
  }

  async function migrateAgain(
    policy: Policy | undefined,
    lifted: boolean,
  ): Promise<Pick<ToolRun<unknown>, 'report' | 'failure'>> {
    try {
      return { report: await migrate(policy) }
    } catch (error) {
      if (lifted && policy) await migrate(undefined).catch(() => {}) // by the stored policy, which is better than no capture
      return { failure: dialect.explain(error) }
    }
  }

  async function storedPolicy(): Promise<Policy> {
    const stored = (await trail.installed(session.run)) && (await trail.storedPolicy(session.run))
    if (stored) return stored.policy
    throw new AuditError(
      'AUDIT_POLICY_NONE',
      'There is no policy to migrate by afterwards: none was given, and the trail has none stored.',
      'Write a whodunit.config.ts.',
    )
  }

  /** Takes capture off every table, each together with the entry that says so. Answers whether there was any. */
  async function liftCapture(policy: Policy): Promise<boolean> {
    if (!(await trail.installed(session.run))) return false
    const tables = await standing()
    const planned = planTables(policy, await capture.catalogue(session.run, policy.schemas))
    const context = encodeParts({ ...currentScope()?.read(), origin: 'migration' })
    for (const captured of tables) {
      const { schema, name } = captured
      const known = planned.find(({ table }) => table.schema === schema && table.name === name)
      const entry: NewEntry = {
        ref: `run-${randomUUID()}`,
        at: new Date(),
        kind: 'event',
        action: 'SKIPPED',
        target: { model: known?.table.model ?? `${schema}.${name}`, id: null },
        details: { lifted: true },
        context,
      }
      await turns.patiently(async (run) => {
        for (const statement of capture.remove(captured)) await run(statement)
        const record = dialect.record([entry], true)
        await run(record.sql, record.parameters)
      })
    }
    return tables.length > 0
  }

  return async <T>(
    policy: Policy | undefined,
    tool: (context: string) => Promise<T>,
    options: RunOptions = {},
  ): Promise<ToolRun<T>> => {
    const { wait = defaultWait, lift = capture.blocksMigrations ?? false } = options
    if (inRun || !trail.hold) return runTool(policy, tool, lift)
    let done: ToolRun<T> | undefined
    try {
      return await trail.hold(holding, wait, async () => (done = await runTool(policy, tool, lift)))
    } catch (error) {
      // what the tool did must not get lost behind it
      if (!done) throw error
      return {
        ...done,
        warnings: [
          ...done.warnings,
          'the lock was lost while the tool worked: others may have come in between',
        ],
      }
    }
  }
}
