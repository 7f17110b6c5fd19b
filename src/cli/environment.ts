import type { SessionMark } from '../index.ts'
import { runVariable } from '../store/turns.ts'

type Environment = Readonly<Record<string, string | undefined>>

/**
 * The variables by which a migration tool's sessions begin with the context: those that hold a URL of the same database
 * are rewritten, others are added for clients that are given none.
 */
export function markedEnvironment(
  environment: Environment,
  url: string,
  context: string,
  mark: SessionMark,
): Record<string, string> {
  const marked: Record<string, string> = { ...mark.variables(context, environment) }
  const place = placeOf(url)
  for (const [name, value] of Object.entries(environment)) {
    if (value === undefined || placeOf(value) !== place) continue
    const withMark = place === undefined ? undefined : mark.url(value, context)
    if (withMark !== undefined) marked[name] = withMark
  }
  return marked
}

/** What tells a tool, and all that it starts, that the database is held for it. */
export const inRun: Readonly<Record<string, string>> = { [runVariable]: '1' }

/** Server and database of a URL, whoever signs in and with whatever options. */
function placeOf(url: string): string | undefined {
  const [, host, database] = /^[a-z][a-z0-9+]*:\/\/(?:[^@/?#]*@)?([^/?#]+)\/([^?#]+)/i.exec(url) ?? []
  return host && database && `${host.toLowerCase()}/${database}`
}
