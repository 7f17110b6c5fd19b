import { bindContext, handedOrTake, take, type Taken } from '../base/taken.ts'
import { around, atRelease, newSession } from '../base/user-variable.ts'

/*
 * How the context travels through MariaDB's connector. Its inside is private, so the public methods of a pool and of its
 * connections are replaced: what a connection is asked to do takes turns, each with the statements that set and clear
 * the context around it. The connector writes them without waiting for answers (`pipelining`, which is its default).
 */

type Method = (this: unknown, ...args: unknown[]) => unknown
type Methods = Record<string, Method>
type Done = (...answer: unknown[]) => void

const originals: unique symbol = Symbol('whodunit originals')

/** The methods of a client as they were before it was instrumented. */
export function original<T extends object>(client: T): T {
  return (client as { [originals]?: T })[originals] ?? client
}

function replaceMethods(client: object, replaced: Readonly<Methods>): void {
  const methods = client as Methods & { [originals]?: Methods }
  if (methods[originals]) return
  const known = Object.keys(replaced).filter((name) => typeof methods[name] === 'function')
  methods[originals] = Object.fromEntries(known.map((name) => [name, methods[name]!]))
  for (const name of known) methods[name] = replaced[name]!
}

const textOf = (options: unknown): string =>
  String(typeof options === 'object' && options !== null ? (options as { sql?: unknown }).sql : options)

/** Makes a pool's connections, and its own queries, carry the context. Doing it twice has no effect. */
export function instrumentPool(pool: Methods): void {
  const plain = { ...pool, getConnection: pool['getConnection']! }
  const connect = async (): Promise<Methods> => {
    const connection = (await settled((done) => plain.getConnection.call(pool, done)))[0] as Methods
    instrumentConnection(connection)
    return connection
  }
  const through =
    (name: string): Method =>
    (...args) => {
      const taken = take()
      const { given, callback } = split(args)
      const work = async (): Promise<unknown[]> => {
        const connection = await connect()
        try {
          return await on(connection).run(textOf(given[0]), taken, (done) =>
            plainMethod(connection, name)(...given, done),
          )
        } finally {
          void settled((done) => connection['release']!(done)).catch(() => {})
        }
      }
      return deliver(work(), callback)
    }
  replaceMethods(pool, {
    query: through('query'),
    execute: through('execute'),
    batch: through('batch'),
    getConnection: (...args) => {
      const { callback } = split(args)
      return deliver(
        connect().then((connection) => [connection]),
        callback && ((error, found) => callback(error ?? null, found)),
      )
    },
  })
}

/** Makes a connection carry the context. Doing it twice has no effect. */
export function instrumentConnection(connection: Methods): void {
  if (lines.has(connection)) return
  const line = createLine(connection)
  lines.set(connection, line)
  const statement =
    (name: string, text?: string): Method =>
    (...args) =>
      line.call(text ?? textOf(args[0]), args, (...given) => plainMethod(connection, name)(...given))
  const last =
    (name: string): Method =>
    (...args) => {
      const { given, callback } = split(args)
      return deliver(
        line.leave((done) => plainMethod(connection, name)(...given, done)),
        callback,
      )
    }
  replaceMethods(connection, {
    query: statement('query'),
    execute: statement('execute'),
    batch: statement('batch'),
    queryStream: statement('queryStream'),
    beginTransaction: statement('beginTransaction', 'begin'),
    commit: statement('commit', 'commit'),
    rollback: statement('rollback', 'rollback'),
    prepare: (...args) => {
      const text = textOf(args[0])
      const { given, callback } = split(args)
      const prepared = line
        .run('prepare', handedOrTake(), (done) => plainMethod(connection, 'prepare')(...given, done))
        .then(([found]) => {
          const methods = found as Methods
          for (const name of ['execute', 'executeStream']) {
            const run = methods[name]?.bind(methods)
            if (run) methods[name] = (...values) => line.call(text, values, run)
          }
          return [found]
        })
      return deliver(prepared, callback)
    },
    changeUser: last('changeUser'),
    reset: last('reset'),
    release: last('release'),
    end: last('end'),
    close: last('close'),
  })
}

function plainMethod(connection: object, name: string): Method {
  return original(connection as Methods)[name]!.bind(connection)
}

const lines = new WeakMap<object, Line>()
const on = (connection: object): Line => lines.get(connection)!

interface Line {
  /** As an application calls it: at once where the connection is free, so that a stream can be given back. */
  call(text: string, args: unknown[], run: Method): unknown
  run(text: string, taken: Taken, run: (done: Done) => unknown): Promise<unknown[]>
  /** For what gives the connection away. */
  leave(run: (done: Done) => unknown): Promise<unknown[]>
}

/** What a connection is asked to do, one after another: what comes between is ours. */
function createLine(connection: Methods): Line {
  const state = newSession()
  let last: Promise<unknown> | undefined
  // Not waited for: it goes in front of what comes next. Where it fails, what comes next would have another's context
  const send = (sql: string | undefined): void => {
    if (sql === undefined) return
    settled((done) => plainMethod(connection, 'query')(sql, undefined, done)).catch(() =>
      connection['destroy']?.(),
    )
  }
  const turn = (work: () => Promise<unknown[]>): Promise<unknown[]> => {
    const running: Promise<unknown[]> = last ? last.then(work) : work()
    const mine = running.then(
      () => {},
      () => {},
    )
    last = mine
    void mine.then(() => {
      if (last === mine) last = undefined
    })
    return running
  }
  const line: Line = {
    call(text, args, run) {
      const taken = handedOrTake()
      const { given, callback } = split(args)
      if (callback)
        return deliver(
          line.run(text, taken, (done) => run(...given, done)),
          callback,
        )
      if (last)
        return isCallbackApi(connection) ? run(...given) : deliver(line.run(text, taken, () => run(...given)))
      let result: unknown
      const finished = turn(() =>
        within(text, taken, () => {
          result = run(...given)
          return ended(result)
        }),
      )
      if (result instanceof Promise) return deliver(finished)
      finished.catch(() => {}) // its listeners have heard of it
      return result
    },
    run: (text, taken, run) => turn(() => within(text, taken, () => settled(run))),
    leave: (run) =>
      turn(() => {
        send(atRelease(state))
        return settled(run)
      }),
  }
  async function within(
    text: string,
    { scope, context }: Taken,
    work: () => Promise<unknown[]>,
  ): Promise<unknown[]> {
    const { before, behind } = around(state, text, context)
    send(before)
    try {
      const answer = await work()
      scope?.note(rowsChanged(answer[0]))
      return answer
    } finally {
      send(behind)
    }
  }
  return line
}

const isCallbackApi = (connection: Methods): boolean => typeof connection['connect'] === 'function'

function split(args: unknown[]): { given: unknown[]; callback?: Done } {
  const callback = args.at(-1)
  return typeof callback === 'function'
    ? { given: args.slice(0, -1), callback: bindContext(callback as Done) }
    : { given: args }
}

/** Back to who called: by callback, where one was given, else by promise. */
function deliver(work: Promise<unknown[]>, callback?: Done): unknown {
  if (!callback) return work.then(([answer]) => answer)
  void (async () => {
    let answer: unknown[]
    try {
      answer = await work
    } catch (error) {
      callback(error)
      return
    }
    callback(null, ...answer)
  })()
  return undefined
}

/** Of what is called with a callback, and may answer a promise in its place. */
export function settled(call: (done: Done) => unknown): Promise<unknown[]> {
  return new Promise((resolve, reject) => {
    const result = call((error, ...answer) => (error ? reject(error) : resolve(answer)))
    if (result instanceof Promise) result.then((answer) => resolve([answer]), reject)
  })
}

/** Of a promise, or of a stream or a command that tells when it ends. */
function ended(result: unknown): Promise<unknown[]> {
  if (result instanceof Promise) return result.then((answer) => [answer])
  const emitter = result as { once?(event: string, listener: (error?: unknown) => void): unknown } | undefined
  return new Promise((resolve, reject) => {
    if (typeof emitter?.once !== 'function') return resolve([])
    for (const event of ['end', 'close']) emitter.once(event, () => resolve([]))
    emitter.once('error', (error) => reject(error))
  })
}

function rowsChanged(answer: unknown): number {
  const results = (Array.isArray(answer) ? answer : [answer]) as ({ affectedRows?: unknown } | undefined)[]
  return results.reduce(
    (sum, result) => sum + (typeof result?.affectedRows === 'number' ? result.affectedRows : 0),
    0,
  )
}
