import type { AuditConfig, AuditEntry } from '../index.ts'
import { type CaptureCases, type CaptureWorld, type Fault, refusal } from './capture-suite.ts'

const item = 'create table item (id integer primary key, secret_note varchar(50), n integer)'
const rows = `insert into item values (1, 'hidden', 1), (2, 'hidden', 1)`
const other = 'create table other (id integer primary key, n integer)'
const report = { onCaptureError: 'report' } as const

/** What becomes of a change that cannot be recorded. */
export function failureCases({ test, expect, sql }: CaptureCases): void {
  const { faults, can } = sql
  const broken = async <T>(world: CaptureWorld, fault: Fault, work: () => Promise<T>): Promise<T> => {
    await world.plain(...fault.does)
    try {
      return await work()
    } finally {
      await world.plain(...fault.mends)
    }
  }
  const numbers = async (world: CaptureWorld): Promise<unknown[]> =>
    (await world.plain('select n from item order by id')).map(({ n }) => n)
  const lost = async (world: CaptureWorld): Promise<unknown> =>
    (await world.audit.status()).unrecorded.map(({ model, changes }) => `${model} ${changes}`)

  test('a change that cannot be recorded fails its write, and what else its transaction did is not kept', async ({
    audited,
  }) => {
    const world = await audited([item, rows, other])
    await broken(world, faults.noUpdates, async () => {
      expect(typeof (await refusal(world.query('update item set n = 2')))).toEqual('string')
      const transaction = world.transaction(async (tx) => {
        await tx.query('insert into other values (1, 1)')
        await tx.query('update item set n = 3')
      })
      expect(typeof (await refusal(transaction))).toEqual('string')
    })
    expect([await numbers(world), await world.recorded(), await lost(world)]).toEqual([[1, 1], [], []])
  })

  test(
    `where the policy says report, it is let through: an entry without values, counted by status and check until migrate`,
    async ({ audited }) => {
      const world = await audited([item, rows, other], report)
      await broken(world, faults.noUpdates, async () =>
        world.as('ann', async () =>
          world.transaction(async (tx) => {
            await tx.query(`update item set n = n + 1, secret_note = 'hidden too'`)
            await tx.query('insert into other values (1, 1)')
            await tx.query('delete from item where id = 2')
          }),
        ),
      )
      expect(await numbers(world)).toEqual([2])
      expect(await world.short()).toEqual([
        'UNRECORDED item 1',
        'UNRECORDED item 2',
        'CREATE other 1 id,n',
        'DELETE item 2 id,secret_note,n',
      ])
      const [first] = await world.changes()
      expect([first?.actor?.id, first?.severity, first?.changes, detail(first, 'operation')]).toEqual([
        'ann',
        'high',
        null,
        'UPDATE',
      ])
      expect(JSON.stringify((await world.changes()).slice(0, 2)).includes('hidden')).toEqual(false)
      expect((await world.audit.history('item', 1)).map(({ action }) => action)).toEqual(['UNRECORDED'])

      const { unrecorded, warnings } = await world.audit.status()
      const about = unrecorded[0]!
      expect([about.model, about.changes, about.causes.map((cause) => cause.split(' ')[0])]).toEqual([
        'item',
        2,
        [faults.noUpdates.cause],
      ])
      expect(about.since.getTime() <= about.until.getTime()).toEqual(true)
      expect(Math.abs(about.until.getTime() - first!.at.getTime()) < 60_000).toEqual(true)
      expect(warnings.some((warning) => warning.startsWith('2 changes of item were let through'))).toEqual(
        true,
      )
      expect((await world.audit.check()).map(({ model }) => model)).toEqual(['item'])

      const told = (done: readonly string[]): boolean =>
        done.some((what) => what.startsWith('2 changes of item'))
      expect(told((await world.audit.migrate({ dryRun: true })).done)).toEqual(true)
      expect(await lost(world)).toEqual(['item 2'])
      expect(told((await world.audit.migrate()).done)).toEqual(true)
      expect([await lost(world), await world.audit.check()]).toEqual([[], []])
      expect((await world.audit.migrate()).done).toEqual([])
      await world.query('update item set n = 9')
      expect((await world.short()).at(-1)).toEqual('UPDATE item 1 n')
    },
    can.report,
  )

  test(
    'where the trail takes no entry at all, writes go on, and migrate says afterwards what is missing',
    async ({ audited }) => {
      const world = await audited([item, rows, other], report)
      await broken(world, faults.noChanges, async () => {
        await world.query('update item set n = 2 where id = 1')
        await world.query('update item set n = 3 where id = 1')
        await world.query(`insert into item values (3, 'hidden', 1)`)
        await world.query('insert into other values (1, 1)')
        await world.audit.skip('import', async () => world.query('update item set n = 4 where id = 2'))
      })
      expect([await numbers(world), await world.recorded()]).toEqual([[3, 4, 1], []])
      expect(await lost(world)).toEqual(['item 4', 'other 1'])
      await world.audit.migrate()
      const made = (await world.entries()).filter(({ action }) => action === 'UNRECORDED')
      expect(
        made
          .map((entry) =>
            [
              entry.kind,
              entry.target?.model,
              entry.target?.id,
              detail(entry, 'operation'),
              detail(entry, 'changes'),
            ].join(' '),
          )
          .toSorted(),
      ).toEqual(['event item  INSERT 1', 'event item  UPDATE 3', 'event other  INSERT 1'])
      expect(await lost(world)).toEqual([])
    },
    can.report,
  )

  test(
    'what was let through is not counted where its transaction is rolled back, also to a savepoint',
    async ({ audited }) => {
      const world = await audited([item, rows], report)
      await broken(world, faults.noChanges, async () => {
        const undone = world.transaction(async (tx) => {
          await tx.query('update item set n = 2')
          throw new Error('undone')
        })
        expect(await refusal(undone)).toEqual('undone')
        await world.transaction(async (tx) => {
          await tx.query('update item set n = 5 where id = 1')
          await tx.query('savepoint a')
          await tx.query('update item set n = 6')
          await tx.query('rollback to savepoint a')
        })
      })
      expect([await numbers(world), await lost(world)]).toEqual([[5, 1], ['item 1']])
      await world.audit.migrate()
    },
    can.report,
  )

  test(
    'a reason that is missing still fails the write, where other failures do not',
    async ({ audited }) => {
      const policy: AuditConfig = { ...report, models: { item: { reason: 'required' } } }
      const world = await audited([item, rows], policy)
      expect((await refusal(world.query('update item set n = 2')))?.includes('needs a reason')).toEqual(true)
      await broken(world, faults.noUpdates, async () => {
        expect((await refusal(world.query('update item set n = 2')))?.includes('needs a reason')).toEqual(
          true,
        )
        await world.audit.withContext({ reason: 'ticket 7' }, async () =>
          world.query('update item set n = 3'),
        )
      })
      expect([await numbers(world), await lost(world)]).toEqual([[3, 3], ['item 2']])
      expect((await world.changes()).map(({ reason }) => reason)).toEqual(['ticket 7', 'ticket 7'])
      await world.audit.migrate()
    },
    can.report,
  )

  test(
    'a policy that begins to let through, or ends it, holds from the next migrate on',
    async ({ audited }) => {
      const world = await audited([item, rows])
      const reporting = world.with(report)
      await reporting.migrate()
      await broken(world, faults.noUpdates, async () => world.query('update item set n = 2'))
      expect(await lost(world)).toEqual(['item 2'])
      await world.audit.migrate()
      await broken(world, faults.noUpdates, async () => {
        expect(typeof (await refusal(world.query('update item set n = 3')))).toEqual('string')
      })
      expect([await numbers(world), await lost(world)]).toEqual([[2, 2], []])
    },
    can.report,
  )

  test(
    'a table that changes after migrate is recorded the same where failures are let through',
    async ({ audited }) => {
      const world = await audited([item, rows], report)
      await world.query('update item set n = 2 where id = 1')
      await world.plain('alter table item rename column n to m')
      await world.query('update item set m = 3 where id = 1')
      await world.query('delete from item where id = 2')
      expect((await world.recorded()).map(([action, id]) => `${action} ${id}`)).toEqual([
        'UPDATE 1',
        'UPDATE 1',
        'DELETE 2',
      ])
      expect(await lost(world)).toEqual([])
    },
    can.report,
  )

  test(
    'a database whose triggers cannot let a change through refuses such a policy, and says why',
    async ({ tables }) => {
      const message = await refusal(tables([item], report))
      expect(message?.includes(`onCaptureError: 'report' is not possible with this database: `)).toEqual(true)
    },
    !can.report,
  )
}

function detail(entry: AuditEntry | undefined, name: string): unknown {
  return Object.entries(entry?.details ?? {}).find(([key]) => key === name)?.[1]
}
