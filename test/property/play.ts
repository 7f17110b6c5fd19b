import { type Change, rebuild, type Row, type Table as Base } from '../capture/replay/rebuild.ts'
import { type Engine, keyOf, type Place, type Table } from './engine.ts'
import { connections, type History, type Step } from './history.ts'
import { alteration, tablesOf } from './schema.ts'
import { statement } from './statements.ts'

/** How much a history did; what was refused is not counted. */
export interface Played {
  readonly writes: number
  readonly refused: number
  readonly changes: number
  readonly alterations: number
}

type OnConnection = Extract<Step, { on: number }>

/**
 * Plays a history, and throws where the tables are not what the trail says: at its end, and before each change of a schema,
 * since what that does to rows is in no entry. `atOnce`: the connections do not wait for each other.
 */
export async function play(engine: Engine, history: History, atOnce = false): Promise<Played> {
  const tables = tablesOf(engine, history)
  const place = await engine.open(tables)
  const log: string[] = tables.map((table) => engine.createTable(table))
  const played = { writes: 0, refused: 0, changes: 0, alterations: 0 }
  const sessions = Array.from({ length: connections }, (_, on) =>
    createSession(place, engine, on, log, played),
  )
  let base = await readAll(place, tables)
  const settle = async () => {
    for (const session of sessions) await session.end()
    const changes = await place.changes()
    played.changes += changes.length
    compare(engine, base, changes, await readAll(place, tables), tables)
  }
  const migrate = async () => {
    await place.migrate()
    for (const table of tables) for (const column of table.columns) column.known = true
    log.push('-- migrate')
  }
  try {
    for (const part of parts(history.steps)) {
      if (Array.isArray(part)) {
        const step = async (one: OnConnection) =>
          sessions[one.on]!.step(one, (write) => statement(engine, tables, write))
        if (atOnce)
          await Promise.all(
            sessions.map(async (_, on) => {
              for (const one of part) if (one.on === on) await step(one)
            }),
          )
        else for (const one of part) await step(one)
        continue
      }
      await settle()
      let migrates = part.migrate
      if ('alter' in part) {
        const change = alteration(engine, tables, part.alter, played.alterations)
        if (change) {
          try {
            await place.alter(change.sql)
            change.done()
            played.alterations++
            migrates ||= change.migrates
            log.push(...change.sql)
          } catch (error) {
            if (!engine.isExpected(error)) throw error
          }
        }
      }
      if (migrates) await migrate()
      base = await readAll(place, tables)
    }
    await settle()
    return played
  } catch (error) {
    throw new Error(`${(error as Error).message}\nin this history:\n${log.join('\n')}`, { cause: error })
  } finally {
    for (const session of sessions) await session.end().catch(() => {})
    await place.close()
  }
}

/** Steps that connections take, up to where all of them have to have ended. */
function parts(steps: readonly Step[]): (OnConnection[] | Exclude<Step, OnConnection>)[] {
  const all: ReturnType<typeof parts> = []
  for (const step of steps) {
    const last = all.at(-1)
    if (!('on' in step)) all.push(step)
    else if (Array.isArray(last)) last.push(step)
    else all.push([step])
  }
  return all
}

function createSession(
  place: Place,
  engine: Engine,
  on: number,
  log: string[],
  played: { writes: number; refused: number },
) {
  let open = false
  let savepoints = 0
  const run = async (sql: string): Promise<boolean> => {
    try {
      await place.run(on, sql)
      log.push(`${on}: ${sql}`)
      return true
    } catch (error) {
      log.push(`${on}: ${sql} -- ${(error as Error).message}`)
      if (!engine.isExpected(error)) throw error
      return false
    }
  }
  const end = async (how: 'commit' | 'rollback') => {
    // what could not be committed stays open
    if (!open) return
    if (!(await run(how))) await run('rollback')
    open = false
    savepoints = 0
  }
  return {
    end: () => end('commit'),
    async step(
      step: OnConnection,
      sqlOf: (write: Extract<OnConnection, { write: unknown }>['write']) => string,
    ) {
      if ('write' in step) {
        if (await run(sqlOf(step.write))) played.writes++
        else played.refused++
      } else if (step.do === 'begin') open ||= await run('begin')
      else if (step.do === 'commit' || step.do === 'rollback') await end(step.do)
      else if (!open) return
      else if (step.do === 'savepoint') {
        if (await run(`savepoint s${savepoints + 1}`)) savepoints++
      } else if (savepoints === 0) return
      else if (step.do === 'rollback to') await run(`rollback to savepoint s${savepoints}`)
      else if (await run(`release savepoint s${savepoints}`)) savepoints--
    },
  }
}

async function readAll(place: Place, tables: readonly Table[]): Promise<Map<string, Base>> {
  const all = new Map<string, Base>()
  for (const table of tables) {
    const key = keyOf(table).map(({ name }) => name)
    const known = knownOf(table)
    const rows = (await place.read(table)).map((row) => only(row, known))
    all.set(table.name, { key, rows })
  }
  return all
}

const knownOf = (table: Table): Set<string> =>
  new Set(table.columns.filter(({ known }) => known).map(({ name }) => name))

const only = <T>(row: Readonly<Record<string, T>>, known: ReadonlySet<string>): Record<string, T> =>
  Object.fromEntries(Object.entries(row).filter(([name]) => known.has(name)))

function compare(
  engine: Engine,
  base: ReadonlyMap<string, Base>,
  changes: readonly Change[],
  real: ReadonlyMap<string, Base>,
  tables: readonly Table[],
): void {
  const { tables: rebuilt, faults } = rebuild(base, changes, {
    ...engine,
    seen: (model, pairs) => {
      const table = tables.find(({ name }) => name === model)
      return table && !engine.recordsUnknown ? only(pairs, knownOf(table)) : pairs
    },
  })
  for (const [name, { rows }] of real) {
    const [is, should] = [sorted(rebuilt.get(name)!), sorted(rows)]
    if (is.join('\n') !== should.join('\n'))
      faults.push(`${name} holds ${should.join(', ')}, its trail says ${is.join(', ')}`)
  }
  if (faults.length === 0) return
  const entries = changes.map(({ id, action, model, target_id, changes: text }) => [id, action, model, target_id, text].join(' ')) // prettier-ignore
  throw new Error(`${faults.slice(0, 5).join('\n')}\nthe trail:\n${entries.join('\n')}`)
}

const sorted = (rows: readonly Row[]): string[] =>
  rows.map((row) => JSON.stringify(Object.entries(row).toSorted(([a], [b]) => (a < b ? -1 : 1)))).toSorted()
