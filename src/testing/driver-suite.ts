import type { Audit, AuditEntry } from '../index.ts'
import {
  contextOf,
  createLedger,
  type Ledger,
  suiteSchema,
  suiteTable,
  type Writer,
  race,
} from './driver-ledger.ts'
import { clientCases } from './driver-cases-client.ts'
import { commonCases } from './driver-cases.ts'
import { postgresCases } from './driver-cases-postgres.ts'

/** What the suite needs of a test runner: `{ describe, it, expect, beforeAll, afterAll }` of Vitest, or alike. */
export interface TestApi {
  describe(name: string, define: () => void): unknown
  it(name: string, run: (test: { skip(why?: string): unknown }) => Promise<unknown>): unknown
  expect(value: unknown): { toEqual(expected: unknown): unknown }
  beforeAll(run: () => Promise<unknown>): unknown
  afterAll(run: () => Promise<unknown>): unknown
}

/** Statements on one connection, or in one transaction. */
export interface StatementsUnderTest {
  /** One statement, with the placeholders of {@link DriverUnderTest.placeholder}. */
  query(sql: string, parameters?: readonly unknown[]): Promise<unknown>
  /** A text of several statements, sent as it is. */
  text?(sql: string): Promise<unknown>
  /** A statement that the connection prepares once, under this name. */
  prepared?(name: string, sql: string, parameters: readonly unknown[]): Promise<unknown>
}

/** A driver over an empty database. Everything but `setUp` goes through the wrapped client, `audit.client`. */
export interface DriverUnderTest extends StatementsUnderTest {
  readonly audit: Audit<unknown, never>
  /** Runs a statement of the schema on a client that is not wrapped. */
  setUp(sql: string): Promise<unknown>
  /** Runs `fn` in a transaction as an application does: commits what resolves, rolls back what throws. */
  transaction<T>(fn: (transaction: TransactionUnderTest) => Promise<T>): Promise<T>
  /** Runs `fn` on one connection, held for as long as it takes; for clients that have such a thing. */
  connection?<T>(fn: (connection: StatementsUnderTest) => Promise<T>): Promise<T>
  /** A statement in the style of callbacks, each way the client has it. */
  readonly callbacks?: readonly ((
    sql: string,
    parameters: readonly unknown[],
    done: (error?: unknown) => void,
  ) => void)[]
  /** What every connection of the client holds as its context outside of any transaction. */
  leftovers?(): Promise<readonly unknown[]>
  /** Whether connections know COMMIT AND CHAIN. @default false */
  readonly chains?: boolean
  /** Whether the database knows PostgreSQL's procedures, isolation levels and session statements. @default false */
  readonly postgres?: boolean
  /** Whether connections go through a pooler, which gives each transaction another session. @default false */
  readonly pooled?: boolean
  /** Whether the operations wait for one another before they reach the client. @default false */
  readonly takesTurns?: boolean
  /** @default $1, $2, ... */
  readonly placeholder?: (index: number) => string
  close(): Promise<void>
}

export interface TransactionUnderTest extends StatementsUnderTest {
  /** What `audit.in()` takes. */
  readonly handle: unknown
}

/** What a case works with. */
export interface Case {
  readonly driver: DriverUnderTest
  readonly ledger: Ledger
  /** Inserts one row and answers the text that it left. */
  insert(on: StatementsUnderTest, writer: Writer): Promise<string>
  /** The placeholders `$1, $2` of a driver. */
  at(index: number): string
  /** Runs `work` for 50 requests, each in its own context, between 10 jobs without one, all at the same time. */
  race(work: (writer: Writer) => Promise<unknown>): Promise<void>
  as<T>(writer: Writer, work: () => Promise<T>): Promise<T>
}

/**
 * The contract of a driver: each row's entry carries exactly the context of the code that wrote the row, and never
 * another's; work without a context has none; nothing is left behind on a connection; and the statements do what they do
 * without the wrapper. Every case runs 50 requests and 10 jobs at once, so give it a pool smaller than that.
 *
 * @example
 * driverSuite({ describe, it, expect, beforeAll, afterAll }, 'pg.Pool', openPool)
 */
export function driverSuite(api: TestApi, name: string, open: () => Promise<DriverUnderTest>): void {
  const { describe, it, expect, beforeAll, afterAll } = api
  describe(name, () => {
    let driver: DriverUnderTest
    beforeAll(async () => {
      driver = await open()
      for (const sql of suiteSchema) await driver.setUp(sql)
      await driver.audit.migrate()
    })
    afterAll(async () => {
      await driver.audit.close()
      await driver.close()
    })

    const test = (
      title: string,
      needs: (driver: DriverUnderTest) => unknown,
      run: (given: Case) => Promise<void>,
    ): void => {
      it(title, async (context) => {
        if (!needs(driver)) {
          context.skip('the client has no such thing')
          return
        }
        const [started, last] = [Date.now(), await newest(driver.audit)]
        const given = createCase(driver)
        await run(given)
        expect(given.ledger.faults(await entriesSince(driver.audit, started, last))).toEqual([])
        const left = (await driver.leftovers?.()) ?? []
        expect(left.filter((value) => value !== null && value !== '')).toEqual([])
      })
    }
    commonCases(test)
    clientCases(test)
    postgresCases(test, expect)
  })
}

export type DefineCase = (
  title: string,
  needs: (driver: DriverUnderTest) => unknown,
  run: (given: Case) => Promise<void>,
) => void

/** The greatest id so far. Entries of connections that write at once may have their times in another order than their ids. */
async function newest(audit: Audit<unknown, never>): Promise<bigint> {
  const { entries } = await audit.entries.find({}, { limit: 500 })
  return entries.reduce((most, { id }) => (BigInt(id) > most ? BigInt(id) : most), 0n)
}

async function entriesSince(
  audit: Audit<unknown, never>,
  started: number,
  id: bigint,
): Promise<AuditEntry[]> {
  const found: AuditEntry[] = []
  const filter = { model: suiteTable, since: new Date(started - 60_000) }
  for await (const entry of audit.entries.stream(filter)) if (BigInt(entry.id) > id) found.push(entry)
  return found
}

function createCase(driver: DriverUnderTest): Case {
  const ledger = createLedger()
  const at = driver.placeholder ?? ((index: number) => `$${index}`)
  const as = async <T>(writer: Writer, work: () => Promise<T>): Promise<T> =>
    writer === null ? work() : driver.audit.withContext(contextOf(writer), work)
  return {
    driver,
    ledger,
    at,
    as,
    async insert(on, writer) {
      const note = ledger.note(writer)
      await on.query(`insert into ${suiteTable} (id, note) values (${at(1)}, ${at(2)})`, [ledger.id(), note])
      return note
    },
    race: async (work) => race(as, work),
  }
}
