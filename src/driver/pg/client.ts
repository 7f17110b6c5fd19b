import { type AuditScope, AuditError } from '../../core/internal.ts'
import { bindContext, handedOrTake, type Taken } from '../base/taken.ts'
import {
  forgetsContext,
  rowsChanged,
  shiftBack,
  statementKind,
  type TextWithContext,
  withContext,
} from '../base/statement.ts'

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

/** What is used of a client's connection. */
interface ConnectionLike {
  readonly stream: { cork?(): void; uncork?(): void; destroy?(): void }
  parse(query: unknown, more?: unknown): void
  bind(config: unknown, more?: unknown): void
  execute(config: unknown, more?: unknown): void
  sync(): void
  query(text: string): void
  emit(event: string, ...message: unknown[]): boolean
}

interface QueryLike {
  text?: string
  callback?: ((error: unknown, result?: unknown) => void) | undefined
  query_timeout?: unknown
  submit(connection: ConnectionLike): unknown
}
type QueryClass = new (config: unknown, values?: unknown, callback?: unknown) => QueryLike

export interface ClientLike {
  readonly connection: ConnectionLike
  readonly constructor: unknown
  query(config: unknown, values?: unknown, callback?: unknown): unknown
  readonly processID?: number | null
  readonly _txStatus?: string | null
  readonly pipeline?: boolean
}

/** What is known of one session of the database. */
interface SessionState {
  status: string
  /** The context of the open transaction; `undefined` where it is not certain. */
  known: string | undefined
  /** Whether the open transaction, or one on its way, was ever given a context. */
  used: boolean
  /** Whether the connection is a session of its own, not one of a pooler; `undefined` until it was asked. */
  direct: boolean | undefined
  /** The query being written, until its first message. */
  writing: Flight | undefined
  /** Queries that were sent, in order: what the server answers belongs to the first. */
  readonly flights: Flight[]
}

/** A query on its way, with its context. */
interface Flight {
  readonly context: string
  readonly scope: AuditScope | undefined
  readonly query: QueryLike
  sent: boolean
  /** Whether the session was given the context, not the transaction. */
  alone: boolean
  /** Answers to what we sent in front that are still to be taken out. */
  own: string[]
  /** Whether the statement itself was answered, and only what we sent behind it is not. */
  answered: boolean
  /** The setters in the text of a query without parameters. */
  inText: Pick<TextWithContext, 'shifts' | 'sets'>
}

const setLocal = `select set_config('whodunit.context', $1, true)`
const setSession = `select set_config('whodunit.context', $1, false)`
/** What the server answers to Parse, Bind and Execute of one of the two. */
const answers = ['parseComplete', 'bindComplete', 'dataRow', 'commandComplete']
const noSetters: Flight['inText'] = { shifts: [], sets: [] }
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

function sendSetter(connection: ConnectionLike, text: string, context: string, alone: boolean): void {
  connection.parse({ text }, true)
  connection.bind({ values: [context] }, true)
  connection.execute({}, true)
  if (alone) connection.sync()
}

/** Puts setters in front of what a query writes, and takes the answers to them out again. */
function watch(client: ClientLike, state: SessionState): void {
  const { connection } = client
  const { parse, bind, query, emit } = connection
  // the first message of a query, whichever it is
  const before = (): void => {
    const flight = state.writing
    if (!flight) return
    state.writing = undefined
    flight.sent = true
    const kind = needs(flight, state, client) ? statementKind(flight.query.text ?? '', false) : 'none'
    if (kind === 'none') return
    const alone = kind === 'apart' && state.status !== 'T'
    if (alone && state.direct !== true) return
    flight.alone = alone
    sendSetter(connection, flight.alone ? setSession : setLocal, flight.context, flight.alone)
    flight.own = flight.alone ? [...answers, 'readyForQuery'] : [...answers]
    if (!flight.alone && flight.context !== '') state.used = true
  }
  connection.parse = (...args) => {
    before()
    parse.apply(connection, args)
  }
  connection.bind = (...args) => {
    before()
    bind.apply(connection, args)
  }
  connection.query = (text) => {
    const flight = state.writing
    if (!flight) return query.call(connection, text)
    if (statementKind(text, true) === 'apart' && state.status !== 'T') before()
    else text = withSetters(flight, text, state, client)
    state.writing = undefined
    flight.sent = true
    query.call(connection, text)
  }
  connection.emit = (event, ...message) => {
    const ours = answered(event, message[0] as never, state, connection)
    return ours || emit.call(connection, event, ...message)
  }
}

/** Whether the session has to be given the context of a query that is about to be written. */
function needs({ context }: Flight, state: SessionState, { pipeline }: ClientLike): boolean {
  if (state.status === 'E') return false // an aborted transaction would swallow the ROLLBACK behind the setter
  if (context === '' && !state.used) return false
  // in pipeline mode the state of the session is known too late
  if (pipeline) return true
  return state.status === 'T' ? state.known !== context : context !== ''
}

/** The text of a query without parameters, with setters for each part of it that needs one. */
function withSetters(flight: Flight, text: string, state: SessionState, client: ClientLike): string {
  const { context } = flight
  if (state.status === 'E' || (context === '' && !state.used)) return text
  const sent = withContext(text, context, !needs(flight, state, client))
  if (sent.shifts.length > 0 && context !== '') state.used = true
  flight.inText = sent
  return sent.text
}

/** Takes note of an answer of the server. Answers whether it is to be kept from the client, being to something of ours. */
function answered(
  event: string,
  message: { status: string; text: string; position?: string },
  state: SessionState,
  connection: ConnectionLike,
): boolean {
  const flight = state.flights[0]
  const own = flight?.own[0] === event
  if (own) flight.own.shift()
  if (event === 'readyForQuery') {
    state.status = message.status
    if (message.status === 'I') state.known = ''
    if (own || !flight) return own
    if (flight.alone && !flight.answered) {
      flight.answered = true
      flight.own = [...answers] // to the clearing behind it
      return true
    }
    state.flights.shift()
    if (message.status === 'I' && state.flights.length === 0) state.used = false
    return false
  }
  if (!flight) return false
  if (event === 'commandComplete') {
    if (own || (message.text === 'SET' && flight.inText.sets.shift() === true)) {
      state.known = flight.context
      return true
    }
    if (forgetsContext(message.text)) state.known = undefined
    flight.scope?.note(rowsChanged(message.text))
  }
  if (event === 'errorMessage') {
    if (flight.own.includes('readyForQuery')) {
      flight.own = ['readyForQuery'] // cancelled before the statement, which follows
      return true
    }
    // cancelled behind it: a session that is not cleared would be another's wrong context
    if (flight.own.length > 0 && flight.alone) connection.stream.destroy?.()
    flight.own = []
    shiftBack(message, flight.inText)
  }
  return own
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
