import { AsyncResource } from 'node:async_hooks'
import { type AuditScope, AuditError, currentScope } from '../core/internal.ts'
import { forgetsContext, rowsChanged, statementKind } from './statement.ts'

/*
 * How the context travels through node-postgres without a round trip of its own.
 *
 * The context is taken where a query is called, synchronously. When the query is really written to the socket, a setter
 * goes in front of it in the same packet, and inside the same transaction: with parameters as Parse, Bind and Execute
 * without Sync; without, as `set local` in front of the text. Being local, it ends with the transaction: it cannot leak
 * into another request, not even behind a transaction pooler. Inside an explicit transaction it is sent only when the
 * context differs from what this transaction already has.
 *
 * This leans on members of `pg` that are not documented (research/orm.md 4.1); `instrument` looks for each of them.
 */

/** What is used of a client's connection. */
interface ConnectionLike {
  readonly stream: { cork?(): void; uncork?(): void }
  readonly parsedStatements: Record<string, unknown>
  parse(query: { text: string; name?: string }): void
  bind(config: { values: unknown[] }): void
  execute(config: object): void
  on(event: string, listener: (message: never) => void): unknown
  prependListener(event: string, listener: (message: never) => void): unknown
  listenerCount(event: string): number
  removeAllListeners(event: string): unknown
}

interface QueryLike {
  text: string
  name?: string
  callback?: (error: unknown, result?: unknown) => void
  query_timeout?: unknown
  requiresPreparation(): boolean
  prepare(connection: ConnectionLike): void
  submit(connection: ConnectionLike): Error | null
  handleDataRow(message: unknown): void
  handleCommandComplete(message: { text: string }, connection: ConnectionLike): void
}
type QueryClass = new (config: unknown, values?: unknown, callback?: unknown) => QueryLike

export interface ClientLike {
  readonly connection: ConnectionLike
  readonly constructor: unknown
  query(config: unknown, values?: unknown, callback?: unknown): unknown
  escapeLiteral(text: string): string
  _handleParseComplete?(message: never): void
  _getActiveQuery?(): unknown
  _activeQuery?: unknown
  readonly _txStatus?: string | null
  readonly pipeline?: boolean
}

/** What is known of one session of the database. */
interface SessionState {
  status: string
  /** The context of the open transaction; `undefined` where it is not certain. */
  known: string | undefined
  /** Setters of ours whose completion is still to come. */
  ownSets: number
}

const setter = `select set_config('whodunit.context', $1, true)`
const instrumented: unique symbol = Symbol('whodunit client')
/** What a query of ours carries: its context, and the answers to its setter that are still to be swallowed. */
const carried: unique symbol = Symbol('whodunit query')
interface Carried {
  readonly text: string
  readonly scope: AuditScope | undefined
  readonly client: ClientLike
  readonly state: SessionState
  parse: boolean
  row: boolean
  complete: boolean
}
type AuditedQuery = QueryLike & { [carried]?: Carried }

/** Makes a client carry the context. Doing it twice has no effect. */
export function instrument(client: ClientLike): void {
  const marked = client as ClientLike & { [instrumented]?: true }
  if (marked[instrumented]) return
  const Query = audited(queryClass(client))
  const plainQuery = client.query.bind(client)
  const state: SessionState = { status: client._txStatus ?? 'I', known: '', ownSets: 0 }
  marked[instrumented] = true
  watch(client, state)

  client.query = (config, values, callback) => {
    if (config === null || config === undefined) return plainQuery(config, values, callback)
    const scope = currentScope()
    const text = scope?.text() ?? ''
    const load = { text, scope, client, state, parse: false, row: false, complete: false }
    const submittable = typeof (config as QueryLike).submit === 'function'
    if (submittable && !Query.owns(config)) {
      // cursors and COPY streams have protocols of their own
      return text === '' ? plainQuery(config, values, callback) : apart(plainQuery, state, load, config, values, callback)
    }
    const query = (submittable ? Query.adopt(config as QueryLike) : new Query.Class(config, values, callback)) as AuditedQuery
    if (submittable) query.callback ??= (typeof values === 'function' ? values : callback) as never
    query[carried] = load
    const timeout = (config as { query_timeout?: unknown }).query_timeout
    if (timeout !== undefined) query.query_timeout = timeout
    const kind = text === '' ? 'none' : statementKind(query.text ?? '', !query.requiresPreparation())
    const send = (): unknown => (kind === 'apart' && state.status !== 'T' ? apart(plainQuery, state, load, query) : plainQuery(query))
    if (typeof query.callback === 'function') {
      query.callback = bindContext(query.callback)
      send()
      return submittable ? query : undefined
    }
    if (submittable) {
      send()
      return query
    }
    return new Promise((resolve, reject) => {
      query.callback = (error, result) => (error ? reject(error) : resolve(result))
      send()
    }).catch((error: unknown) => {
      if (error instanceof Error) Error.captureStackTrace(error) // lead back to the caller, as pg does
      throw error
    })
  }
}

/** Runs a callback in the context of the code that passed it, whoever calls it. */
export function bindContext<F extends (...args: never[]) => unknown>(callback: F): F {
  const resource = new AsyncResource('whodunit')
  return function (this: unknown, ...args: unknown[]) {
    return resource.runInAsyncScope(callback as unknown as (...given: unknown[]) => unknown, this, ...args)
  } as unknown as F
}

// Before the client's own listeners: they send the next query at once
function watch(client: ClientLike, state: SessionState): void {
  const { connection } = client
  connection.prependListener('readyForQuery', (message: { status: string }) => {
    state.status = message.status
    if (message.status === 'I') state.known = ''
  })
  connection.prependListener('commandComplete', (message: { text: string }) => {
    if (message.text === 'SET' && state.ownSets > 0) state.ownSets--
    else if (forgetsContext(message.text)) state.known = undefined
  })
  // pg would take the completion of our Parse for that of the query's own named statement
  const handle = client._handleParseComplete!
  client._handleParseComplete = function (message) {
    const active = (client._getActiveQuery?.() ?? client._activeQuery) as AuditedQuery | null
    const load = active?.[carried]
    if (load?.parse) load.parse = false
    else handle.call(client, message)
  }
  if (connection.listenerCount('parseComplete') > 0) {
    connection.removeAllListeners('parseComplete')
    connection.on('parseComplete', client._handleParseComplete.bind(client))
  }
}

/** Whether a setter has to go in front of a statement now, at the moment it is written. */
function needsSetter({ text, client, state }: Carried, statement: string, list: boolean): boolean {
  if (state.status === 'E') return false // an aborted transaction would swallow the ROLLBACK behind the setter
  const inTransaction = state.status === 'T'
  if (client.pipeline ? text === '' && state.known === '' : inTransaction ? state.known === text : text === '') return false
  return statementKind(statement, list) === 'plain' || (inTransaction && statementKind(statement, list) === 'apart')
}

const auditedClasses = new WeakMap<QueryClass, ReturnType<typeof audited>>()

interface AuditedClass {
  readonly Class: QueryClass
  /** Whether a query object given by the application is one of pg's own. */
  owns(query: unknown): boolean
  adopt(query: QueryLike): QueryLike
}

function audited(Base: QueryClass): AuditedClass {
  const known = auditedClasses.get(Base)
  if (known) return known

  class Audited extends Base {
    declare [carried]?: Carried

    override prepare(connection: ConnectionLike): void {
      const load = this[carried]
      if (load && needsSetter(load, this.text ?? '', false)) {
        if (load.state.status === 'T') load.state.known = load.text
        load.parse = load.row = load.complete = true
        connection.parse({ text: setter })
        connection.bind({ values: [load.text] })
        connection.execute({})
      }
      super.prepare(connection)
    }

    override submit(connection: ConnectionLike): Error | null {
      const load = this[carried]
      if (!load || this.requiresPreparation() || typeof this.text !== 'string' || !needsSetter(load, this.text, true)) {
        return super.submit(connection)
      }
      if (load.state.status === 'T') load.state.known = load.text
      load.complete = true
      load.state.ownSets++
      const { text } = this
      this.text = `set local whodunit.context = ${load.client.escapeLiteral(load.text)};${text}`
      try {
        return super.submit(connection)
      } finally {
        this.text = text
      }
    }

    override handleDataRow(message: unknown): void {
      const load = this[carried]
      if (load?.row) load.row = false
      else super.handleDataRow(message)
    }

    override handleCommandComplete(message: { text: string }, connection: ConnectionLike): void {
      const load = this[carried]
      if (load?.complete) {
        load.complete = false
        return
      }
      load?.scope?.note(rowsChanged(message.text))
      super.handleCommandComplete(message, connection)
    }
  }

  const result: AuditedClass = {
    Class: Audited,
    owns: (query) => query instanceof Audited || Object.getPrototypeOf(query) === Base.prototype,
    adopt: (query) => Object.setPrototypeOf(query, Audited.prototype) as QueryLike,
  }
  auditedClasses.set(Base, result)
  return result
}

/**
 * For what cannot share a transaction with a setter (CALL, DO, cursors, COPY): the session is given the context before,
 * and cleared after. Two round trips more. Behind a transaction pooler the statement may reach another session, and then
 * carries no context.
 */
function apart(
  query: (...args: unknown[]) => unknown,
  state: SessionState,
  load: Carried,
  ...statement: unknown[]
): unknown {
  const set = (text: string, then: () => void): void => {
    state.known = undefined
    query({ text: `select set_config('whodunit.context', $1, false)`, values: [text] }, undefined, then)
  }
  const target = statement[0] as QueryLike
  const finished = target.callback
  if (finished) target.callback = (error, result) => set('', () => finished(error, result))
  set(load.text, () => {
    query(...statement)
    if (!finished) set('', () => {})
  })
  return target
}

function queryClass(client: ClientLike): QueryClass {
  const { Query } = client.constructor as { Query?: QueryClass }
  const methods = ['prepare', 'submit', 'requiresPreparation', 'handleDataRow', 'handleCommandComplete']
  const missing = methods.filter((method) => typeof (Query?.prototype as Record<string, unknown>)?.[method] !== 'function')
  if (!Query || missing.length > 0 || typeof client._handleParseComplete !== 'function') {
    throw new AuditError(
      'AUDIT_CLIENT_UNKNOWN',
      `This client of pg cannot carry the context (${missing.join(', ') || 'unknown members'}).`,
      'pg 8.11 to 8.23 are supported; pg-native is not.',
    )
  }
  return Query
}
