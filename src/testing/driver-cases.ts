import { oddTable, suiteTable, type Writer } from './driver-ledger.ts'
import type { DefineCase, DriverUnderTest, TransactionUnderTest } from './driver-suite.ts'

const always = (): boolean => true

/** What holds on every database. */
export function commonCases(test: DefineCase): void {
  test(
    'a statement by itself carries the context of the code that sent it',
    always,
    async ({ driver, race, insert, ledger }) =>
      race(async (writer) => ledger.committed(await insert(driver, writer))),
  )

  test(
    'statements of a transaction carry it, and nothing is left of one rolled back',
    always,
    async ({ driver, race, insert, ledger }) =>
      race(async (writer) => {
        await rolledBack(driver, async (tx) => insert(tx, writer))
        const notes = await driver.transaction(async (tx) => [
          await insert(tx, writer),
          await insert(tx, writer),
        ])
        ledger.committed(...notes)
      }),
  )

  test(
    'a write after a rollback to a savepoint carries it',
    always,
    async ({ driver, race, insert, ledger }) =>
      race(async (writer) => {
        const notes = await driver.transaction(async (tx) => {
          await tx.query('savepoint a')
          await insert(tx, writer)
          await tx.query('savepoint b')
          await insert(tx, writer)
          await tx.query('rollback to savepoint b')
          await tx.query('rollback to savepoint a')
          const first = await insert(tx, writer)
          await tx.query('savepoint c')
          const second = await insert(tx, writer)
          await tx.query('release savepoint c')
          return [first, second, await insert(tx, writer)]
        })
        ledger.committed(...notes)
      }),
  )

  test('a context that changes inside a transaction is that of each statement', always, async (given) => {
    const { driver, race, insert, ledger, as } = given
    await race(async (writer) => {
      const inner = `${writer ?? 'job'}-inner-${ledger.id()}`
      const notes = await driver.transaction(async (tx) => {
        const first = await insert(tx, writer)
        await tx.query('savepoint a')
        const second = await as(inner, async () => insert(tx, inner))
        await as(inner, async () => {
          await tx.query('savepoint b')
          await insert(tx, inner)
        })
        await tx.query('rollback to savepoint b')
        return [first, second, await insert(tx, writer)]
      })
      ledger.committed(...notes)
    })
  })

  test(
    'statements sent together in one transaction keep their own',
    always,
    async ({ driver, race, insert, ledger, as }) =>
      race(async (writer) => {
        const inner = [1, 2, 3].map(() => `${writer ?? 'job'}-inner-${ledger.id()}`)
        const notes = await driver.transaction(async (tx) =>
          Promise.all([
            ...inner.map(async (name) => as(name, async () => insert(tx, name))),
            insert(tx, writer),
          ]),
        )
        ledger.committed(...notes)
      }),
  )

  test('a statement of many rows carries it in each entry', always, async ({ driver, race, ledger, at }) =>
    race(async (writer) => {
      const rows = Array.from({ length: 5 }, () => [ledger.id(), ledger.note(writer)] as const)
      const values = rows.map((_, index) => `(${at(2 * index + 1)}, ${at(2 * index + 2)})`).join(', ')
      await driver.query(`insert into ${suiteTable} (id, note) values ${values}`, rows.flat())
      await driver.query(
        `delete from ${suiteTable} where id in (${rows.map((_, index) => at(index + 1)).join(', ')})`,
        rows.map(([id]) => id),
      )
      ledger.committed(...rows.map(([, note]) => note))
    }),
  )

  test(
    'a failed statement changes nothing for those after it',
    always,
    async ({ driver, race, insert, ledger, at }) =>
      race(async (writer) => {
        // a pool may give up the connection of a failed query, and connecting takes time
        if (writer === null) {
          await rejects(
            driver.query(`insert into ${suiteTable} (id, note) values (${at(1)}, null)`, [ledger.id()]),
          )
        }
        ledger.committed(await insert(driver, writer))
        await rolledBack(driver, async (tx) => {
          await insert(tx, writer)
          await rejects(tx.query('insert into no_such_table values (1)'))
        })
        ledger.committed(await insert(driver, writer))
        ledger.committed(await driver.transaction(async (tx) => insert(tx, writer)))
      }),
  )

  test(
    'a lazy query has the context it is started in, or none, never another',
    always,
    async ({ driver, race, insert, ledger, as }) =>
      race(async (writer) => {
        // as query builders do: nothing is sent until somebody waits
        const lazy = (of: Writer): PromiseLike<string> => ({
          // oxlint-disable-next-line unicorn/no-thenable, promise/no-callback-in-promise
          then: async (done, failed) => insert(driver, of).then(done, failed),
        })
        // made inside, awaited outside: the query is called by nobody's code
        const holder = await as(`${writer ?? 'job'}-${ledger.id()}`, async () => ({ later: lazy(writer) }))
        ledger.committed(await holder.later)
      }),
  )

  test(
    'a query has the context of the moment it is called, not of when a connection is free',
    (driver) => !driver.takesTurns,
    async ({ driver, race, insert, ledger }) =>
      race(async (writer) => {
        const sent = insert(driver, writer)
        if (writer !== null) driver.audit.set({ reason: 'later', metadata: { later: true }, tenant: 'later' })
        ledger.committed(await sent)
      }),
  )

  test('a context of any content does not disturb the write', always, async ({ driver, ledger, at }) => {
    const odd = `a'b\\c\u0000\n\u001e$$ \ud800\u202e\u{1f600} ${'x'.repeat(300)}`
    const context = {
      actor: { id: odd, label: odd },
      request: { id: odd, userAgent: odd },
      tenant: odd,
      reason: odd.repeat(10),
    }
    for (const metadata of [{ [odd]: odd }, { long: 'y'.repeat(10_000) }, { nul: '\u0000'.repeat(100) }]) {
      await driver.audit.withContext({ ...context, metadata }, async () => {
        const id = ledger.id()
        const insert = `insert into ${oddTable} (id) values`
        await driver.query(`${insert} (${at(1)})`, [id])
        await driver.transaction(async (tx) => tx.query(`${insert} (${at(1)})`, [ledger.id()]))
        await driver.text?.(`${insert} (${ledger.id()}); delete from ${oddTable} where id = ${id}`)
      })
    }
    const { entries } = await driver.audit.entries.find({ model: oddTable })
    const wrong = entries.filter(
      ({ actor, tenant }) => !actor?.id?.startsWith("a'b\\c\\u0000") || !tenant?.includes('\u{1f600}'),
    )
    if (entries.length < 6 || wrong.length > 0)
      throw new Error(`an odd context was not stored as it is: ${JSON.stringify(wrong)}`)
  })
}

export async function rejects(work: Promise<unknown>): Promise<void> {
  const done = await work.then(
    () => true,
    () => false,
  )
  if (done) throw new Error('the statement should have failed')
}

const undo = new Error('rolled back on purpose')
async function rolledBack(
  driver: DriverUnderTest,
  fn: (tx: TransactionUnderTest) => Promise<unknown>,
): Promise<void> {
  await driver
    .transaction(async (tx) => {
      await fn(tx)
      throw undo
    })
    .catch((error: unknown) => {
      if (error !== undo) throw error
    })
}
