import { AuditError } from '../../core/internal.ts'
import type { RunSql, TrailDialect } from '../dialect.ts'
import { literal, ownMode } from './quote.ts'

/** A migration waits this long, in seconds, for whoever holds a table, or is migrating too. */
const patience = 5

// Names of locks are of the whole server, and short. They end with their connection
const lockName = (what: string): string => `concat('whodunit ${what} ', left(sha1(database()), 40))`

export const alone: TrailDialect['alone'] = (run, work, inRun = false) => {
  const step = () => locked(run, 'step', patience, () => withOwnSettings(run, work))
  return inRun ? step() : locked(run, 'run', patience, step)
}

async function withOwnSettings<T>(run: RunSql, work: () => Promise<T>): Promise<T> {
  const names = ['sql_mode', 'lock_wait_timeout', 'innodb_lock_wait_timeout']
  const [was] = await run(`select ${names.map((of) => `@@session.${of} as ${of}`).join(', ')}`)
  try {
    await run(`set session lock_wait_timeout = ${patience}, innodb_lock_wait_timeout = ${patience}`)
    await run(ownMode)
    return await work()
  } finally {
    await run('unlock tables')
    // the connection may be one of the application's
    const back = names.map(
      (of) => `${of} = ${typeof was![of] === 'string' ? literal(was![of]) : Number(was![of])}`,
    )
    await run(`set session ${back.join(', ')}`)
  }
}

export const hold: NonNullable<TrailDialect['hold']> = (session, wait, work) =>
  session.connection(async (run) => {
    await run('set session wait_timeout = 604800') // idle for as long as the tool takes
    return locked(run, 'run', Math.ceil(wait / 1_000), work)
  })

async function locked<T>(run: RunSql, what: string, seconds: number, work: () => Promise<T>): Promise<T> {
  const [got] = await run(`select get_lock(${lockName(what)}, ${seconds}) as got`)
  if (Number(got?.['got']) !== 1) {
    throw new AuditError(
      'AUDIT_DATABASE_LOCKED',
      'Another whodunit run or migrate is at work on this database.',
      'Try again when it has ended.',
    )
  }
  try {
    return await work()
  } finally {
    await run(`do release_lock(${lockName(what)})`)
  }
}
