import { AsyncLocalStorage } from 'node:async_hooks'
import { type Actor, type ActorInput, toActor } from './actor.ts'
import { encodeContext } from './wire.ts'

/** From where an entry came. `sql` is a write without a context: another program, a console. */
export const origins = ['http', 'job', 'cli', 'app', 'migration', 'backfill', 'replication', 'sql'] as const
export type Origin = (typeof origins)[number]

/** The request an entry belongs to. A job or a script has one too: its `id` groups what one run did. */
export interface RequestContext {
  /** Empty where only an address or an agent is known, outside of a request. */
  readonly id: string
  /** The client's address, as far as the trusted proxies vouch for it. */
  readonly ip?: string
  readonly userAgent?: string
  /** A hash of the session's id, never the id itself. */
  readonly sessionId?: string
  readonly method?: string
  /** Without the query string: it may hold secrets. */
  readonly path?: string
}

/** The surroundings of an action, as they are copied into each of its entries. Plain data: it may travel in a job. */
export interface AuditContext {
  readonly actor?: Actor
  readonly request?: RequestContext
  readonly tenant?: string
  readonly reason?: string
  /** Free data of the application; keys that look like secrets are masked. */
  readonly metadata?: Readonly<Record<string, unknown>>
  readonly origin?: Origin
  /** The application and release that wrote, `shop@1.4.2`. */
  readonly app?: string
}

/** What opens a scope. What is left out is taken from the scope around it. */
export interface ContextInput {
  /** A function is asked at each write, so that a sign-in later in the request still counts. It must be synchronous. */
  readonly actor?: ActorInput | null | (() => unknown)
  /** `sessionId` may be a function too: a session often begins, or gets a new id, later in the request. */
  readonly request?: Partial<Omit<RequestContext, 'sessionId'>> & {
    readonly sessionId?: string | (() => unknown)
  }
  readonly tenant?: string | null | (() => unknown)
  readonly reason?: string | null | (() => unknown)
  readonly metadata?: Readonly<Record<string, unknown>>
  readonly origin?: Origin
  readonly app?: string
  /**
   * Takes nothing from the context around it. For a new beginning: a server that was started inside a context hands that
   * context to every request it takes. @default false
   */
  readonly detached?: boolean
}

/** What {@link AuditScope.set} may change while a scope is open. */
export type ContextChange = Pick<ContextInput, 'actor' | 'reason' | 'tenant' | 'metadata'>

/**
 * One open context. The driver reads {@link text} synchronously where a query is called; the text is cached until the
 * scope, or what its functions answer, changes.
 */
export class AuditScope {
  /** Row changes and events seen so far in this scope and those inside it. */
  acted = 0
  readonly skip: string | undefined
  readonly #outer: AuditScope | undefined
  #own: ContextInput
  #changes = 0
  #cached: { readonly key: string; readonly text: string } | undefined

  constructor(input: ContextInput, outer?: AuditScope, skip?: string) {
    this.#own = input
    this.#outer = outer
    this.skip = skip ?? outer?.skip
  }

  set(change: ContextChange): void {
    const metadata = change.metadata ? { ...this.#own.metadata, ...change.metadata } : this.#own.metadata
    this.#own = { ...this.#own, ...change, ...(metadata ? { metadata } : {}) }
    this.#changes++
  }

  /** Marks that something was recorded; tells the scopes around it too. */
  note(count: number): void {
    this.acted += count
    this.#outer?.note(count)
  }

  read(): AuditContext {
    const outer = this.#outer?.read() ?? {}
    const { actor, request, tenant, reason, metadata, origin, app } = this.#own
    const merged = {
      ...outer,
      actor: actor === undefined ? outer.actor : actorOf(actor),
      request: request ? { ...outer.request, ...requestOf(request) } : outer.request,
      tenant: tenant === undefined ? outer.tenant : textOf(ask(tenant)),
      reason: reason === undefined ? outer.reason : textOf(ask(reason)),
      metadata:
        metadata && outer.metadata ? { ...outer.metadata, ...metadata } : (metadata ?? outer.metadata),
      origin: origin ?? outer.origin,
      app: app ?? outer.app,
    }
    return Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== undefined))
  }

  /** The context as the driver sends it to the database. */
  text(): string {
    const key = this.#key()
    if (this.#cached?.key !== key) this.#cached = { key, text: encodeContext(this.read(), this.skip) }
    return this.#cached.text
  }

  // changes with every `set`, here or outside, and with what the functions answer
  #key(): string {
    const { actor, tenant, reason, request } = this.#own
    const who = typeof actor === 'function' ? actorOf(actor) : null
    const texts = [tenant, reason, request?.sessionId].map((value) =>
      typeof value === 'function' ? textOf(ask(value)) : null,
    )
    return JSON.stringify([this.#changes, who, texts, this.#outer ? this.#outer.#key() : null])
  }
}

// A callback, or an object of the application's, that throws leaves the actor unknown and the application undisturbed
function ask(value: unknown): unknown {
  if (typeof value !== 'function') return value
  try {
    const answer: unknown = value()
    if (answer instanceof Promise) answer.catch(() => {}) // no answer, and its rejection must not end the process
    return answer
  } catch {
    return undefined
  }
}

function actorOf(value: unknown): Actor | undefined {
  return ask(() => toActor(ask(value))) as Actor | undefined
}

function requestOf({ sessionId, ...known }: NonNullable<ContextInput['request']>): Partial<RequestContext> {
  const session = textOf(ask(sessionId))
  return session === undefined ? known : { ...known, sessionId: session }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

// One storage a process, even if two versions of the package are loaded: else the actor would get lost between them
const key = Symbol.for('whodunit.context')
const holder = globalThis as { [key]?: AsyncLocalStorage<AuditScope> }
const storage: AsyncLocalStorage<AuditScope> = (holder[key] ??= new AsyncLocalStorage<AuditScope>())

/** The scope of the calling code, if one is open. */
export function currentScope(): AuditScope | undefined {
  return storage.getStore()
}

/** Runs `fn` inside `scope`; the scope is over for the caller when `fn` returns, throws or its promise settles. */
export function runInScope<T>(scope: AuditScope, fn: () => T): T {
  return storage.run(scope, fn)
}
