import { PGlite } from '@electric-sql/pglite'

/** A new empty PostgreSQL inside this process, in memory. The caller closes it. */
export function freshPglite(): Promise<PGlite> {
  return PGlite.create()
}
