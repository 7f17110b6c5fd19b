import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { AuditError } from '../../core/internal.ts'

/** A client as the user's project has it installed: the first of these folders that does; then our own. */
export async function loadInstalled(name: string, folders: readonly string[]): Promise<unknown> {
  for (const folder of folders) {
    let path: string
    try {
      path = createRequire(join(folder, 'package.json')).resolve(name)
    } catch {
      continue
    }
    return exportsOf(await import(pathToFileURL(path).href))
  }
  try {
    return exportsOf(await import(name))
  } catch (error) {
    const missing =
      (error as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND' && String(error).includes(`'${name}'`)
    if (!missing) throw error
    throw new AuditError(
      'AUDIT_CLIENT_MISSING',
      `The package ${name} is not installed.`,
      `Run: npm install ${name}`,
    )
  }
}

/** A CommonJS package comes as the default export. */
function exportsOf(module: { default?: object }): unknown {
  return { ...module.default, ...module }
}
