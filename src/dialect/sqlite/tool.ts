import { setTimeout as sleep } from 'node:timers/promises'
import { AuditError } from '../../core/internal.ts'
import type { RunSql, TrailDialect } from '../dialect.ts'

/*
 * A run of a migration tool is known by a row with the process that waits for the tool. A lock of the file itself would
 * keep the tool from writing. The file is of this machine, so whether the process is still there can be asked.
 */

const table = `create table if not exists whodunit_run (process integer)`

export const alone: TrailDialect['alone'] = async (run, work, inRun = false) => {
  if (!inRun && (await holder(run)) !== undefined) throw atWork()
  return work() // the transaction is the only one that may write
}

export const hold: NonNullable<TrailDialect['hold']> = async (session, wait, work) => {
  for (const until = Date.now() + wait; ; await sleep(200)) {
    const taken = await session.transaction(async (run) => {
      if ((await holder(run)) !== undefined) return false
      await run(table)
      await run('delete from whodunit_run')
      await run('insert into whodunit_run (process) values (?)', [process.pid])
      return true
    })
    if (taken) break
    if (Date.now() > until) throw atWork()
  }
  try {
    return await work()
  } finally {
    await session.run('drop table if exists whodunit_run')
  }
}

async function holder(run: RunSql): Promise<number | undefined> {
  const [there] = await run(`select 1 from sqlite_master where type = 'table' and name = 'whodunit_run'`)
  const [row] = there ? await run('select process from whodunit_run') : []
  return row && isRunning(Number(row['process'])) ? Number(row['process']) : undefined
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function atWork(): AuditError {
  return new AuditError(
    'AUDIT_DATABASE_LOCKED',
    'Another whodunit run is at work on this database.',
    'Try again when it has ended.',
  )
}
