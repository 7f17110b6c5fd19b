import { AuditError } from '../core/internal.ts'
import type { RunSql } from '../dialect/dialect.ts'
import { rowsOf, sessionOver } from './base/own.ts'
import { bindWaiting, callsQuery } from './base/taken.ts'
import type { Driver } from './driver.ts'
import { checkConnection, type ConnectionLike, instrument } from './mysql2/connection.ts'

/** What is used of a connection of `mysql2/promise`, also of one that was taken from a pool. */
export interface Mysql2PromiseConnectionLike {
  readonly connection: object
  query(sql: string, values?: unknown): Promise<unknown>
}

/** What is used of a connection of `mysql2`. */
export interface Mysql2ConnectionLike {
  readonly config: object
  query(sql: string, values: unknown, callback: (error: never, rows: never) => unknown): unknown
}

/** What is used of a pool of `mysql2` or `mysql2/promise`. */
export type Mysql2PoolLike =
  | { readonly pool: object; getConnection(): Promise<Mysql2PromiseConnectionLike> }
  | {
      readonly config: object
      getConnection(callback: (error: never, connection: never) => unknown): unknown
    }

export type Mysql2ClientLike = Mysql2PoolLike | Mysql2ConnectionLike | Mysql2PromiseConnectionLike
export type Mysql2TransactionLike = Mysql2ConnectionLike | Mysql2PromiseConnectionLike

/** A driver for mysql2. The pool, or the connection, is instrumented in place and given back as `client`. */
export function mysql2Driver<T extends Mysql2ClientLike>(client: T): Driver<T, Mysql2TransactionLike> {
  const core = coreOf(client)
  const own = isPool(core) ? instrumentPool(core) : instrumentConnection(core)
  return {
    client,
    attach(other) {
      const its = coreOf(other)
      if (isPool(its)) instrumentPool(its)
      else instrumentConnection(its)
      return other
    },
    writing: sessionOver((fn) => own.with(1, fn)),
    reading: sessionOver((fn) => own.with(2, fn)),
    asApplication: runOn(core),
    in: (transaction) => {
      const connection = coreOf(transaction)
      if (isPool(connection) || typeof connection?.query !== 'function') {
        throw new AuditError(
          'AUDIT_CLIENT_UNKNOWN',
          'audit.in() got no connection of mysql2.',
          'Pass the connection that holds the transaction.',
        )
      }
      return runOn(connection)
    },
    wouldDeadlock: () => false,
    close: () => own.close(),
  }
}

type Callback = (error: unknown, answer?: unknown) => void

interface Core {
  query(options: object, values: unknown, callback: Callback): unknown
}

type CoreConnection = Core &
  ConnectionLike & { readonly constructor: new (options: object) => CoreConnection } & {
    readonly stream: { ref?(): unknown; unref?(): unknown }
    connect(callback: (error: unknown) => void): void
    end(callback: () => void): void
    release?(): void
  }

type CorePool = Core & {
  readonly constructor: new (options: object) => CorePool
  readonly config: { readonly connectionConfig: object }
  readonly _allConnections: { readonly length: number; get(index: number): CoreConnection }
  getConnection(callback: (error: unknown, connection: CoreConnection) => void): void
  on(event: 'connection', listener: (connection: CoreConnection) => void): unknown
  end(callback: () => void): void
}

/** Pools and connections of `mysql2/promise` are shells around those of `mysql2`. */
function coreOf(client: unknown): CorePool | CoreConnection {
  const { pool, connection } = (client ?? {}) as { pool?: unknown; connection?: unknown }
  return (pool ?? connection ?? client) as CorePool | CoreConnection
}

function isPool(core: object): core is CorePool {
  const { getConnection, config, _allConnections } = (core ?? {}) as Partial<CorePool>
  return (
    typeof getConnection === 'function' && typeof config === 'object' && typeof _allConnections === 'object'
  )
}

/** With what the application may have set otherwise for its own queries. */
const plain = { rowsAsArray: false, nestTables: false, namedPlaceholders: false, typeCast: true }

function runOn(core: Core): RunSql {
  return (sql, parameters = []) =>
    new Promise((resolve, reject) => {
      core.query({ sql, ...plain }, [...parameters], (error, answer) =>
        error ? reject(error) : resolve(rowsOf(answer)),
      )
    })
}

/** Connections of the library's own, made with the settings of the application's. */
interface OwnConnections {
  with<T>(lane: number, fn: (run: RunSql) => Promise<T>): Promise<T>
  close(): Promise<void>
}

/** So that neither the server's default nor what the application sets can change how our statements are read. */
const begin = `set session sql_mode = ''`
const utf8mb4 = 224

function ownConfig(config: object): object {
  const copy = Object.create(
    Object.getPrototypeOf(config),
    Object.getOwnPropertyDescriptors(config),
  ) as object
  return Object.assign(copy, {
    charsetNumber: utf8mb4,
    queryFormat: undefined,
    pool: undefined,
    // how the application wants its values is its own matter
    supportBigNumbers: false,
    bigNumberStrings: false,
    decimalNumbers: false,
    dateStrings: false,
  })
}

const instrumented: unique symbol = Symbol('whodunit pool')

function instrumentPool(pool: CorePool): OwnConnections {
  const marked = pool as CorePool & { [instrumented]?: true; execute: CorePool['query'] }
  if (!marked[instrumented]) {
    marked[instrumented] = true
    for (let n = 0; n < pool._allConnections.length; n++) instrument(pool._allConnections.get(n))
    pool.on('connection', instrument)
    const getConnection = pool.getConnection
    pool.getConnection = (callback) =>
      getConnection.call(pool, typeof callback === 'function' ? bindWaiting(callback as never) : callback)
    pool.query = callsQuery(pool.query as never)
    marked.execute = callsQuery(marked.execute as never)
  }
  const lanes = new Map<number, CorePool>()
  return {
    async with(max, fn) {
      const lane = lanes.get(max) ?? ownPool(pool, max)
      lanes.set(max, lane)
      const connection = await new Promise<CoreConnection>((resolve, reject) => {
        lane.getConnection((error, free) => (error ? reject(error) : resolve(free)))
      })
      connection.stream.ref?.()
      try {
        return await fn(runOn(connection))
      } finally {
        connection.stream.unref?.() // an idle connection must not keep the process
        connection.release?.()
      }
    },
    async close() {
      const open = [...lanes.values()]
      lanes.clear()
      await Promise.all(open.map((lane) => new Promise<void>((resolve) => lane.end(resolve))))
    },
  }
}

function ownPool(pool: CorePool, max: number): CorePool {
  const own = new pool.constructor({
    config: {
      ...pool.config,
      connectionConfig: ownConfig(pool.config.connectionConfig),
      connectionLimit: max,
      maxIdle: max, // else a timer would keep the process
      queueLimit: 0,
      waitForConnections: true,
    },
  })
  own.on('connection', (connection) => connection.query({ sql: begin }, [], () => {}))
  return own
}

/** A lone connection has no pool to copy: the library connects for each batch and for each reading. */
function instrumentConnection(original: CoreConnection): OwnConnections {
  checkConnection(original)
  instrument(original)
  return {
    async with(_lane, fn) {
      const own = new original.constructor({ config: ownConfig(original.config) })
      await new Promise<void>((resolve, reject) => {
        own.connect((error) => (error ? reject(error) : resolve()))
      })
      try {
        await runOn(own)(begin)
        return await fn(runOn(own))
      } finally {
        await new Promise<void>((resolve) => own.end(resolve))
      }
    },
    close: async () => {},
  }
}
