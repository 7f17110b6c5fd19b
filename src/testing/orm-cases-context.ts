import type { DefineOrmCase, OrmTransaction, OrmUnderTest } from './orm-suite.ts'

const always = (): boolean => true
const transactions = (orm: OrmUnderTest): unknown => orm.transaction

/** Whose context a write carries, however the ORM makes it. */
export function ormContextCases(test: DefineOrmCase): void {
  test(
    'what the ORM writes carries the context of the code that wrote it, with a pool smaller than the load [T1]',
    always,
    async ({ orm, race, row, ledger }) =>
      race(async (writer) => {
        const [first, second] = [row(writer), row(writer)]
        const gone = row(writer)
        await orm.create(first)
        await orm.update({ ...second, id: first.id })
        await orm.create(gone)
        await orm.delete(gone.id)
        ledger.committed(first.note, second.note, gone.note)
      }),
  )

  test('many rows by one call carry it in each entry', always, async ({ orm, race, row, ledger }) =>
    race(async (writer) => {
      const rows = Array.from({ length: 5 }, () => row(writer))
      await orm.createMany(rows)
      ledger.committed(...rows.map(({ note }) => note))
    }),
  )

  test('raw SQL sent by the ORM carries it', always, async ({ orm, race, row, ledger }) =>
    race(async (writer) => {
      const { id, note } = row(writer)
      await orm.raw(`insert into orm_invoice (id, note_text) values (${id}, '${note}')`)
      ledger.committed(note)
    }),
  )

  test(
    'a transaction carries it in each statement, and leaves nothing when it fails',
    transactions,
    async ({ orm, race, row, ledger }) =>
      race(async (writer) => {
        const [lost, a, b, c, after] = [row(writer), row(writer), row(writer), row(writer), row(writer)]
        await undone(orm.transaction!.bind(orm), async (tx) => tx.create(lost))
        await orm.transaction!(async (tx) => {
          await tx.create(a)
          await tx.createMany([b])
          await tx.raw(`insert into orm_invoice (id, note_text) values (${c.id}, '${c.note}')`)
        })
        await orm.create(after)
        ledger.committed(a.note, b.note, c.note, after.note)
      }),
  )

  test(
    'a write behind a nested transaction that was rolled back to its savepoint carries it [T4]',
    transactions,
    async ({ orm, race, row, ledger }) =>
      race(async (writer) => {
        const [a, lost, kept, b] = [row(writer), row(writer), row(writer), row(writer)]
        await orm.transaction!(async (tx) => {
          if (!tx.nested) return
          await undone(tx.nested.bind(tx), async (inner) => inner.create(lost))
          await tx.create(a)
          await tx.nested(async (inner) => inner.create(kept))
          await tx.create(b)
          ledger.committed(a.note, kept.note, b.note)
        })
      }),
  )

  test(
    'a statement that fails inside a transaction changes nothing for those after it [T5]',
    transactions,
    async ({ orm, race, row, ledger }) =>
      race(async (writer) => {
        const [there, other] = [row(writer), row(writer)]
        await orm.create(there)
        await orm.transaction!(async (tx) => tx.create(there)).then(
          () => {
            throw new Error('the key was there already')
          },
          () => {},
        )
        await orm.create(other)
        ledger.committed(there.note, other.note)
      }),
  )

  test(
    'an isolation level set by the ORM is allowed [T6]',
    (orm) => orm.serializable,
    async ({ orm, row, as, ledger }) =>
      as('serial', async () => {
        const one = row('serial')
        await orm.serializable!(async (tx) => tx.create(one))
        ledger.committed(one.note)
      }),
  )

  test(
    'a context that changes inside a transaction is that of each statement [T16]',
    transactions,
    async ({ orm, race, row, ledger, as }) =>
      race(async (writer) => {
        const [a, inner, b] = [row(writer), row(`${writer}-inner`), row(writer)]
        await orm.transaction!(async (tx) => {
          await tx.create(a)
          await as(`${writer}-inner`, async () => tx.create(inner))
          await tx.create(b)
        })
        ledger.committed(a.note, inner.note, b.note)
      }),
  )

  test(
    "a lazy query awaited outside its context has no actor, and never another's [T3]",
    (orm) => orm.lazy,
    async ({ orm, race, row, ledger, as }) =>
      race(async (writer) => {
        const one = row(writer)
        const holder = await as('nobody', async () => ({ later: orm.lazy!(one) }))
        await holder.later
        ledger.committed(one.note)
      }),
  )

  test(
    'what is logged in a transaction of the ORM is kept and undone with it',
    transactions,
    async ({ orm, audit, expect }) => {
      const log = (tx: OrmTransaction, action: string): Promise<unknown> =>
        audit.in(tx.handle as never).logAuditEvent({ action, target: { model: 'Invoice', id: 1 } })
      await orm.transaction!(async (tx) => log(tx, 'orm.kept'))
      await undone(orm.transaction!.bind(orm), async (tx) => log(tx, 'orm.undone'))
      const { entries } = await audit.entries.find({ action: ['orm.kept', 'orm.undone'] })
      expect(entries.map(({ action, tx }) => [action, tx !== null])).toEqual([['orm.kept', true]])
    },
  )
}

const undo = new Error('rolled back on purpose')

async function undone(
  transaction: (fn: (tx: OrmTransaction) => Promise<unknown>) => Promise<unknown>,
  fn: (tx: OrmTransaction) => Promise<unknown>,
): Promise<void> {
  await transaction(async (tx) => {
    await fn(tx)
    throw undo
  }).then(
    () => {
      throw new Error('the transaction should have failed')
    },
    (error: unknown) => {
      if (error !== undo && (error as { cause?: unknown }).cause !== undo) throw error
    },
  )
}
