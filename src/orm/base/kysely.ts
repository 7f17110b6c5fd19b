/** What runs queries that are compiled already: a Kysely, or a transaction of it. */
export interface RunsCompiled {
  executeQuery(query: never): Promise<{ readonly rows: readonly unknown[] }>
}

/** A query in the form that Kysely gives its own when they are compiled. */
export function compiled(sql: string, parameters: readonly unknown[] = []): never {
  const query = { kind: 'RawNode', sqlFragments: [sql], parameters: [] }
  return { sql, parameters, query, queryId: { queryId: sql } } as never
}

/** A transaction of Kysely as the clients of the databases have it: with a promise, or with a callback. */
export function asClient(transaction: RunsCompiled): object {
  return {
    query(
      given: string | { readonly sql: string },
      parameters?: readonly unknown[],
      done?: (error: unknown, rows?: unknown) => void,
    ): Promise<unknown> | undefined {
      const sent = transaction.executeQuery(
        compiled(typeof given === 'string' ? given : given.sql, parameters),
      )
      if (!done) return sent
      void tell(sent, done)
      return undefined
    },
  }
}

async function tell(
  sent: Promise<{ readonly rows: readonly unknown[] }>,
  done: (error: unknown, rows?: unknown) => void,
): Promise<void> {
  const { error, rows } = await sent.then(
    (answer) => ({ error: null, rows: answer.rows }),
    (failure: unknown) => ({ error: failure, rows: undefined }),
  )
  done(error, rows)
}
