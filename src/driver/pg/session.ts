import type { AuditScope } from '../../core/internal.ts'
import { type TextWithContext, withContext } from '../base/statement.ts'
import type { ClientLike, QueryLike } from './parts.ts'

/** What is known of one session of the database. */
export interface SessionState {
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
export interface Flight {
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

export const noSetters: Flight['inText'] = { shifts: [], sets: [] }

/** Whether the session has to be given the context of a query that is about to be written. */
export function needs({ context }: Flight, state: SessionState, { pipeline }: ClientLike): boolean {
  if (state.status === 'E') return false // an aborted transaction would swallow the ROLLBACK behind the setter
  if (context === '' && !state.used) return false
  // in pipeline mode the state of the session is known too late
  if (pipeline) return true
  return state.status === 'T' ? state.known !== context : context !== ''
}

/** The text of a query without parameters, with setters for each part of it that needs one. */
export function withSetters(flight: Flight, text: string, state: SessionState, client: ClientLike): string {
  const { context } = flight
  if (state.status === 'E' || (context === '' && !state.used)) return text
  const sent = withContext(text, context, !needs(flight, state, client))
  if (sent.shifts.length > 0 && context !== '') state.used = true
  flight.inText = sent
  return sent.text
}
