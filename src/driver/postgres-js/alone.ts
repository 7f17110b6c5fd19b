import { setContext } from '../base/statement.ts'
import { isServerError, type MakeQuery, type QueryLike, realign, settle, speaksFor } from './query.ts'

/*
 * How a statement outside of a transaction gets its context: between two statements of ours on one connection, all sent
 * without waiting for answers where the client can.
 *
 * `onexecute`, by which the client's own `begin` takes a connection, tells which one a query was given; under pressure the
 * client forgets to call it. So an empty query goes ahead, which does no harm then, and is tried again.
 */

/** What goes around a statement. */
interface Way {
  readonly before: string
  readonly behind: string
  /** Whether the statement is done only when what is behind it is. */
  readonly commits: boolean
}

/** A transaction of its own. */
export function ownTransaction(context: string): Way {
  return { before: `begin;${setContext(context, 'local')}`, behind: 'commit', commits: true }
}

/** The session is given the context, and cleared again. Not behind a pooler, where it may be another's in between. */
export function inSession(context: string): Way {
  return { before: setContext(context, 'session'), behind: setContext('', 'session'), commits: false }
}

interface Connection {
  /** Whether another query may be sent at once. */
  execute(query: QueryLike): unknown
  /** Is called when everything sent was answered. With `release`, the connection is kept even outside of a transaction. */
  reserved: ((() => unknown) & { readonly release?: boolean }) | null
  onclose: ((error: unknown) => void) | null
}

export interface Alone {
  readonly make: MakeQuery
  readonly handler: QueryLike['handler']
  /** Whether connections are sessions of their own, not of a pooler. */
  readonly address: { direct: boolean | undefined }
  /** What goes around the statement, if anything. `ask`: whether it depends on the address. */
  readonly way: (direct: boolean) => Way | undefined
  readonly ask: boolean
}

/** Sends a statement on a connection that nobody else is given meanwhile. */
export function sendAlone(query: QueryLike, given: Alone): void {
  let line: Line | undefined
  const first = given.make('', [], {
    onexecute(connection: Connection) {
      line = createLine(connection, given.make)
      fill(line, query, given, first.state?.pid ?? 0)
      return false // it is ours now
    },
  })
  speaksFor(first, query)
  settle(
    first,
    () => line || sendAlone(query, given),
    (error) => (line ? line.unbuilt(error) : query.reject(error)),
  )
  given.handler(first)
}

/** The queries that are to be sent on a connection before it is given back. */
interface Line {
  add(...turns: readonly Turn[]): void
  /** Takes back what was not sent yet. */
  empty(): void
  start(): void
  onclose(listener: ((error: unknown) => void) | null): void
  /** A query failed before it was sent, and the client told the one that it was waiting for. */
  unbuilt(error: unknown): void
}
interface Turn {
  readonly query: QueryLike
  /** Whether nothing may be sent before it is answered. */
  readonly wait?: boolean
  readonly sent?: () => void
}

function createLine(connection: Connection, make: MakeQuery): Line {
  const turns: Turn[] = []
  let sending: QueryLike | undefined
  const next = (): void => {
    for (let turn = turns.shift(); turn; turn = turns.shift()) {
      sending = turn.query
      const more = connection.execute(turn.query)
      sending = undefined
      turn.sent?.()
      if (!more || turn.wait) return
    }
  }
  const previous = connection.reserved
  const reserved = (): unknown => {
    if (turns.length > 0) return next()
    if (!previous) return connection.execute(quiet(make('rollback'))) // nobody else may find it open
    connection.reserved = previous
    return previous()
  }
  connection.reserved = Object.defineProperty(reserved, 'release', {
    get: () => previous?.release === true || turns.length > 0,
  })
  return {
    add: (...more) => void turns.push(...more),
    empty: () => void turns.splice(0),
    start: next,
    onclose: (listener) => void Object.assign(connection, { onclose: listener }),
    unbuilt: (error) => sending && realign(sending, error),
  }
}

function fill(line: Line, query: QueryLike, given: Alone, pid: number): void {
  const { make, address, way, ask } = given
  const plan = (): void => {
    const around = way(address.direct === true)
    if (around) line.add(...turnsAround(line, query, around, given))
    else line.add({ query })
  }
  if (!ask || address.direct !== undefined) plan()
  else {
    const question = make(`select where pg_backend_pid() = ${pid}`)
    const answered = (result: { count?: number }): void => {
      address.direct = result.count === 1
      plan()
    }
    settle(question, answered, plan)
    line.add({ query: question, wait: true })
  }
  line.start()
}

/** After these the client prepares a statement anew and sends it again by itself, which no transaction survives. */
const staleStatement = new Set(['FetchPreparedStatement', 'RevalidateCachedQuery', 'transformAssignedExpr'])
const abortedTransaction = '25P02'

function turnsAround(line: Line, query: QueryLike, way: Way, given: Alone): Turn[] {
  const [before, behind] = [given.make(way.before), given.make(way.behind)]
  let [sent, over, prepared] = [false, false, false]
  let failure: unknown
  let finish = (): void => {}
  let ready = (): void => {}
  const began = new Promise<void>((resolve) => (ready = resolve))
  for (const ours of [before, behind]) speaksFor(ours, query)
  line.onclose((error) => query.reject(error))
  settle(
    before,
    () => ready(),
    (error) => {
      failure = error
      ready()
      if (sent) return
      line.empty()
      line.add({ query: behind })
      query.reject(error)
    },
  )
  const ended = (): void => {
    over = true
    line.onclose(null)
  }
  settle(
    behind,
    () => {
      ended()
      finish()
    },
    (error) => {
      ended()
      query.reject(error)
      // a session that is not cleared would be another's wrong context
      if (!way.commits && isServerError(error)) line.add({ query: quiet(given.make(way.behind)) })
    },
  )
  settle(
    query,
    (result, done) => {
      if (over || !way.commits || query.streaming) done(result)
      else finish = () => done(result)
    },
    (error: { routine?: string; code?: string }, done) => {
      const code = isServerError(error) ? error : undefined
      if (over || !way.commits) done(error)
      else if (code && prepared && staleStatement.has(code.routine ?? '')) {
        query.options.prepare = false
        finish = () => sendAlone(query, given)
      } else done(failure && code?.code === abortedTransaction ? failure : error)
    },
  )
  const cancel = query.canceller
  if (cancel) {
    // the client loses count when it cancels a query that has others in front and behind
    query.canceller = (asked) => (query.state ? began.then(() => cancel(asked)) : cancel(asked))
  }
  return [
    { query: before },
    {
      query,
      wait: query.streaming === true,
      sent() {
        sent = true
        if (way.commits) {
          prepared = query.prepared === true
          query.prepared = false // else it sends it again behind our commit
        }
      },
    },
    {
      query: behind,
      sent: () => void (behind.parameters = query.parameters), // what an error shows
    },
  ]
}

function quiet(query: QueryLike): QueryLike {
  settle(
    query,
    () => {},
    () => {},
  )
  return query
}
