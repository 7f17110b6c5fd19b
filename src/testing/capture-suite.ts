import type { Audit, AuditConfig, AuditDatabase, AuditEntry, Changes, TableState } from '../index.ts'
import { contextCases } from './capture-cases-context.ts'
import { failureCases } from './capture-cases-failures.ts'
import { policyCases } from './capture-cases-policy.ts'
import { setupCases } from './capture-cases-setup.ts'
import { valueCases } from './capture-cases-values.ts'
import { writeCases } from './capture-cases-writes.ts'
import type { TestApi } from './driver-suite.ts'

/** What a statement answered, as far as the client says it. */
export interface CaptureAnswer {
  readonly rows: readonly Readonly<Record<string, unknown>>[]
  /** Rows changed. */
  readonly changed?: number
  readonly lastId?: number | bigint | string
}

export interface CaptureStatements {
  /** One statement, with the placeholders of {@link CaptureSql.placeholder}. */
  query(sql: string, parameters?: readonly unknown[]): Promise<CaptureAnswer>
}

/** An empty database, or an empty schema of one, that no other test uses. The trail may be shared. */
export interface CaptureUnderTest extends CaptureStatements {
  /** `query` and `transaction` go through its client. */
  readonly audit: Audit<unknown, never>
  readonly database: Pick<AuditDatabase, 'setup'>
  /** As an application does: commits what resolves, rolls back what throws. */
  transaction<T>(fn: (transaction: CaptureStatements) => Promise<T>): Promise<T>
  /** Statements one after another, on a client that is not wrapped. Answers the rows of the last. */
  plain(...sql: readonly string[]): Promise<CaptureAnswer['rows']>
  /** Statements in one transaction on such a client, with this text put in as the context by hand. */
  byHand(context: string, ...sql: readonly string[]): Promise<unknown>
  /** Another application, with another policy, over the same tables. Closed together with this. */
  with(policy: AuditConfig): Audit<unknown, never>
  /** Everything that `migrate` could leave: triggers, functions, tables, rights, as one text. */
  state(): Promise<string>
  close(): Promise<void>
}

/** How SQL and abilities differ. Where nothing is given, the standard's way is taken. */
export interface CaptureSql {
  /** @default $1, $2, ... */
  readonly placeholder?: (index: number) => string
  /** @default doubles the quote: "a ""name""" */
  readonly quote?: (name: string) => string
  /** The column `id` whose values the database makes itself, as the primary key. */
  readonly autoKey: string
  /** The end of an INSERT into (id, n) that updates `n` where `id` is there. @default on conflict (id) do update ... */
  readonly upsert?: string
  /** An INSERT that leaves out rows that conflict. @default insert ... on conflict do nothing */
  readonly ignoring?: (into: string) => string
  /** An UPDATE of `item` that sets `a` to `b`, `b` to `a`, `c` to `c * 10 + 1` and `d` to `d`, by the values before it. */
  readonly swap?: string
  /** Drops a column of a table; `rest` are the definitions of the others. @default alter table ... drop column */
  readonly dropColumn?: (table: string, column: string, rest: readonly string[]) => readonly string[]
  /** The public view of the trail. */
  readonly view: string
  /** Type, value as SQL, value as it is recorded. */
  readonly values: readonly (readonly [type: string, sql: string, recorded: unknown])[]
  /** How `false` is recorded where the database has no booleans. @default false */
  readonly false?: unknown
  /** Milliseconds that its clock cannot tell apart, in which the order of entries is not certain. @default 0 */
  readonly clock?: number
  /** Names of tables and columns that the database allows. @default quotes, dollars, backslashes, emoji */
  readonly oddNames?: readonly string[]
  readonly can: {
    /** Whether a secret can be recorded as a hash; else `hash` is `mask`, and `migrate` says so. */
    readonly hash: boolean
    /** Whether a column that `migrate` has not seen is recorded at once. */
    readonly recordUnknownColumns: boolean
    /** Whether what a foreign key cascades is recorded. */
    readonly recordCascades: boolean
    readonly truncate: boolean
    /** Whether a change that cannot be recorded can be let through. */
    readonly report: boolean
  }
  /** Ways to break the trail: it takes no UPDATE, or no entry of any row change. */
  readonly faults: Readonly<Record<'noUpdates' | 'noChanges', Fault>>
}

/** Statements that break the trail, and statements that mend it. */
export interface Fault {
  readonly does: readonly string[]
  readonly mends: readonly string[]
  /** What the counted cause begins with. */
  readonly cause: string
}

/** An entry in short: `['UPDATE', '1', { name: ['a', 'b'] }]`. */
export type Recorded = readonly [action: string, id: string | null, changes: Changes | null]

/** A place with tables, for one test. */
export interface CaptureWorld extends CaptureUnderTest {
  readonly sql: CaptureSql
  /** Entries of this test, oldest first. */
  entries(): Promise<AuditEntry[]>
  /** The row changes among them. */
  changes(): Promise<AuditEntry[]>
  recorded(): Promise<Recorded[]>
  /** In short, without the values: `UPDATE item 1 name,note`. */
  short(): Promise<string[]>
  states(): Promise<Record<string, TableState>>
  /** The placeholder of the nth parameter. */
  at(index: number): string
  quote(name: string): string
  as<T>(actor: string, work: () => Promise<T>): Promise<T>
}

/** What a case works with. */
export interface CaptureCases {
  readonly sql: CaptureSql
  test(title: string, run: (given: Given) => Promise<void>, needs?: boolean): void
  expect(value: unknown): { toEqual(expected: unknown): unknown }
}

export interface Given {
  /** Makes tables and audits them. */
  audited(tables: readonly string[], policy?: AuditConfig): Promise<CaptureWorld>
  /** Makes tables and nothing else. */
  tables(tables: readonly string[], policy?: AuditConfig): Promise<CaptureWorld>
}

/**
 * The contract of capture: what is recorded of the writes to audited tables, whatever the database. `open` is asked for
 * an empty place by every test.
 *
 * @example
 * captureSuite({ describe, it, expect, beforeAll, afterAll }, 'SQLite', openPlace, { autoKey: 'id integer primary key', ... })
 */
export function captureSuite(
  { describe, it, expect }: TestApi,
  name: string,
  open: (policy: AuditConfig) => Promise<CaptureUnderTest>,
  sql: CaptureSql,
): void {
  describe(name, () => {
    const test: CaptureCases['test'] = (title, run, needs = true) => {
      it(title, async (context) => {
        if (!needs) {
          context.skip('the database has no such thing')
          return
        }
        const worlds: CaptureWorld[] = []
        const tables: Given['tables'] = async (statements, policy = {}) => {
          const world = await createWorld(await open(policy), sql)
          worlds.push(world)
          await world.plain(...statements)
          return world
        }
        try {
          await run({
            tables,
            audited: async (statements, policy) => {
              const world = await tables(statements, policy)
              await world.audit.migrate()
              return world
            },
          })
        } finally {
          for (const world of worlds) await world.close()
        }
      })
    }
    const cases = { sql, test, expect }
    writeCases(cases)
    valueCases(cases)
    policyCases(cases)
    contextCases(cases)
    setupCases(cases)
    failureCases(cases)
  })
}

async function createWorld(place: CaptureUnderTest, sql: CaptureSql): Promise<CaptureWorld> {
  const start = await newest(place.audit)
  const entries = async (): Promise<AuditEntry[]> => {
    const found: AuditEntry[] = []
    for await (const entry of place.audit.entries.stream()) {
      if (BigInt(entry.id) <= start) break // of an earlier test, and so is what follows
      found.push(entry)
    }
    return found.toSorted((a, b) => Number(BigInt(a.id) - BigInt(b.id)))
  }
  const changes = async (): Promise<AuditEntry[]> => (await entries()).filter(({ kind }) => kind === 'change')
  const quote = sql.quote ?? ((name: string) => `"${name.replaceAll('"', '""')}"`)
  const at = sql.placeholder ?? ((index: number) => `$${index}`)
  return {
    ...place,
    sql,
    at,
    quote,
    entries,
    changes,
    recorded: async () =>
      (await changes()).map((entry) => [entry.action, entry.target?.id ?? null, entry.changes]),
    short: async () =>
      (await changes()).map(({ action, target, changes: columns }) =>
        [action, target?.model, target?.id, columns && Object.keys(columns).join()]
          .filter((part) => part !== null && part !== undefined)
          .join(' '),
      ),
    states: async () =>
      Object.fromEntries((await place.audit.status()).tables.map(({ model, state }) => [model, state])),
    as: async (actor, work) => place.audit.withContext({ actor: { id: actor } }, work),
  }
}

/** The id of the newest entry, of a trail that may not be there yet. */
async function newest(audit: Audit<unknown, never>): Promise<bigint> {
  if (!(await audit.status()).installed) return 0n
  const { entries } = await audit.entries.find({}, { limit: 100 })
  return entries.reduce((last, { id }) => (BigInt(id) > last ? BigInt(id) : last), 0n)
}

/** Whether the work was refused; its error's text, or nothing. */
export async function refusal(work: Promise<unknown>): Promise<string | null> {
  return work.then(
    () => null,
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  )
}
