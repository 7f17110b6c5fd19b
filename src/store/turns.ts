import { setTimeout as sleep } from 'node:timers/promises'
import { isAuditError } from '../core/internal.ts'
import type { Dialect, RunSql, Session } from '../dialect/dialect.ts'

/** Set for a migration tool and all that it starts: whoever waits for it holds the database for it. */
export const runVariable = 'WHODUNIT_RUN'

/** Milliseconds in which it is tried again what others hold. Each try is as short as the dialect makes it. */
const patience = 15_000

/** The steps of a migration, each a transaction of its own between which others get their turn. */
export interface Turns {
  /** A transaction that no step of another migration comes into. */
  alone<T>(step: (run: RunSql) => Promise<T>): Promise<T>
  /** The same, and again where others hold a lock for too long: what `step` did before is undone. */
  patiently<T>(step: (run: RunSql) => Promise<T>): Promise<T>
}

/** `inRun`: the caller, or who waits for it, holds the database for a run of a migration tool. */
export function createTurns(session: Session, dialect: Dialect, inRun: boolean): Turns {
  const alone = <T>(step: (run: RunSql) => Promise<T>): Promise<T> =>
    session.transaction((run) => dialect.trail.alone(run, () => step(run), inRun))
  return {
    alone,
    async patiently(step) {
      const end = Date.now() + patience
      for (;;) {
        try {
          return await alone(step)
        } catch (error) {
          if (Date.now() > end || !isAuditError(dialect.explain(error), 'AUDIT_DATABASE_LOCKED')) throw error
          await sleep(100)
        }
      }
    },
  }
}
