import { userInfo } from 'node:os'
import { dirname } from 'node:path'
import { openDatabase } from '../database/open.ts'
import { type Audit, type AuditDatabase, AuditError, createAudit } from '../index.ts'
import { type FoundConfig, loadConfig } from './config.ts'
import { version } from './version.ts'

/** The options that every command takes. */
export interface GlobalOptions {
  readonly config?: string
  readonly database?: string
  readonly json?: boolean
}

/** What a command works on. */
export interface Session {
  readonly audit: Audit
  readonly database: AuditDatabase
  /** The configuration, if one was found. */
  readonly found: FoundConfig | undefined
  /** Of the database; it may hold a password. */
  readonly url: string
  /** Folders whose installed clients are taken. */
  readonly clientsFrom: readonly string[]
  /** Whether other processes may write to the database meanwhile. */
  readonly shared: boolean
  /** What went wrong while entries of this run were stored. */
  readonly failures: readonly unknown[]
}

/** Opens what the options and the configuration name, and closes it whatever happens. */
export async function withSession<T>(
  options: GlobalOptions,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const found = await loadConfig(options.config, process.cwd())
  const { url: configured, ...policy } = found?.config ?? {}
  const url = options.database ?? configured
  const folder = found && dirname(found.file)
  if (!url) throw noDatabase(found)
  const clientsFrom = [process.cwd(), ...(folder ? [folder] : [])]
  const base = options.database === undefined && folder ? { base: folder } : {}
  const opened = await openDatabase(url, { ...base, clientsFrom })
  try {
    const failures: unknown[] = []
    const audit = createAudit({
      ...policy,
      database: opened.database,
      app: { name: 'whodunit', release: version },
      onError: (error) => failures.push(error),
    })
    try {
      return await work({
        audit,
        database: opened.database,
        found,
        url,
        clientsFrom,
        shared: opened.shared,
        failures,
      })
    } finally {
      await audit.close()
    }
  } finally {
    await opened.close()
  }
}

function noDatabase(found: FoundConfig | undefined): AuditError {
  const [message, hint] = found
    ? [
        `${found.file} has no url, or an empty one.`,
        'Set the variable that it is taken from, or give --database URL.',
      ]
    : [
        'No whodunit.config.ts (.js, .mjs, .json) was found from this folder upwards, and no database was named.',
        'Give --database URL or --config FILE.',
      ]
  return new AuditError('AUDIT_CONFIG_NOT_FOUND', message, hint)
}

/** Who runs the command, as the system knows them; nobody is guessed. */
export function operator(): { actor?: { type: 'user'; id: string } } {
  try {
    return { actor: { type: 'user', id: userInfo().username } }
  } catch {
    return {}
  }
}
