import { AuditError } from '../core/internal.ts'
import type { Session } from '../dialect/dialect.ts'
import { createListeners, type Listeners, type NoticeListener } from './base/listeners.ts'
import { sessionOver } from './base/own.ts'
import type { Driver } from './driver.ts'
import { bindWaiting, callsQuery } from './base/taken.ts'
import { checkClient, type ClientLike, instrument } from './pg/client.ts'

/** What is used of a `pg.Pool`. */
export interface PgPoolLike {
  query(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>
  connect(): Promise<PgClientLike & { release(error?: boolean): void }>
  end(): Promise<void>
  on(event: 'connect', listener: (client: never) => void): unknown
  readonly options: object
}

/** What is used of a `pg.Client`, also of one that was taken from a pool. */
export interface PgClientLike {
  query(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>
}

/** A driver for node-postgres. The pool, or the client, is instrumented in place and given back as `client`. */
export function pgDriver<T extends PgPoolLike | PgClientLike>(client: T): Driver<T, PgClientLike> {
  const own = isPool(client) ? instrumentPool(client) : instrumentClient(client)
  const ends: (() => void)[] = []
  return {
    client,
    attach(other) {
      if (isPool(other)) instrumentPool(other)
      else instrumentClient(other)
      return other
    },
    writing: session(own, 1),
    reading: session(own, 2),
    asApplication: async (sql, parameters) => rows(await client.query(sql, parameters as unknown[])),
    in: (transaction) => {
      if (typeof transaction?.query !== 'function') {
        throw new AuditError(
          'AUDIT_CLIENT_UNKNOWN',
          'audit.in() got no client of pg.',
          'Pass the client that holds the transaction.',
        )
      }
      return async (sql, parameters) => rows(await transaction.query(sql, parameters as unknown[]))
    },
    wouldDeadlock: () => false,
    onNotice: (listener) => ends.push(listenersOf(client).add(listener)),
    close: async () => {
      for (const end of ends.splice(0)) end()
      await own.close()
    },
  }
}

type Noticing = { on(event: 'notice', listener: NoticeListener): unknown }
const listeners = new WeakMap<object, Listeners>()

/** Of a pool or a client, on which no more than one listener of ours is put, whatever the number of audits over it. */
function listenersOf(client: PgPoolLike | PgClientLike): Listeners {
  const known = listeners.get(client)
  if (known) return known
  const made = createListeners()
  listeners.set(client, made)
  const hear = (one: Noticing): unknown => one.on('notice', made.tell)
  if (isPool(client)) {
    for (const one of client._clients ?? []) hear(one as never)
    client.on('connect', hear)
  } else hear(client as never)
  return made
}

/** Connections of the library's own, made with the settings of the application's. */
interface OwnConnections {
  with<T>(lane: number, fn: (client: PgClientLike) => Promise<T>): Promise<T>
  close(): Promise<void>
}

function session(own: OwnConnections, lane: number): Session {
  return sessionOver((fn) =>
    own.with(lane, (client) =>
      fn(async (sql, parameters) => rows(await client.query(sql, parameters as unknown[]))),
    ),
  )
}

type PoolInternals = PgPoolLike & {
  readonly Client?: new (options: object) => ClientLike
  readonly _clients?: readonly ClientLike[]
  readonly options: { readonly password?: unknown }
  readonly constructor: new (options: object) => PgPoolLike
}

function isPool(client: object): client is PoolInternals {
  const { connect, options, totalCount } = (client ?? {}) as Record<string, unknown>
  return typeof connect === 'function' && typeof options === 'object' && typeof totalCount === 'number'
}

const instrumentedPool: unique symbol = Symbol('whodunit pool')

function instrumentPool(pool: PoolInternals): OwnConnections {
  const marked = pool as PoolInternals & { [instrumentedPool]?: true }
  if (!marked[instrumentedPool]) {
    // Not connected: a client of another kind is refused here, not when the first one connects
    if (pool.Client) checkClient(new pool.Client(pool.options))
    marked[instrumentedPool] = true
    for (const client of pool._clients ?? []) instrument(client)
    pool.on('connect', (client: ClientLike) => instrument(client))
    const connect = pool.connect as (...args: unknown[]) => unknown
    pool.connect = function (this: unknown, callback?: unknown) {
      return connect.call(this, typeof callback === 'function' ? bindWaiting(callback as never) : callback)
    } as never
    pool.query = callsQuery(pool.query as never)
  }
  // `password` is not enumerable, so that it is not logged
  const options = {
    ...pool.options,
    password: pool.options.password,
    Client: pool.Client,
    allowExitOnIdle: true,
    min: 0,
  }
  const lanes = new Map<number, PgPoolLike>()
  return {
    async with(max, fn) {
      const lane = lanes.get(max) ?? new pool.constructor({ ...options, max })
      if (!lanes.has(max)) {
        ignoreErrors(lane as never)
        // also of one that breaks while it is idle inside a transaction: its next statement tells
        lane.on('connect', ignoreErrors)
      }
      lanes.set(max, lane)
      const client = await lane.connect()
      let broken = false
      try {
        return await fn(client)
      } catch (error) {
        broken = isConnectionError(error)
        throw error
      } finally {
        client.release(broken)
      }
    },
    async close() {
      const open = [...lanes.values()]
      lanes.clear()
      await Promise.all(open.map((lane) => lane.end()))
    },
  }
}

type ClientInternals = ClientLike & {
  readonly constructor: new (
    options: object,
  ) => ClientLike & { connect(): Promise<void>; end(): Promise<void> }
  readonly password?: unknown
} & Record<'host' | 'port' | 'user' | 'database' | 'ssl', unknown>

/** A lone client has no pool to copy: the library connects for each batch and for each reading. */
function instrumentClient(client: PgClientLike): OwnConnections {
  const original = client as ClientInternals
  if (typeof original?.query !== 'function' || typeof original.connection !== 'object') {
    throw new AuditError(
      'AUDIT_CLIENT_UNKNOWN',
      'fromPg() got neither a Pool nor a Client of pg.',
      'Pass new pg.Pool(...) or new pg.Client(...).',
    )
  }
  instrument(original)
  return {
    async with(_lane, fn) {
      const { host, port, user, database, ssl, password } = original
      const own = new original.constructor({ host, port, user, database, ssl, password })
      ignoreErrors(own as never)
      await own.connect()
      try {
        return await fn(own as unknown as PgClientLike)
      } finally {
        await own.end()
      }
    },
    close: async () => {},
  }
}

function ignoreErrors(emitter: { on(event: 'error', listener: () => void): unknown }): void {
  emitter.on('error', () => {})
}

function isConnectionError(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code !== 'string' || /^(08|57P|E)/.test(code)
}

function rows(result: { rows: unknown[] }): never {
  return result.rows as never
}
