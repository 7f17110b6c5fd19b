import { AsyncResource } from 'node:async_hooks'
import { type AuditScope, currentScope } from '../../core/internal.ts'

/** The context of the calling code, at one moment. */
export interface Taken {
  readonly scope: AuditScope | undefined
  readonly context: string
}

/** Of a pool's query that is being called, and of one that is being handed to a free connection. */
let [called, handed]: (Taken | undefined)[] = []

export function take(): Taken {
  const scope = currentScope()
  return { scope, context: scope?.text() ?? '' }
}

/** The context that a pool's query was called with, while it is handed to a connection; else that of right now. */
export function handedOrTake(): Taken {
  return handed ?? take()
}

/** Runs a callback in the context of the code that passed it, whoever calls it. */
export function bindContext<F extends (...args: never[]) => unknown>(callback: F): F {
  const resource = new AsyncResource('whodunit')
  return function (this: unknown, ...args: unknown[]) {
    return resource.runInAsyncScope(callback as unknown as (...given: unknown[]) => unknown, this, ...args)
  } as unknown as F
}

/** `pool.query` waits for a free connection: its context is that of the moment it is called all the same. */
export function callsQuery<A extends unknown[], R>(query: (...args: A) => R): (...args: A) => R {
  return function (this: unknown, ...args) {
    called = take()
    try {
      return query.apply(this, args)
    } finally {
      called = undefined
    }
  }
}

/** A callback that waits for a free connection would run in the context of whoever frees one. */
export function bindWaiting<F extends (...args: never[]) => unknown>(callback: F): F {
  const [taken, bound] = [called, bindContext(callback)]
  if (!taken) return bound
  return ((...args: Parameters<F>) => {
    handed = taken
    try {
      return bound(...args)
    } finally {
      handed = undefined
    }
  }) as F
}
