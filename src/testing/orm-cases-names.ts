import { createAudit } from '../index.ts'
import type { DefineOrmCase } from './orm-suite.ts'

const always = (): boolean => true

/** The names of the ORM in policy, filters and entries; those of the database in the trail. */
export function ormNameCases(test: DefineOrmCase): void {
  test(
    'entries are found and shown in the names of the ORM, or of the database',
    always,
    async ({ orm, audit, expect, row, ledger, as }) => {
      const [first, second] = [row('names'), row('names')]
      await as('names', async () => {
        await orm.create(first)
        await orm.update({ id: first.id, note: second.note, amountDue: 7 })
      })
      ledger.committed(first.note, second.note)
      const seen = await audit.history('Invoice', first.id)
      expect(
        seen.map(({ action, target, subject, description }) => [action, target, subject, description]),
      ).toEqual([
        ['UPDATE', { model: 'Invoice', id: String(first.id), label: second.note }, '7', 'Invoice owes 7'],
        ['CREATE', { model: 'Invoice', id: String(first.id), label: first.note }, String(first.id), null],
      ])
      expect(seen.map(({ changes }) => Object.keys(changes ?? {}).toSorted())).toEqual([
        ['amountDue', 'note'],
        ['amountDue', 'id', 'note'],
      ])
      expect(await audit.history('orm_invoice', first.id)).toEqual(seen)
      for (const model of ['Invoice', 'orm_invoice']) {
        const target = { model, id: first.id }
        for (const changed of ['amountDue', 'amount_due'])
          expect((await audit.entries.find({ target, changed })).entries).toEqual(seen)
        expect((await audit.getAuditSummary({ model })).byModel.map(({ name }) => name)).toEqual(['Invoice'])
      }
    },
  )

  test('the trail itself holds the names of the database', always, async ({ orm, expect, row, ledger }) => {
    const one = row(null)
    await orm.create(one)
    ledger.committed(one.note)
    const { entries } = await orm.database.trail
      .history('orm_invoice', String(one.id), 10)
      .then((page) => page)
    expect(
      entries.map(({ target, changes }) => [target?.model, Object.keys(changes ?? {}).toSorted()]),
    ).toEqual([['orm_invoice', ['amount_due', 'id', 'note_text']]])
  })

  test(
    'the policy masks by the names of the ORM, and secrets by either name',
    always,
    async ({ orm, audit, expect }) => {
      await orm.createAccount({ id: 1, email: 'a@example.com', password: 'hunter2', taxId: '123' })
      const [entry] = await audit.history('Account', 1)
      expect(entry?.changes).toEqual({
        id: [null, 1],
        password: [null, { $: 'masked' }],
        taxId: [null, { $: 'masked' }],
      })
    },
  )

  test('a composite key is found under the model', always, async ({ orm, audit, expect }) => {
    await orm.createLine({ invoiceId: 5, place: 2, text: 'x' })
    const [entry] = await audit.history('Line', '["5","2"]')
    expect([entry?.target?.model, entry?.changes?.['invoiceId']]).toEqual(['Line', [null, 5]])
  })

  test('what the library logs is masked and stored alike', always, async ({ audit, expect }) => {
    const target = { model: 'Account', id: 77 }
    const changes = { taxId: ['1', '2'] as const, password: ['a', 'b'] as const }
    await audit.logAuditEvent({ action: 'orm.logged', target, changes, durable: true })
    const [entry] = await audit.history('orm_account', 77)
    const masked = { $: 'masked' }
    expect([entry?.target, entry?.changes]).toEqual([
      { model: 'Account', id: '77' },
      { taxId: [masked, masked], password: [masked, masked] },
    ])
  })

  test('a table that the ORM does not know keeps its own names', always, async ({ orm, audit, expect }) => {
    await orm.raw('insert into orm_outside (id) values (1)')
    expect(
      (await audit.history('orm_outside', 1)).map(({ target, changes }) => [target?.model, changes]),
    ).toEqual([['orm_outside', { id: [null, 1] }]])
  })

  test('a name that does not exist is refused with the nearest one', always, async ({ orm, expect }) => {
    const said = async (models: object): Promise<string> => {
      const audit = createAudit({ models: models as never, database: orm.database })
      return audit.check().then(
        () => 'accepted',
        (error: { code: string; message: string }) => `${error.code}: ${error.message}`,
      )
    }
    expect(await said({ Invoise: {} })).toEqual(
      'AUDIT_POLICY_UNKNOWN_MODEL: models.Invoise: the database has no table "Invoise". Did you mean "Invoice"?',
    )
    expect(await said({ Invoice: { ignore: ['amountDeu'] } })).toEqual(
      'AUDIT_POLICY_UNKNOWN_COLUMN: models.Invoice.ignore: the table has no column "amountDeu". Did you mean "amountDue"?',
    )
  })
}
