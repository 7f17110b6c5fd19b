import { createRequire } from 'node:module'
import { join } from 'node:path'
import { AuditError } from '../../core/internal.ts'
import type { RunSql, SqlRow } from '../../dialect/dialect.ts'
import { isServerError } from './query.ts'

/** Connections of the library's own. */
export interface OwnConnections {
  with<T>(max: number, fn: (run: RunSql) => Promise<T>): Promise<T>
  close(): Promise<void>
}

interface Sql {
  unsafe(text: string, parameters?: readonly unknown[]): Promise<SqlRow[]>
  reserve(): Promise<Sql & { release(): void }>
  end(options?: { timeout?: number }): Promise<void>
}
export type Postgres = (options: object) => Sql

interface Lane {
  readonly sql: Sql
  /** How often a connection was lost or ended. */
  closes: number
}

/**
 * Made with the settings of the application's `sql`, but for types and transforms, which are ours. An idle one ends after
 * two seconds, so that it does not keep the process.
 */
export function ownConnections(sql: object, given: Postgres | undefined): OwnConnections {
  const settings = { ...(sql as { options: object }).options }
  const lanes = new Map<number, Promise<Lane>>()
  const open = async (max: number): Promise<Lane> => {
    const postgres = given ?? (await loadPostgres())
    const lane: { sql?: Sql; closes: number } = { closes: 0 }
    lane.sql = postgres({ ...settings, ...plain(), max, onclose: () => void lane.closes++ })
    return lane as Lane
  }
  const discard = async (max: number, lane: Lane): Promise<void> => {
    lanes.delete(max)
    await lane.sql.end({ timeout: 0 })
  }
  return {
    async with(max, fn) {
      const opening = lanes.get(max) ?? open(max)
      lanes.set(max, opening)
      const lane = await opening
      let held: Awaited<ReturnType<Sql['reserve']>>
      try {
        held = await lane.sql.reserve()
      } catch (error) {
        await discard(max, lane) // it would give the next connection to who no longer waits
        throw error
      }
      const before = lane.closes
      const lost = (): boolean => max === 1 && lane.closes !== before
      let broken = false
      try {
        return await fn(async (text, parameters) => {
          if (lost()) throw new Error('The connection to the database was lost.')
          return held.unsafe(text, parameters)
        })
      } catch (error) {
        broken = !isServerError(error)
        throw error
      } finally {
        if (broken || lost()) await discard(max, lane)
        else held.release()
      }
    },
    async close() {
      const all = [...lanes.values()]
      lanes.clear()
      await Promise.all(all.map(async (lane) => (await lane).sql.end()))
    },
  }
}

function plain(): object {
  return {
    shared: undefined,
    types: { json: { to: 114, from: [114, 3802], serialize: jsonText, parse: JSON.parse } },
    transform: { undefined: null },
    debug: false,
    fetch_types: true,
    idle_timeout: 2,
    onnotice() {},
    onnotify: undefined,
    onparameter: undefined,
  }
}

const jsonText = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))

/** The application's copy, or whichever it has. A `sql` does not tell how it was made. */
async function loadPostgres(): Promise<Postgres> {
  const name = 'postgres'
  try {
    const path = createRequire(join(process.cwd(), 'package.json')).resolve(name)
    return createRequire(path)(path) as Postgres
  } catch {
    try {
      return ((await import(name)) as { default: Postgres }).default
    } catch {
      throw new AuditError(
        'AUDIT_CLIENT_MISSING',
        'The package postgres was not found, neither from the current folder nor from here.',
        'Bundled? Call fromPostgresJs(sql, { postgres }), with what you import from it.',
      )
    }
  }
}
