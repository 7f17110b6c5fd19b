import type { BackfillProgress } from '../index.ts'
import { entryJson } from './print.ts'
import { note, stdout } from './output.ts'
import { filterHints } from './schema-tools.ts'
import { type GlobalOptions, operator, withSession } from './session.ts'

export interface MigrateCommand extends GlobalOptions {
  readonly dryRun?: boolean
  readonly backfill?: boolean
}

/** Makes or updates the trail and the triggers. Without a configuration, by the policy that the trail has stored. */
export async function migrate(options: MigrateCommand): Promise<number> {
  const dryRun = options.dryRun === true
  const asked = { dryRun, backfill: options.backfill === true, onProgress: teller() }
  const { report, trailTables } = await withSession(options, async ({ audit, database, found }) => ({
    trailTables: database.setup.tables,
    report: await audit.withContext({ ...operator(), origin: 'cli' }, () =>
      found ? audit.migrate(asked) : database.setup.migrate(undefined, asked),
    ),
  }))
  if (options.json) {
    await stdout.write(`${entryJson({ dryRun, ...report }, 2)}\n`)
    return 0
  }
  const { done, warnings, tables, fingerprint } = report
  if (done.length === 0) await stdout.write('Everything is in place.\n')
  else if (dryRun) await stdout.write('Nothing was changed. Without --dry-run, this would be reported:\n')
  for (const sentence of done) await stdout.write(`${dryRun ? '  ' : ''}${sentence}\n`)
  const skipped = tables.filter(({ state }) => state === 'skipped').length
  await stdout.write(
    `${count(tables.length - skipped, 'table')} audited, ${skipped} skipped, policy ${fingerprint.slice(0, 12)}\n`,
  )
  for (const warning of warnings) note(`warning: ${warning}`)
  if (done.length > 0) for (const hint of filterHints(process.cwd(), trailTables)) note(hint)
  return 0
}

/** Says how far a backfill is, every few seconds. */
function teller(): (progress: BackfillProgress) => void {
  let last = Date.now()
  return ({ model, entries }) => {
    if (Date.now() - last < 5_000) return
    last = Date.now()
    note(`${model}: ${entries} rows so far`)
  }
}

function count(number: number, name: string): string {
  return `${number} ${name}${number === 1 ? '' : 's'}`
}
