import { AuditError } from '../../core/internal.ts'
import { statementKind } from '../base/statement.ts'
import { bindContext, handedOrTake, type Taken } from '../base/taken.ts'
import type { ClientLike, QueryClass, QueryLike } from './parts.ts'
import { type Flight, noSetters, type SessionState } from './session.ts'
import { sendSetter, setSession, watch } from './watch.ts'

export type { ClientLike }

/*
 * How the context travels through node-postgres without a round trip of its own.
 *
 * The context is taken where a query is called, synchronously. When the query is really written to the socket, a setter
 * goes in front of it in the same packet, and inside the same transaction: as Parse, Bind and Execute without Sync, or,
 * for text without parameters, as `set local` in the text. Being local, it ends with the transaction: it cannot leak
 * into another request, not even behind a transaction pooler. Inside an explicit transaction it is sent only when the
 * context differs from what this transaction already has.
 *
 * A CALL may end transactions itself, and so may some DO blocks. Around them the session is given the context and cleared
 * again, in one packet. Not behind a pooler, where the session may be another's before it is cleared, or when the client
 * goes away in between: there they carry none. A pooler shows by the process that answers not being the one it named.
 *
 * All this happens between a query and its connection, so it serves every kind of query: the answers to what we sent are
 * taken out before the client sees them. It leans on members of `pg` that are not documented (research/orm.md 4.1);
 * `checkClient` looks for each of them.
 */

const instrumented: unique symbol = Symbol('whodunit client')

/** Makes a client carry the context. Doing it twice has no effect. */
export function instrument(client: ClientLike): void {
  const marked = client as ClientLike & { [instrumented]?: true }
  if (marked[instrumented]) return
  checkClient(client)
  marked[instrumented] = true
  const Query = (client.constructor as { Query: QueryClass }).Query
  const plainQuery = client.query.bind(client)
  const state: SessionState = {
    status: client._txStatus ?? 'I',
    known: '',
    used: false,
    direct: undefined,
    writing: undefined,
    flights: [],
  }
  watch(client, state)

  client.query = (config, values, callback) => {
    if (config === null || config === undefined) return plainQuery(config, values, callback)
    const given = typeof (config as QueryLike).submit === 'function'
    const query = given ? (config as QueryLike) : new Query(config, values, callback)
    const then = given
      ? (query.callback ?? [values, callback].find((item) => typeof item === 'function'))
      : query.callback
    if (then && typeof then !== 'function') return plainQuery(config, values, callback) // pg says what is wrong
    if (!given) query.query_timeout = (config as QueryLike).query_timeout
    const taken = handedOrTake()
    if (
      taken.context !== '' &&
      state.direct === undefined &&
      statementKind(query.text ?? '', true) === 'apart'
    ) {
      const question = new Query(
        'select pg_backend_pid() as pid',
        undefined,
        (_error: unknown, result?: Pids) => {
          state.direct = result?.rows[0]?.pid === client.processID
        },
      )
      carry(question, state, { scope: undefined, context: '' })
      plainQuery(question)
    }
    carry(query, state, taken)
    if (then) query.callback = bindContext(then as NonNullable<QueryLike['callback']>)
    if (then || given) {
      plainQuery(query)
      return given ? query : undefined
    }
    return new Promise((resolve, reject) => {
      query.callback = (error, result) => (error ? reject(error) : resolve(result))
      plainQuery(query)
    }).catch((error: unknown) => {
      if (error instanceof Error) Error.captureStackTrace(error) // lead back to the caller, as pg does
      throw error
    })
  }
}

interface Pids {
  readonly rows: readonly { readonly pid: number }[]
}

/** Gives a query the context that is to be sent when it is. */
function carry(query: QueryLike, state: SessionState, taken: Taken): void {
  const flight: Flight = {
    ...taken,
    query,
    sent: false,
    alone: false,
    own: [],
    answered: false,
    inText: noSetters,
  }
  const submit = query.submit
  query.submit = function (connection) {
    const { stream } = connection
    stream.cork?.()
    state.writing = flight
    try {
      return submit.call(this, connection)
    } finally {
      state.writing = undefined
      if (flight.alone) sendSetter(connection, setSession, '', true)
      if (flight.sent) state.flights.push(flight)
      stream.uncork?.()
    }
  }
}

/** @throws AUDIT_CLIENT_UNKNOWN where something that is used here is missing */
export function checkClient(client: Partial<ClientLike>): void {
  const { connection, constructor } = client
  const Query = (constructor as { Query?: QueryClass } | undefined)?.Query
  const missing = [
    ...(typeof Query?.prototype?.submit === 'function' ? [] : ['Query.submit']),
    ...(['parse', 'bind', 'execute', 'sync', 'query', 'emit'] as const)
      .filter((method) => typeof connection?.[method] !== 'function')
      .map((method) => `connection.${method}`),
  ]
  if (missing.length === 0) return
  throw new AuditError(
    'AUDIT_CLIENT_UNKNOWN',
    `This client of pg cannot carry the context: it has no ${missing.join(', ')}.`,
    'pg 8.11 to 8.23 are supported; pg-native is not.',
  )
}
