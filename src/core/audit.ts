import { randomUUID } from 'node:crypto'
import { preciseNow } from './clock.ts'
import {
  AuditScope,
  type AuditContext,
  type ContextChange,
  type ContextInput,
  currentScope,
  runInScope,
} from './context.ts'
import type { AuditDatabase, MigrateOptions, MigrateReport, TrailStatus, CheckWarning } from './database.ts'
import type { AuditEntry, NewEntry } from './entry.ts'
import { AuditError } from './errors.ts'
import * as log from './log.ts'
import { type AuditLogger, createLogger, type Logged } from './logger.ts'
import { createTranslator, mergeNames, type Names } from './names.ts'
import { translatePolicy } from './names-policy.ts'
import { checkConfig } from './policy-check.ts'
import { type AuditConfig, type Policy, policyOf } from './policy.ts'
import { createQueue, type QueueCounters } from './queue.ts'
import { createReader, type EntryReader } from './reader.ts'
import { applyPolicy, type HashValues } from './apply-policy.ts'
import type { AuditSummary, SummaryQuery } from './summary.ts'
import { toDate } from './query.ts'
import { inNamesOf } from './unknown-name.ts'

export interface AuditOptions<Client = unknown, Transaction = unknown> extends AuditConfig {
  /** The application's database: `fromPg(pool)` and its like. */
  readonly database: AuditDatabase<Client, Transaction>
  readonly app?: { readonly name: string; readonly release?: string }
  /**
   * Hears of entries that could not be stored yet or were dropped, and of changes that were let through unrecorded
   * (AUDIT_CAPTURE_FAILED). @default one line on stderr
   */
  readonly onError?: (error: unknown) => void
  /** Most entries that wait in memory to be stored. @default 10000 */
  readonly maxQueue?: number
  /** Most milliseconds a log entry waits before it is sent. @default 100 */
  readonly flushDelay?: number
  /** @default () => new Date() */
  readonly clock?: () => Date
  /** Makes the `ref` of entries and the id of requests. @default randomUUID */
  readonly createId?: () => string
}

export interface Audit<Client = unknown, Transaction = unknown> extends AuditLogger {
  /** The wrapped client: give this to the application and its ORM. */
  readonly client: Client
  /**
   * Makes another client of the same kind carry the context too, and gives it back wrapped: the pool of a read replica, of
   * a tenant's role or schema, of a second ORM. It must reach the database of this audit, or a replica of it: the trail is
   * read and written through `client` alone. A database of its own has a trail of its own: `createAudit` again.
   *
   * @throws AUDIT_DATABASE_UNSUPPORTED where a database has one client only (SQLite, PGlite)
   * @example
   * const replica = audit.attach(new pg.Pool({ connectionString: process.env.REPLICA_URL }))
   */
  attach(client: Client): Client
  /** The policy in the names of tables and columns. */
  readonly policy: Policy
  /** The application's names: those that its ORM has, and on top of them those of the policy. */
  readonly names: Names
  readonly entries: EntryReader

  /**
   * Runs `fn` with a context. What is left out is taken from the context around it; the outermost one gets a request id,
   * so that everything one run does can be read together. A query must be awaited inside `fn` to carry the context.
   *
   * @example
   * await audit.withContext({ actor: { type: 'job', id: 'nightly' }, reason: 'month end' }, () => closeBooks())
   */
  withContext<T>(context: ContextInput, fn: () => T): T
  /** Changes the current context, until its function ends. Outside of one: AUDIT_CONTEXT_NONE. */
  set(change: ContextChange): void
  /** The current context as plain data, to pass to a job; empty outside of one. */
  context(): AuditContext
  /**
   * Runs `fn` without capture. Not silently: each transaction leaves one SKIPPED entry a table, with the reason.
   * AUDIT_SKIP_FORBIDDEN where the policy says `allowSkip: false`.
   */
  skip<T>(reason: string, fn: () => T): T

  /** The same log methods, writing in the given transaction: they commit and roll back with it. */
  in(transaction: Transaction): AuditLogger
  /** The newest entries of one object first; a changed key is followed. */
  history(model: string, id: string | number | bigint): Promise<readonly AuditEntry[]>
  getAuditSummary(query?: SummaryQuery): Promise<AuditSummary>

  migrate(options?: MigrateOptions): Promise<MigrateReport>
  /**
   * Compares application, stored policy and triggers, and proves that the context arrives through `client`.
   * Throws AUDIT_POLICY_EXPOSED and AUDIT_CONTEXT_LOST; answers other drift as warnings.
   */
  check(): Promise<readonly CheckWarning[]>
  status(): Promise<TrailStatus & { readonly queue: QueueCounters }>
  /** Resolves when everything logged so far is stored, or finally refused. */
  flush(): Promise<void>
  /** Flushes and ends the library's own connections. The application's client stays open. */
  close(): Promise<void>
}

/**
 * Makes the audit of an application. Does not connect.
 *
 * @throws AUDIT_POLICY_INVALID and the like, where the policy has the wrong shape
 * @example
 * export const audit = createAudit({ ...config, database: fromPg(pool), app: { name: 'shop', release: '1.4.2' } })
 */
export function createAudit<Client, Transaction>(
  options: AuditOptions<Client, Transaction>,
): Audit<Client, Transaction> {
  const { database, app: application, onError, maxQueue, flushDelay, clock, createId, ...config } = options
  checkConfig(config)
  if (typeof database?.write !== 'function') {
    throw new AuditError(
      'AUDIT_CLIENT_UNKNOWN',
      'createAudit got no database.',
      'Pass database: fromPg(pool) or its like.',
    )
  }
  const names = createTranslator(mergeNames(database.names, config.names))
  const policy = translatePolicy(policyOf(config), names)
  if (policy.onCaptureError === 'report' && database.cannotReport) {
    throw new AuditError(
      'AUDIT_POLICY_INVALID',
      `onCaptureError: 'report' is not possible with this database: ${database.cannotReport}.`,
      `Leave it out: a change that cannot be recorded then fails the write.`,
    )
  }
  const now = clock ?? (() => new Date())
  const newId = createId ?? randomUUID
  const app = application ? [application.name, application.release].filter(Boolean).join('@') : undefined
  const skipped = new Set(policy.skipActions)
  const defaults = {
    clock: clock ? () => ({ at: clock(), micros: 0 }) : preciseNow,
    app,
    addresses: policy.addresses ?? true,
  }
  const report = onError ?? reportOnStderr
  database.onUnrecorded?.(quietly(report))
  const queue = createQueue({
    // Here, where nobody waits: a hash has to be asked of the database
    write: async (entries) => {
      const hash: HashValues = (values) => database.setup.hash(values)
      await database.write(await Promise.all(entries.map((entry) => applyPolicy(entry, policy, hash))))
    },
    onError: report,
    capacity: maxQueue ?? 10_000,
    delay: flushDelay ?? 100,
  })

  const complete = (draft: log.Draft, ref: string): NewEntry => {
    if (draft.kind !== 'request') currentScope()?.note(1)
    return names.stored(log.completeDraft(draft, ref, defaults))
  }
  const queued = async (draft: log.Draft): Promise<Logged> => {
    const ref = newId()
    if (skipped.has(draft.action)) return { ref }
    const durable = draft.options.durable === true
    if (durable && database.wouldDeadlock()) {
      throw new AuditError(
        'AUDIT_WRITE_DEADLOCK',
        `${draft.action} with durable: true waits for a connection that the open transaction holds.`,
        'Use audit.in(transaction), or leave durable out.',
      )
    }
    const stored = queue.add(complete(draft, ref), durable)
    if (durable) await stored
    else stored.catch(() => {}) // onError has heard of it
    return { ref }
  }
  const joined =
    (transaction: Transaction) =>
    async (draft: log.Draft): Promise<Logged> => {
      const ref = newId()
      if (skipped.has(draft.action)) return { ref }
      const hash: HashValues = (values) => database.hashIn(transaction, values)
      await database.writeIn(transaction, [await applyPolicy(complete(draft, ref), policy, hash)])
      return { ref }
    }

  const reader = createReader(database.trail, policy, names, now)
  const inNames = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work
    } catch (error) {
      throw inNamesOf(error, names, Object.keys(config.models ?? {}))
    }
  }
  const migrate = (given?: MigrateOptions): Promise<MigrateReport> =>
    inNames(database.setup.migrate(policy, given))

  return {
    ...createLogger(queued),
    client: database.client,
    attach(client) {
      if (database.attach) return database.attach(client)
      throw new AuditError(
        'AUDIT_DATABASE_UNSUPPORTED',
        'This database carries the context of one client only.',
        'Make an audit of its own for each client.',
      )
    },
    policy,
    names: names.names,
    entries: reader.entries,
    in: (transaction) => createLogger(joined(transaction)),
    history: reader.history,

    withContext(context, fn) {
      const outer = context.detached ? undefined : currentScope()
      const request = outer ? context.request : { ...context.request, id: context.request?.id ?? newId() }
      const origin = context.origin ?? (outer ? undefined : 'app')
      const input = {
        ...context,
        ...(request ? { request } : {}),
        ...(origin ? { origin } : {}),
        ...(app && !outer ? { app } : {}),
      }
      const kept = defaults.addresses ? input : log.withoutAddress(input)
      return runInScope(new AuditScope(kept, outer), () => settleInside(fn()))
    },
    set(change) {
      const scope = currentScope()
      if (!scope) {
        throw new AuditError(
          'AUDIT_CONTEXT_NONE',
          'set() was called outside of a context.',
          'Open one by withContext().',
        )
      }
      scope.set(change)
    },
    context: () => currentScope()?.read() ?? {},
    skip(reason, fn) {
      if (policy.allowSkip === false) {
        throw new AuditError(
          'AUDIT_SKIP_FORBIDDEN',
          `skip("${reason}") is forbidden by the policy.`,
          'Set allowSkip: true.',
        )
      }
      if (typeof reason !== 'string' || reason.trim() === '') {
        throw new AuditError(
          'AUDIT_ENTRY_INVALID',
          'skip() was called without a reason.',
          'Say why, in a few words.',
        )
      }
      return runInScope(new AuditScope({}, currentScope(), reason), () => settleInside(fn()))
    },

    async getAuditSummary(query = {}) {
      const to = now()
      const from = toDate('since', query.since ?? `${query.days ?? 30}d`, to)
      const model = query.model === undefined ? {} : { model: names.table(query.model) }
      const summary = await database.trail.summary({ ...query, ...model, from, to })
      const byModel = summary.byModel.map(({ name, count }) => ({ name: names.shownModel(name), count }))
      return { ...summary, byModel }
    },
    migrate,
    async check() {
      const warnings = await inNames(database.setup.check(policy))
      await proveContext(database, newId())
      return warnings
    },
    status: async () => ({ ...(await database.setup.status(policy)), queue: queue.counters() }),
    flush: () => queue.flush(),
    async close() {
      await queue.close()
      await database.close()
    },
  }
}

/** A lazy thenable (a query builder) must start inside the scope, so it is awaited there; other values pass as they are. */
function settleInside<T>(value: T): T {
  const lazy = typeof (value as { then?: unknown } | null)?.then === 'function' && !(value instanceof Promise)
  return lazy ? (Promise.resolve(value) as T) : value
}

async function proveContext(database: AuditDatabase, id: string): Promise<void> {
  const scope = new AuditScope({ request: { id } })
  const arrived = await runInScope(scope, () => database.probe())
  if (arrived.includes(id)) return
  throw new AuditError(
    'AUDIT_CONTEXT_LOST',
    'A query made through audit.client did not carry the context.',
    'Give audit.client to your ORM in place of the original, and make sure that only one copy of the client package is installed (npm ls).',
  )
}

/** A reporter that throws must not stop what it is told of. */
function quietly(report: (error: unknown) => void): (error: unknown) => void {
  return (error) => {
    try {
      report(error)
    } catch {
      // nobody is left to be told
    }
  }
}

function reportOnStderr(error: unknown): void {
  console.error(`[whodunit] ${error instanceof Error ? error.message : String(error)}`)
}
