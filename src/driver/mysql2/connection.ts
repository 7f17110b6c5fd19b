import { AuditError } from '../../core/internal.ts'
import { bindContext, handedOrTake, type Taken } from '../base/taken.ts'
import { type Around, around, newSession, type SessionState } from '../base/user-variable.ts'

/*
 * How the context travels through mysql2 without a round trip of its own.
 *
 * The context is taken where a query is called. When the connection comes to it, the statements that set and clear the
 * context are written around it at once, without waiting for any answer: the server answers in order. What is answered to
 * ours is taken out here, before the query or its caller sees it.
 *
 * It leans on members of mysql2 that are not documented; `checkConnection` looks for each of them.
 */

/** A command of mysql2: `execute` without a packet starts it, and takes its packets one by one until it answers true. */
interface CommandLike {
  execute(packet: unknown, connection: ConnectionLike): boolean
  readonly sql?: unknown
  readonly statement?: { readonly query?: unknown }
  onResult?: ((...args: unknown[]) => void) | undefined
  on(event: 'result', listener: (result: unknown) => void): unknown
}

export interface ConnectionLike {
  readonly config: { readonly compress?: unknown }
  sequenceId: number
  addCommand(command: CommandLike): CommandLike
  destroy(): void
  readonly constructor: unknown
}

type CreateQuery = (
  sql: string,
  values: undefined,
  callback: (error: unknown) => void,
  config: object,
) => CommandLike

const instrumented: unique symbol = Symbol('whodunit connection')

/** Makes a connection carry the context. Doing it twice has no effect. */
export function instrument(connection: ConnectionLike): void {
  const marked = connection as ConnectionLike & { [instrumented]?: true }
  if (marked[instrumented]) return
  checkConnection(connection)
  marked[instrumented] = true
  const state = newSession()
  const add = connection.addCommand
  connection.addCommand = (command) => {
    if (forgets(command)) Object.assign(state, newSession())
    else if (textOf(command) !== undefined) carry(command, state, handedOrTake())
    return add.call(connection, command)
  }
}

function textOf({ sql, statement }: CommandLike): string | undefined {
  const text = sql ?? statement?.query
  return typeof text === 'string' ? text : undefined
}

/** What makes the server forget all variables of the session. */
function forgets(command: CommandLike): boolean {
  return ['ChangeUser', 'ResetConnection'].includes(command.constructor.name)
}

/** Commands that were written, in order: what the server answers belongs to the first. */
interface Flight {
  readonly command: Pick<CommandLike, 'execute'>
  /** The number of the next packet that the server answers to it. */
  sequence: number
}

function carry(command: CommandLike, state: SessionState, { scope, context }: Taken): void {
  const original = command.execute
  const flights: Flight[] = []
  let started = false
  if (typeof command.onResult === 'function') command.onResult = once(bindContext(command.onResult))
  if (scope) {
    command.on('result', (result) => {
      const { affectedRows } = result as { affectedRows?: unknown }
      if (typeof affectedRows === 'number') scope.note(affectedRows)
    })
  }
  const own = { execute: (packet: unknown, to: ConnectionLike) => original.call(command, packet, to) }

  command.execute = (packet, connection) => {
    if (!started) {
      started = true
      return start(connection)
    }
    const flight = flights[0]!
    const done = flight.command.execute(packet, connection)
    flight.sequence = connection.sequenceId
    return done ? next(connection) : false
  }

  function start(connection: ConnectionLike): boolean {
    const text = textOf(command) ?? ''
    const unprepared = 'statement' in command && !command.statement
    const plan: Around = unprepared ? {} : around(state, text, context)
    // one after another, where packets are put together, and where the file of a LOAD DATA comes in between
    const apart = connection.config.compress === true || /^\s*load\b/i.test(text)
    const waiting = [
      ...(plan.before ? [setter(connection, plan.before)] : []),
      own,
      ...(plan.behind ? [setter(connection, plan.behind)] : []),
    ]
    return send(connection, waiting, apart)
  }

  /** Writes commands, all at once or only the first. Answers whether nothing is left to wait for. */
  function send(
    connection: ConnectionLike,
    waiting: readonly Pick<CommandLike, 'execute'>[],
    apart: boolean,
  ): boolean {
    for (const [index, each] of waiting.entries()) {
      // it may be over before it began: a statement that could not be prepared
      if (each.execute(undefined, connection)) continue
      flights.push({ command: each, sequence: connection.sequenceId })
      if (apart) {
        rest = waiting.slice(index + 1)
        return false
      }
    }
    return next(connection, false)
  }

  let rest: readonly Pick<CommandLike, 'execute'>[] = []
  function next(connection: ConnectionLike, answered = true): boolean {
    if (answered) flights.shift()
    if (flights.length === 0 && rest.length > 0) {
      const waiting = rest
      rest = []
      return send(connection, waiting, true)
    }
    if (flights[0]) connection.sequenceId = flights[0].sequence
    return flights.length === 0
  }
}

/** Where a context could not be set or cleared, what follows on the connection would have another's: it is given up. */
function setter(connection: ConnectionLike, sql: string): CommandLike {
  const { createQuery } = connection.constructor as { createQuery: CreateQuery }
  return createQuery(sql, undefined, (error) => error && connection.destroy(), connection.config)
}

/** A connection that is lost tells whoever is on it, also one that was answered and only waits for ours. */
function once<A extends unknown[]>(callback: (...args: A) => void): (...args: A) => void {
  let called = false
  return (...args) => {
    if (called) return
    called = true
    callback(...args)
  }
}

/** @throws AUDIT_CLIENT_UNKNOWN where something that is used here is missing */
export function checkConnection(connection: Partial<ConnectionLike>): void {
  const { addCommand, sequenceId, config, constructor } = connection ?? {}
  const missing = [
    ...(typeof addCommand === 'function' ? [] : ['addCommand']),
    ...(typeof sequenceId === 'number' ? [] : ['sequenceId']),
    ...(typeof config === 'object' ? [] : ['config']),
    ...(typeof (constructor as { createQuery?: unknown })?.createQuery === 'function' ? [] : ['createQuery']),
  ]
  if (missing.length === 0) return
  throw new AuditError(
    'AUDIT_CLIENT_UNKNOWN',
    `fromMysql2() got no pool or connection of mysql2: it has no ${missing.join(', ')}.`,
    'Pass what createPool() or createConnection() of mysql2 or mysql2/promise gave; mysql2 3 is supported.',
  )
}
