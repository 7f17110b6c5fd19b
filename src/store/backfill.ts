import type { PlannedTable, TablePlan } from '../capture/plan.ts'
import { currentScope, encodeParts, isAuditError, type MigrateOptions } from '../core/internal.ts'
import type { BackfillDialect, BackfillResult, Dialect } from '../dialect/dialect.ts'
import type { Turns } from './turns.ts'

/** Rows a transaction: few, since nobody can change them until it ends. */
const batchSize = 1_000
const tries = 3

interface Filled {
  readonly done: string[]
  readonly warnings: string[]
}

/** What a backfill would do. */
export function describeBackfill(planned: readonly PlannedTable[], backfill: BackfillDialect): Filled {
  const plans = planned.flatMap(({ plan }) => (plan ? [plan] : []))
  return {
    done: plans
      .filter((plan) => !backfill.impossible(plan))
      .map(({ model }) => `gave the rows of ${model} that had none a first entry`),
    warnings: plans.flatMap((plan) => refusal(plan, backfill)),
  }
}

function refusal(plan: TablePlan, backfill: BackfillDialect): string[] {
  const why = backfill.impossible(plan)
  return why ? [`${plan.model} was not backfilled: ${why}`] : []
}

/**
 * Gives existing rows their first entries, table by table. Answers what was done, and what could not be, a sentence each.
 * Every batch is a step of its own: what is interrupted goes on where it was, since rows that have an entry get no other.
 */
export async function backfillTables(
  planned: readonly PlannedTable[],
  dialect: Dialect,
  backfill: BackfillDialect,
  turns: Turns,
  onProgress: MigrateOptions['onProgress'],
): Promise<Filled> {
  const filled: Filled = { done: [], warnings: [] }
  const context = encodeParts({ ...currentScope()?.read(), origin: 'backfill' })
  for (const { plan } of planned) {
    if (!plan) continue
    const { model } = plan
    const refused = refusal(plan, backfill)
    filled.warnings.push(...refused)
    if (refused.length > 0) continue
    let entries = 0
    const step = (cursor: string | null, wait: boolean): Promise<BackfillResult> =>
      withTries(dialect, () =>
        (wait ? turns.alone : turns.patiently)((run) =>
          backfill.batch(run, plan, { cursor, limit: batchSize, context, wait }),
        ),
      )
    try {
      const complete = await fillTable(step, dialect, (made) => {
        entries += made
        onProgress?.({ model, entries })
      })
      if (!complete) filled.warnings.push(`some rows of ${model} are held by other work: ${goOn}`)
    } catch (error) {
      const explained = dialect.explain(error)
      if (!isAuditError(explained, 'AUDIT_DATABASE_RIGHTS')) throw error
      filled.warnings.push(`${model} was not backfilled: ${explained.message}`)
    }
    if (entries > 0)
      filled.done.push(`gave ${entries} ${entries === 1 ? 'row' : 'rows'} of ${model} a first entry`)
  }
  return filled
}

const goOn = 'they have no first entry yet, run migrate --backfill again'

/** Goes through a table. Answers whether every row has its first entry. */
async function fillTable(
  step: (cursor: string | null, wait: boolean) => Promise<BackfillResult>,
  dialect: Dialect,
  tell: (made: number) => void,
): Promise<boolean> {
  let complete = true
  let cursor: string | null = null
  do {
    const { next, made, again }: BackfillResult = await step(cursor, false)
    if (made > 0) tell(made)
    // of locked rows, one a transaction: who waits for a lock while holding others could end in a deadlock
    for (let locked = again; locked !== null;) {
      const waited: BackfillResult | null = complete
        ? await step(locked, true).catch((error: unknown) => {
            if (isAuditError(dialect.explain(error), 'AUDIT_DATABASE_LOCKED')) return null
            throw error
          })
        : null
      complete &&= waited !== null
      if (waited && waited.made > 0) tell(waited.made)
      locked = waited?.again ?? null
    }
    cursor = next
  } while (cursor !== null)
  return complete
}

/** A row that moves to another partition meanwhile is an error of the server's, and none the next time. */
async function withTries<T>(dialect: Dialect, work: () => Promise<T>): Promise<T> {
  for (let n = 1; ; n++) {
    try {
      return await work()
    } catch (error) {
      if (n >= tries || isAuditError(dialect.explain(error))) throw error
    }
  }
}
