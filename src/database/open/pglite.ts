import { existsSync, readdirSync, readlinkSync, realpathSync } from 'node:fs'
import { join, resolve, sep } from 'node:path'
import { AuditError } from '../../core/internal.ts'
import { fromPglite, type PgliteLike } from '../postgres.ts'
import { unreachable } from './failure.ts'
import { loadInstalled } from './installed.ts'
import type { OpenDatabase } from './opened.ts'

type Pglite = PgliteLike & { close(): Promise<void> }

export async function openPglite(
  path: string,
  base: string,
  clientsFrom: readonly string[],
): Promise<OpenDatabase> {
  const folder = resolve(base, path)
  if (path === '' || !existsSync(join(folder, 'PG_VERSION'))) {
    const what =
      path === ''
        ? 'pglite: names no folder.'
        : `${folder} ${existsSync(folder) ? 'is no data folder of PGlite' : 'does not exist'}.`
    throw new AuditError(
      'AUDIT_DATABASE_URL',
      what,
      'Give the folder that the application opens: no new database is made here.',
    )
  }
  refuseIfOpen(folder)
  const { PGlite } = (await loadInstalled('@electric-sql/pglite', clientsFrom)) as {
    PGlite: { create(dataDir: string): Promise<Pglite> }
  }
  const client = await PGlite.create(folder).catch((error: unknown) => {
    throw unreachable(error)
  })
  return { database: fromPglite(client), shared: false, close: () => client.close() }
}

/**
 * PGlite does not lock its folder, and a second process spoils it. Where the system tells who has files open (Linux), that
 * is asked. Elsewhere the file that PGlite removes when it closes decides, as with PostgreSQL; a killed process leaves it.
 */
function refuseIfOpen(folder: string): void {
  const mark = join(folder, 'postmaster.pid')
  const hint = 'PGlite lets one process in at a time: stop that one first.'
  if (existsSync('/proc/self/fd')) {
    const holder = processWithFilesIn(realpathSync(folder) + sep)
    if (holder) throw new AuditError('AUDIT_DATABASE_LOCKED', `Process ${holder} has ${folder} open.`, hint)
  } else if (existsSync(mark)) {
    throw new AuditError(
      'AUDIT_DATABASE_LOCKED',
      `${folder} is open in another process, or was not closed.`,
      `${hint} If there is none, delete ${mark}.`,
    )
  }
}

function processWithFilesIn(folder: string): string | undefined {
  const others = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && name !== String(process.pid))
  return others.find((pid) => {
    try {
      return readdirSync(`/proc/${pid}/fd`).some((fd) => linkOf(`/proc/${pid}/fd/${fd}`).startsWith(folder))
    } catch {
      return false // it ended meanwhile, or belongs to another user
    }
  })
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}
