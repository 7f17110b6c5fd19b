type Within = <T>(fn: () => T) => T

const bound: unique symbol = Symbol('whodunit events')
interface Emitter {
  emit(...args: unknown[]): unknown
  [bound]?: { within: Within }
}

/**
 * Makes the listeners of a request's or an answer's events run in the request's context. Node emits most of them (`data`
 * and `end` of a body that comes in pieces, `close` when the client leaves) in the context in which the server was started,
 * so that an upload's handler would lose its actor. Nothing but the audit's own context is touched.
 *
 * Binding again replaces the context.
 */
export function bindEvents(emitter: object, within: Within): void {
  const marked = emitter as Emitter
  if (marked[bound]) {
    marked[bound].within = within
    return
  }
  const binding = (marked[bound] = { within })
  const { emit } = marked
  Object.defineProperty(marked, 'emit', {
    configurable: true,
    writable: true,
    value(this: unknown, ...args: unknown[]) {
      return binding.within(() => emit.apply(this, args))
    },
  })
}
