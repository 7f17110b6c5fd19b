import { type Audit, type AuditConfig, type AuditDatabase, createAudit } from '../index.ts'
import { contextOf, createLedger, type Ledger, race, type Writer } from './driver-ledger.ts'
import type { TestApi } from './driver-suite.ts'
import { ormContextCases } from './orm-cases-context.ts'
import { ormNameCases } from './orm-cases-names.ts'

/** A row of the model `Invoice`. */
export interface InvoiceRow {
  readonly id: number
  readonly note: string
  readonly amountDue?: number
}

/** The operations of an ORM, in a transaction or outside of one, on the model `Invoice`. */
export interface OrmStatements {
  create(row: InvoiceRow): Promise<unknown>
  /** By its key. */
  update(row: InvoiceRow): Promise<unknown>
  delete(id: number): Promise<unknown>
  /** Many rows by one call. */
  createMany(rows: readonly InvoiceRow[]): Promise<unknown>
  /** SQL without parameters, by the ORM's way for raw SQL. */
  raw(sql: string): Promise<unknown>
}

export interface OrmTransaction extends OrmStatements {
  /** What `audit.in()` takes. */
  readonly handle: unknown
  /** Runs `fn` in a transaction within this one, behind a savepoint. */
  nested?<T>(fn: (transaction: OrmTransaction) => Promise<T>): Promise<T>
}

/**
 * An ORM over an empty database, to which it connects with a pool of five. It has these models, with these fields where a
 * name differs from that of the column:
 *
 * `Invoice` on `orm_invoice`: id, note (`note_text`), amountDue (`amount_due`);
 * `Account` on `orm_account`: id, email, password (`pw`), taxId (`tax_id`); `Line` on `orm_line`: invoiceId (`invoice_id`)
 * and place as its key, text. The tables are made by {@link ormSchema}.
 */
export interface OrmUnderTest extends OrmStatements {
  readonly database: AuditDatabase<unknown, never>
  /** Runs a statement on a client that is not wrapped. */
  setUp(sql: string): Promise<unknown>
  /** Commits what resolves, rolls back what throws. */
  transaction?<T>(fn: (transaction: OrmTransaction) => Promise<T>): Promise<T>
  /** The same at the isolation level SERIALIZABLE, by the ORM's option for it. */
  serializable?<T>(fn: (transaction: OrmTransaction) => Promise<T>): Promise<T>
  /** A query that is made now and sent when it is awaited; for ORMs that have such. */
  lazy?(row: InvoiceRow): PromiseLike<unknown>
  /** Creates rows of the other models. */
  createAccount(row: { id: number; email: string; password: string; taxId: string }): Promise<unknown>
  createLine(row: { invoiceId: number; place: number; text: string }): Promise<unknown>
  /** Lets the ORM send its queries past what carries the context, as another copy of the client would. */
  lose(): void
  close(): Promise<void>
}

export const ormSchema: readonly string[] = [
  'create table orm_invoice (id integer primary key, note_text varchar(100) not null, amount_due integer)',
  'create table orm_account (id integer primary key, email varchar(100), pw varchar(100), tax_id varchar(20))',
  'create table orm_line (invoice_id integer, place integer, text varchar(100), primary key (invoice_id, place))',
  'create table orm_outside (id integer primary key)',
]

const policy: AuditConfig = {
  models: {
    Invoice: { label: '{note}', subject: 'amountDue', describe: { UPDATE: '{model} owes {amountDue}' } },
    Account: { redact: { email: 'omit' } },
  },
  redact: ['Account.taxId'],
}

/** What a case works with. */
export interface OrmCase {
  readonly orm: OrmUnderTest
  readonly audit: Audit<unknown, never>
  readonly ledger: Ledger
  /** A new row of this writer. */
  row(writer: Writer): InvoiceRow
  /** Runs `work` for 50 requests, each in its own context, between 10 jobs without one, all at the same time. */
  race(work: (writer: Writer) => Promise<unknown>): Promise<void>
  as<T>(writer: Writer, work: () => Promise<T>): Promise<T>
  expect(value: unknown): { toEqual(expected: unknown): unknown }
}

export type DefineOrmCase = (
  title: string,
  needs: (orm: OrmUnderTest) => unknown,
  run: (given: OrmCase) => Promise<void>,
) => void

/**
 * The contract of an ORM: what it writes has the context of the code that wrote it, and never another's, however it writes;
 * policy, filters and entries speak its names; `check()` proves that the context arrives through the ORM itself.
 *
 * @example
 * ormSuite({ describe, it, expect, beforeAll, afterAll }, 'Drizzle over pg', openDrizzle)
 */
export function ormSuite(api: TestApi, name: string, open: () => Promise<OrmUnderTest>): void {
  const { describe, it, expect, beforeAll, afterAll } = api
  describe(name, () => {
    let orm: OrmUnderTest
    let audit: Audit<unknown, never>
    beforeAll(async () => {
      orm = await open()
      for (const sql of ormSchema) await orm.setUp(sql)
      audit = createAudit({ ...policy, database: orm.database })
      await audit.migrate()
    })
    afterAll(async () => {
      await audit.close()
      await orm.close()
    })
    const test: DefineOrmCase = (title, needs, run) => {
      it(title, async (context) => {
        if (!needs(orm)) {
          context.skip('the ORM has no such thing')
          return
        }
        const started = await audit.entries.find({}, { limit: 1 })
        const given = createCase(orm, audit, expect)
        await run(given)
        const last = BigInt(started.entries[0]?.id ?? 0)
        const entries = []
        for await (const entry of audit.entries.stream({ model: 'Invoice', kind: 'change' }))
          if (BigInt(entry.id) > last) entries.push(entry)
        expect(given.ledger.faults(entries)).toEqual([])
      })
    }
    ormContextCases(test)
    ormNameCases(test)
    test(
      'check proves the context through the ORM itself, and fails where it is lost on the way [T2]',
      () => true,
      async () => {
        expect(await audit.check()).toEqual([])
        orm.lose()
        const error = (await audit.check().catch((failure: unknown) => failure)) as { code?: unknown }
        expect(error.code).toEqual('AUDIT_CONTEXT_LOST')
      },
    )
  })
}

// Never the same twice in a process, so that cases may share a table
let last = 0

function createCase(orm: OrmUnderTest, audit: Audit<unknown, never>, expect: TestApi['expect']): OrmCase {
  const ledger = createLedger()
  const as = async <T>(writer: Writer, work: () => Promise<T>): Promise<T> =>
    writer === null ? work() : audit.withContext(contextOf(writer), work)
  return {
    orm,
    audit,
    ledger,
    expect,
    as,
    row: (writer) => ({ id: ++last, note: ledger.note(writer), amountDue: last }),
    race: async (work) => race(as, work),
  }
}
