import { existsSync, readFileSync } from 'node:fs'
import { dirname, extname, join, resolve } from 'node:path'
import * as whodunit from '../index.ts'
import { type AuditConfig, AuditError, defineAudit, isAuditError } from '../index.ts'

/** In each folder, the first of these that is there. */
const configNames: readonly string[] = [
  'whodunit.config.ts',
  'whodunit.config.js',
  'whodunit.config.mjs',
  'whodunit.config.json',
]

export interface FoundConfig {
  /** Its full path. */
  readonly file: string
  readonly config: AuditConfig
}

/** The configuration nearest to `folder`: there, or in the folders above. */
export function findConfig(folder: string): string | undefined {
  const found = configNames.map((name) => join(folder, name)).find((file) => existsSync(file))
  const above = dirname(folder)
  return found ?? (above === folder ? undefined : findConfig(above))
}

/**
 * Loads the named configuration, or the nearest one; `undefined` where there is none.
 *
 * @throws AUDIT_CONFIG_NOT_FOUND for a named file that is not there, AUDIT_CONFIG_UNREADABLE, and what `defineAudit` throws
 */
export async function loadConfig(
  named: string | undefined,
  folder: string,
): Promise<FoundConfig | undefined> {
  const file = named === undefined ? findConfig(folder) : resolve(folder, named)
  if (file === undefined) return undefined
  if (!existsSync(file)) {
    throw new AuditError(
      'AUDIT_CONFIG_NOT_FOUND',
      `There is no configuration ${file}.`,
      'Give the path of a whodunit.config.ts by --config.',
    )
  }
  return { file, config: await read(file) }
}

async function read(file: string): Promise<AuditConfig> {
  let value: unknown
  try {
    value = extname(file) === '.json' ? JSON.parse(readFileSync(file, 'utf8')) : await evaluate(file)
  } catch (error) {
    if (isAuditError(error)) throw error // from its defineAudit()
    throw unreadable(
      file,
      `${messageOf(error)}${place(error, file)}`,
      'Mend it, or give another by --config.',
      error,
    )
  }
  if (typeof value !== 'object' || value === null) {
    throw unreadable(file, 'it exports no configuration', 'Write: export default defineAudit({ ... })')
  }
  return defineAudit(value as AuditConfig)
}

async function evaluate(file: string): Promise<unknown> {
  const { createJiti } = await import('jiti')
  // `import 'whodunit'` in it is this very copy, also where the project has none installed
  const jiti = createJiti(file, { fsCache: false, moduleCache: false, virtualModules: { whodunit } })
  const module = await jiti.import<{ default?: unknown }>(file)
  return 'default' in module ? module.default : undefined
}

function unreadable(file: string, what: string, hint: string, cause?: unknown): AuditError {
  return new AuditError('AUDIT_CONFIG_UNREADABLE', `${file} could not be loaded: ${what}.`, hint, { cause })
}

function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\s+/g, ' ').trim()
}

/** Line and column, where the message does not have them. */
function place(error: unknown, file: string): string {
  const { message = '', stack = '' } = error as Partial<Error>
  const at = stack.split('\n').find((line) => line.includes(`${file}:`))
  const position = at && /:(\d+:\d+)\)?$/.exec(at.trim())?.[1]
  return position && !message.includes(`${file}:`) ? ` at ${file}:${position}` : ''
}
