import type { TrailSetup } from '../core/internal.ts'
import type { Dialect, Session } from '../dialect/dialect.ts'
import { hashValues } from './hash.ts'
import { createMigrate } from './migrate.ts'
import { createRun } from './run.ts'
import { standingCapture } from './standing.ts'
import { createStatus } from './status.ts'
import { createTurns, runVariable } from './turns.ts'
import { uninstall } from './uninstall.ts'

/** Sets up the trail and capture over a session and a dialect; `holding` is for a lock that outlasts the session's steps. */
export function createTrailSetup(session: Session, dialect: Dialect, holding: Session): TrailSetup {
  const inRun = process.env[runVariable] !== undefined
  const turns = createTurns(session, dialect, inRun)
  const migrate = createMigrate(session, dialect)
  const { status, check } = createStatus(session, dialect)
  const run = createRun(session, holding, dialect, inRun, {
    standing: () => standingCapture(session, dialect),
    migrate: (policy) => migrate(policy, {}, createTurns(session, dialect, true)),
  })
  const explained = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (error) {
      throw dialect.explain(error)
    }
  }

  return {
    migrate: (policy, options = {}) => explained(() => migrate(policy, options, turns)),
    run: (policy, tool, options) => explained(() => run(policy, tool, options)),
    mark: dialect.mark,
    tables: dialect.trail.tables ?? [],
    status: (policy) => explained(() => status(policy)),
    check: (policy) => explained(() => check(policy)),
    uninstall: ({ trail = false } = {}) => explained(() => uninstall(session, dialect, turns, trail)),
    hash: (values) => explained(() => hashValues(dialect, session.run, values)),
  }
}
