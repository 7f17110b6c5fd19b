import { Command, CommanderError, Option } from 'commander'
import { failureLine, failureStack } from './failure.ts'
import { addFilters, wholeNumber } from './filters.ts'
import { note, OutputClosed, stdout } from './output.ts'
import { version } from './version.ts'

/** Runs the command line and answers its exit code: 0 ok, 1 found something, 2 could not run. Never throws. */
export async function run(args: readonly string[]): Promise<number> {
  let code = 0
  try {
    const program = createProgram((result) => {
      code = result
    })
    await program.parseAsync([...args], { from: 'user' })
    await stdout.flush()
    return code
  } catch (error) {
    if (error instanceof OutputClosed) return 0
    if (error instanceof CommanderError && /^commander\.(help|helpDisplayed|version)$/.test(error.code))
      return error.exitCode === 0 ? 0 : 2
    await stdout.flush().catch(() => {})
    note(failureLine(error))
    if (process.env['WHODUNIT_DEBUG'] === '1') note(failureStack(error))
    return 2
  }
}

type Work = (options: never, ...words: string[]) => Promise<number>

function createProgram(done: (code: number) => void): Command {
  const program = new Command('whodunit')
    .description('The audit trail: who did what, to what, when, from where and why.')
    .version(version, '--version', 'the version of this package')
    .helpOption('--help', 'help, also of a command')
    .option(
      '--config <FILE>',
      'the configuration (default: whodunit.config.ts, .js, .mjs or .json, here or above)',
    )
    .option(
      '--database <URL>',
      'postgres://..., mysql://..., mariadb://... or pglite:DIR (default: the url of the configuration)',
    )
    .option('--json', 'answer in JSON')
    .exitOverride()
    .configureOutput({ outputError: () => {} })
    .configureHelp({ showGlobalOptions: true })
    .addHelpText(
      'after',
      '\nExit codes: 0 ok, 1 found something, 2 could not run. Times are UTC. WHODUNIT_DEBUG=1 prints stacks.',
    )

  // each command is loaded when it is called: the others would only cost time
  const command = (name: string, description: string, load: () => Promise<Work>): Command => {
    const made = program.command(name).description(description).helpOption('--help', 'help')
    return made.action(async () => {
      const work = await load()
      done(await work(made.optsWithGlobals(), ...made.args))
    })
  }

  command(
    'migrate',
    'make or update the trail and the triggers',
    async () => (await import('./migrate.ts')).migrate,
  )
    .option('--dry-run', 'only say what would be done')
    .option('--backfill', 'give each row that is there already, and has no entry, a first one')
  command(
    'run',
    'run a migration tool: others kept out, its writes known as such, the triggers brought up to date behind it',
    async () => (await import('./run.ts')).run,
  )
    .argument('[-- COMMAND...]', 'the tool, behind --; its exit code is the answer')
    .option('--wait <SECONDS>', 'for another run or migrate to end (default: 60)', wholeNumber)
    .option('--lift', 'take all triggers off while the tool works; leaves SKIPPED entries')
    .option('--no-mark', 'do not mark what the tool writes')
  command(
    'status',
    'each table: audited, skipped, drifted, missing or off; exit code 1 unless all is well',
    async () => (await import('./status.ts')).status,
  )
  command(
    'uninstall',
    'remove the triggers; the trail is kept',
    async () => (await import('./uninstall.ts')).uninstall,
  )
    .option('--trail', 'remove the trail too, with all its entries')
    .option('--yes', 'yes, remove it')
  addFilters(command('log', 'entries, newest first', async () => (await import('./log.ts')).log)).argument(
    '[MODEL/ID]',
    'the history of one object, or a MODEL',
  )
  addFilters(command('tail', 'the newest entries', async () => (await import('./tail.ts')).tail)).option(
    '-f, --follow',
    'and whatever is committed from now on',
  )
  command('summary', 'counts of the last days', async () => (await import('./summary.ts')).summary)
    .option('--days <N>', 'the last N days (default: 30)', wholeNumber)
    .option('--since <WHEN>', 'from then on, in place of --days')
    .option('--actor <ID>', 'of this actor')
    .option('--model <MODEL>', 'of this table')
    .option('--tenant <ID>', 'of this tenant')
  addFilters(
    command(
      'export',
      'entries as a file; recorded in the trail',
      async () => (await import('./export.ts')).exportEntries,
    ),
  )
    .addOption(new Option('--format <FORMAT>', 'how').choices(['csv', 'jsonl']).makeOptionMandatory())
    .option('--out <FILE>', 'where to (default: stdout)')
  return program
}
