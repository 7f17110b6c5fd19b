import { AuditError, type SessionMark } from '../../core/internal.ts'
import type { RunSql, TrailDialect } from '../dialect.ts'

/** Held by a run of a migration tool from its beginning to its end; shared by every other step of a migration. */
const runs = `hashtextextended('whodunit run', 0)`
/** Held by each step of a migration. */
const steps = `hashtextextended('whodunit migrate', 0)`

/** Whatever the default is: what others did before they let go of a lock has to be seen, and nothing kept from them. */
const readCommitted = 'set transaction isolation level read committed'

// Locks of transactions, not of sessions: they work behind a transaction pooler, and end with the connection

export const alone: TrailDialect['alone'] = async (run, work, inRun = false) => {
  await run(readCommitted)
  await run(`set local lock_timeout = '5s'`)
  if (!inRun) await lock(run, `select pg_advisory_xact_lock_shared(${runs})`)
  await run(`set local lock_timeout = '60s'`)
  await lock(run, `select pg_advisory_xact_lock(${steps})`)
  // Writers queue behind whoever waits for a table, so never for long; and given up before the server looks for
  // deadlocks, so that it is never a writer whom it chooses to end one
  await run(
    `select set_config('lock_timeout', greatest(setting::int / 2, 1) || 'ms', true) from pg_settings where name = 'deadlock_timeout'`,
  )
  return work()
}

/** An open transaction that holds no snapshot and no lock of a table: neither VACUUM nor CREATE INDEX CONCURRENTLY waits. */
export const hold: NonNullable<TrailDialect['hold']> = (session, wait, work) =>
  session.transaction(async (run) => {
    await run(readCommitted)
    await run(
      `select set_config(name, '0', true) from pg_settings
       where name in ('idle_in_transaction_session_timeout', 'transaction_timeout', 'statement_timeout')`,
    )
    await run(`select set_config('lock_timeout', $1, true)`, [`${Math.max(1, Math.round(wait))}ms`])
    await lock(run, `select pg_advisory_xact_lock(${runs})`)
    return work()
  })

async function lock(run: RunSql, sql: string): Promise<void> {
  try {
    await run(sql)
  } catch (error) {
    if ((error as { code?: unknown }).code !== '55P03') throw error
    throw new AuditError(
      'AUDIT_DATABASE_LOCKED',
      'Another whodunit run or migrate is at work on this database.',
      'Try again when it has ended.',
      { cause: error },
    )
  }
}

/** The context as a setting that a session begins with: in PGOPTIONS, and as `options` in a URL. */
export const mark: SessionMark = {
  variables: (context, { PGOPTIONS }) => ({
    PGOPTIONS: PGOPTIONS ? `${PGOPTIONS} ${option(context)}` : option(context),
  }),
  url(url, context) {
    // URLs with such faults are mended by node-postgres, in a way that encoded options do not survive
    if (!/^postgres(ql)?:\/\//i.test(url) || /\s|#|%(?![0-9a-f]{2})/i.test(url)) return undefined
    const [base = '', query = ''] = url.split(/\?(.*)/s)
    const added = encodeURIComponent(option(context))
    const given = query.split('&').filter((item) => item !== '')
    const items = given.map((item) => (item.startsWith('options=') ? `${item}%20${added}` : item))
    if (!given.some((item) => item.startsWith('options='))) items.push(`options=${added}`)
    return `${base}?${items.join('&')}`
  },
}

/** As the server takes options apart: at white space, where no backslash stands in front of it. */
function option(context: string): string {
  return `-c whodunit.context=${context.replace(/[\\ \t\n\v\f\r]/g, '\\$&')}`
}
