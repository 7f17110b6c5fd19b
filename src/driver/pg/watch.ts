import { forgetsContext, rowsChanged, shiftBack, statementKind } from '../base/statement.ts'
import type { ClientLike, ConnectionLike } from './parts.ts'
import { needs, type SessionState, withSetters } from './session.ts'

const setLocal = `select set_config('whodunit.context', $1, true)`
export const setSession = `select set_config('whodunit.context', $1, false)`
/** What the server answers to Parse, Bind and Execute of one of the two. */
const answers = ['parseComplete', 'bindComplete', 'dataRow', 'commandComplete']

export function sendSetter(connection: ConnectionLike, text: string, context: string, alone: boolean): void {
  connection.parse({ text }, true)
  connection.bind({ values: [context] }, true)
  connection.execute({}, true)
  if (alone) connection.sync()
}

/** Puts setters in front of what a query writes, and takes the answers to them out again. */
export function watch(client: ClientLike, state: SessionState): void {
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
