import { usage } from './failure.ts'
import { entryJson } from './print.ts'
import { stdout } from './output.ts'
import { type GlobalOptions, withSession } from './session.ts'

export interface UninstallCommand extends GlobalOptions {
  readonly trail?: boolean
  readonly yes?: boolean
}

/** Removes the triggers, and keeps the trail unless `--trail --yes` says otherwise. */
export async function uninstall(options: UninstallCommand): Promise<number> {
  const trail = options.trail === true
  if (trail && !options.yes)
    throw usage('--trail removes all entries of the trail for good.', 'Add --yes if that is what you want.')
  const done = await withSession(options, ({ database }) => database.setup.uninstall({ trail }))
  if (options.json) {
    await stdout.write(`${entryJson({ done }, 2)}\n`)
    return 0
  }
  for (const sentence of done) await stdout.write(`${sentence}\n`)
  if (done.length === 0) await stdout.write('No table had capture.\n')
  if (!trail) await stdout.write('The trail was kept, with all its entries.\n')
  return 0
}
