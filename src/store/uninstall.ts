import type { Dialect, Session } from '../dialect/dialect.ts'
import { recordSetup } from './setup-entry.ts'
import { standingCapture } from './standing.ts'
import type { Turns } from './turns.ts'

/** Takes capture off every table, which leaves an entry; and with `withTrail` removes all entries too. */
export async function uninstall(
  session: Session,
  dialect: Dialect,
  turns: Turns,
  withTrail: boolean,
): Promise<readonly string[]> {
  const { trail, capture } = dialect
  const done: string[] = []
  for (const table of await standingCapture(session, dialect)) {
    await turns.patiently(async (run) => {
      for (const sql of capture.remove(table)) await run(sql)
    })
    done.push(`removed capture from ${table.schema}.${table.name}`)
  }
  if (await trail.installed(session.run)) {
    await turns.patiently(async (run) => {
      for (const sql of capture.sweep) await run(sql)
      if (done.length > 0) await recordSetup(dialect, run, 'UNINSTALL', { done: done.slice(0, 100) })
    })
  }
  if (withTrail) {
    await turns.patiently(async (run) => {
      for (const sql of trail.drop) await run(sql)
    })
    done.push('removed the trail with all its entries')
  }
  return done
}
