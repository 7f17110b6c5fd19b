import type { RunSql, Session, SqlRow } from '../../dialect/dialect.ts'

/** A way to take a connection of the library's own, for as long as `fn` takes. */
export type TakeConnection = <T>(fn: (run: RunSql) => Promise<T>) => Promise<T>

/** A session over connections that are taken and given back. */
export function sessionOver(take: TakeConnection): Session {
  return {
    run: (sql, parameters) => take((run) => run(sql, parameters)),
    connection: take,
    transaction: (fn) =>
      take(async (run) => {
        await run('begin')
        try {
          const result = await fn(run)
          await run('commit')
          return result
        } catch (error) {
          await run('rollback').catch(() => {}) // the first error says more
          throw error
        }
      }),
  }
}

/** The rows of an answer: a CALL answers several results, and what changes rows answers none. */
export function rowsOf(answer: unknown): readonly SqlRow[] {
  if (!Array.isArray(answer)) return []
  return (Array.isArray(answer[0]) ? answer[0] : answer) as SqlRow[]
}
