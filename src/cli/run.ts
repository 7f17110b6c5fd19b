import { AsyncLocalStorage } from 'node:async_hooks'
import { randomUUID } from 'node:crypto'
import { openDatabase } from '../database/open.ts'
import type { ToolRun } from '../index.ts'
import { inRun, markedEnvironment } from './environment.ts'
import { failureLine, usage } from './failure.ts'
import { note } from './output.ts'
import { type GlobalOptions, operator, type Session, withSession } from './session.ts'
import { commandLine, type Ended, runTool, toolName } from './tool.ts'

export interface RunCommand extends GlobalOptions {
  readonly wait?: number
  readonly lift?: boolean
  /** `false` with --no-mark. */
  readonly mark?: boolean
}

/**
 * Runs a migration tool as the one line of a deployment: others are kept out meanwhile, what it writes is known as a
 * migration's, and the triggers are brought up to date behind it, whatever became of it. Answers its exit code.
 */
export async function run(options: RunCommand, ...command: string[]): Promise<number> {
  if (command.length === 0)
    throw usage('run was given no command.', 'Write: whodunit run -- npx drizzle-kit migrate')
  let ended: Ended | undefined
  let done: Partial<ToolRun<unknown>>
  try {
    done = await withSession(options, async (session) => {
      if (session.shared) return inSession(session, options, command, (how) => (ended = how))
      return undefined
    }).then(async (shared) => {
      if (shared) return shared
      // who has such a database open is alone with it: it has to be closed meanwhile
      ended = await runTool(command, inRun)
      return withSession(options, async (session) => ({ report: await migrateAs(session, command) }))
    })
  } catch (failure) {
    if (!ended) throw failure
    done = { failure } // what the tool did must not get lost behind it
  }
  return report(command, ended!, done)
}

function inSession(
  session: Session,
  options: RunCommand,
  command: readonly string[],
  tell: (ended: Ended) => void,
): Promise<ToolRun<unknown>> {
  const { audit, database, found } = session
  const outside = AsyncLocalStorage.snapshot()
  const waiting = setTimeout(() => note('whodunit: waiting for another run or migrate to end'), 1_500)
  return audit.withContext(contextOf(command), () =>
    database.setup
      .run(
        found ? audit.policy : undefined,
        async (context) => {
          clearTimeout(waiting)
          const marks = options.mark === false ? {} : await outside(() => marksFor(session, context))
          tell(await runTool(command, { ...marks, ...inRun }))
        },
        {
          ...(options.wait === undefined ? {} : { wait: options.wait * 1_000 }),
          ...(options.lift === undefined ? {} : { lift: options.lift }),
        },
      )
      .finally(() => clearTimeout(waiting)),
  )
}

function migrateAs({ audit, database, found }: Session, command: readonly string[]) {
  return audit.withContext(contextOf(command), () => database.setup.migrate(found ? audit.policy : undefined))
}

function contextOf(command: readonly string[]) {
  const { actor: onBehalfOf } = operator()
  return {
    actor: { type: 'job', id: toolName(command), ...(onBehalfOf ? { onBehalfOf } : {}) },
    request: { id: randomUUID() },
    reason: commandLine(command),
    origin: 'migration',
  } as const
}

/** Variables for the tool; none where the database does not take a mark, which must not keep the tool from its work. */
async function marksFor(
  { url, database, clientsFrom }: Session,
  context: string,
): Promise<Record<string, string>> {
  const { mark } = database.setup
  if (!mark) return {}
  const marked = mark.url(url, context)
  if (marked !== undefined) {
    const refusal = await refusalOf(marked, context, clientsFrom)
    if (refusal) {
      note(
        `warning: what the tool writes is recorded as if nobody were known, for the database takes no mark: ${refusal} A pooler in between needs to be passed by: give the direct port.`,
      )
      return {}
    }
  }
  return markedEnvironment(process.env, url, context, mark)
}

/** Why sessions opened by this URL do not begin with the context. */
async function refusalOf(
  url: string,
  context: string,
  clientsFrom: readonly string[],
): Promise<string | undefined> {
  try {
    const { database, close } = await openDatabase(url, { clientsFrom })
    try {
      return (await database.probe()) === context ? undefined : 'it did not arrive.'
    } finally {
      await database.close()
      await close()
    }
  } catch (error) {
    return failureLine(error)
  }
}

function report(command: readonly string[], { code, how }: Ended, done: Partial<ToolRun<unknown>>): number {
  const name = toolName(command)
  for (const sentence of done.report?.done ?? []) note(`whodunit: ${sentence}`)
  for (const warning of [...(done.warnings ?? []), ...(done.report?.warnings ?? [])])
    note(`warning: ${warning}`)
  if (done.report) {
    if (code !== 0) note(`whodunit: ${name} ${how}; the triggers are up to date with what it did`)
    return code
  }
  note(failureLine(done.failure))
  note(
    `whodunit: ${name} ${how}${code === 0 ? ', its work is done' : ''}; bringing the triggers up to date failed: run whodunit migrate`,
  )
  return code === 0 ? 2 : code
}
