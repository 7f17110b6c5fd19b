import { type CaptureCases, type CaptureWorld, refusal } from './capture-suite.ts'

const two = [
  'create table a (id integer primary key, n integer)',
  'create table b (id integer primary key, n integer)',
]
const people = [
  'id integer primary key',
  'name varchar(50)',
  'password varchar(50)',
  'nick varchar(50)',
  'notes varchar(50)',
  'n integer',
]
const policy = {
  models: { person: { label: '{name}', redact: { nick: 'mask' as const }, exclude: ['notes'] } },
}

/** Setting capture up, tables that change afterwards, and taking it away again. */
export function setupCases({ test, expect, sql }: CaptureCases): void {
  const kept = people.filter((column) => !column.startsWith('n '))
  const person = [
    `create table person (${people.join(', ')})`,
    `insert into person values (1, 'ann', 'secret 1', 'secret a', 'secret n', 1), (2, 'bob', 'secret 2', 'secret b', 'secret n', 2)`,
  ]
  const drop = sql.dropColumn ?? ((table, column) => [`alter table ${table} drop column ${column}`])
  const drifts: readonly Drift[] = [
    {
      title: 'a column was added',
      ddl: [`alter table person add column extra varchar(20) default 'e'`],
      changed: 'extra',
      unknown: true,
    },
    {
      title: 'a column was renamed',
      ddl: ['alter table person rename column name to full_name'],
      changed: 'full_name',
      unknown: true,
    },
    {
      title: 'the key was renamed',
      ddl: ['alter table person rename column id to person_id'],
      key: 'person_id',
      changed: 'n',
    },
    {
      title: 'a column was dropped',
      ddl: drop('person', 'n', kept),
      changed: 'name',
    },
    {
      title: 'a masked column was renamed',
      ddl: ['alter table person rename column nick to alias'],
      changed: 'name',
      hidden: ['password', 'alias'],
    },
    {
      title: 'a column with a secret name was added',
      ddl: ['alter table person add column api_token varchar(20)'],
      changed: 'name',
      hidden: ['password', 'nick', 'api_token'],
    },
  ]

  for (const { title, ddl, changed, key = 'id', unknown = false, hidden = ['password', 'nick'] } of drifts)
    test(`when ${title}, no write fails, no secret shows, and migrate heals`, async ({ audited }) => {
      const world = await audited(person, policy)
      await world.query('update person set n = 5 where id = 2') // plans are cached before the table changes
      await world.plain(...ddl)
      const state = (await world.states())['person']
      expect(state === 'drifted' || state === 'missing').toEqual(true)
      const write = async (row: number): Promise<{ values: string[]; targets: unknown[] }> => {
        const before = (await world.recorded()).length
        await writes(world, key, row, changed, hidden)
        const seen = (await world.recorded()).slice(before)
        expect(JSON.stringify(seen).includes('secret')).toEqual(false)
        return {
          values: seen.map(
            ([action, , changes]) =>
              `${action} ${changes?.[changed]?.[action === 'DELETE' ? 0 : 1] as string}`,
          ),
          targets: seen.map(([, target]) => target),
        }
      }
      const during = await write(3)
      if (state === 'drifted' && (!unknown || sql.can.recordUnknownColumns))
        expect(during.values).toEqual(['CREATE 7', 'UPDATE 8', 'DELETE 8'])

      const redact = Object.fromEntries(hidden.map((column) => [column, 'mask' as const]))
      const healed = world.with({ models: { person: { redact } } })
      await healed.migrate()
      expect(await world.states()).toEqual({ person: 'audited' })
      expect((await healed.migrate()).done).toEqual([])
      expect(await write(4)).toEqual({
        values: ['CREATE 7', 'UPDATE 8', 'DELETE 8'],
        targets: ['4', '4', '4'],
      })
    })

  test('a renamed table is recorded, shows as drifted, and migrate gives it its new name', async ({
    audited,
  }) => {
    const world = await audited(two)
    await world.plain('alter table a rename to c')
    await world.query('insert into c values (1, 1)')
    expect(await world.states()).toEqual({ b: 'audited', c: 'drifted' })
    await world.audit.migrate()
    expect(await world.states()).toEqual({ b: 'audited', c: 'audited' })
    expect((await world.audit.migrate()).done).toEqual([])
    await world.plain('create table a (id integer primary key, other integer)')
    expect(await world.states()).toEqual({ a: 'missing', b: 'audited', c: 'audited' })
    await world.audit.migrate()
    await world.query('insert into c values (2, 2)')
    await world.query('insert into a values (1, 1)')
    expect(await world.short()).toEqual(['CREATE a 1 id,n', 'CREATE c 2 id,n', 'CREATE a 1 id,other'])
  })

  test('migrate twice changes nothing, adds no second trigger and no second entry [I5]', async ({
    tables,
  }) => {
    const world = await tables(two)
    const first = await world.audit.migrate()
    expect(first.done.filter((what) => what.startsWith('put capture on'))).toEqual([
      'put capture on a',
      'put capture on b',
    ])
    const before = await world.state()
    const newest = (await world.audit.entries.find()).entries[0]
    expect((await world.audit.migrate()).done).toEqual([])
    expect(await world.state()).toEqual(before)
    expect((await world.audit.entries.find()).entries[0]?.id).toEqual(newest?.id)
    await world.query('insert into a values (1, 1)')
    expect(await world.short()).toEqual(['CREATE a 1 id,n'])
  })

  test('several migrations at once end in one set-up [I5]', async ({ tables }) => {
    const world = await tables(two)
    await Promise.all([world.audit, world.with({}), world.with({})].map(async (audit) => audit.migrate()))
    expect((await world.audit.migrate()).done).toEqual([])
    await world.query('insert into a values (1, 1)')
    expect(await world.short()).toEqual(['CREATE a 1 id,n'])
  })

  test('a dry run says what would be done and changes nothing', async ({ tables }) => {
    const world = await tables(two)
    await world.audit.migrate()
    const before = await world.state()
    const other = world.with({ models: { a: false, b: { redact: { n: 'mask' } } } })
    const { done } = await other.migrate({ dryRun: true })
    expect(
      ['removed capture from a', 'capture of b', 'stored the policy'].map((what) =>
        done.some((did) => did.includes(what)),
      ),
    ).toEqual([true, true, true])
    expect(await world.state()).toEqual(before)
  })

  for (const [wrong, nearest] of [
    [{ models: { custmer: {} } }, 'customer'],
    [{ skipModels: ['customers'] }, 'customer'],
    [{ models: { customer: { redact: { emial: 'mask' as const } } } }, 'email'],
    [{ models: { customer: { label: '{nmae}' } } }, 'name'],
  ] as const)
    test(`a policy with an unknown name for ${nearest} leaves the database as it is`, async ({ tables }) => {
      const world = await tables(
        ['create table customer (id integer primary key, name varchar(20), email varchar(20))'],
        wrong,
      )
      const before = await world.state()
      expect((await refusal(world.audit.migrate()))?.includes(`"${nearest}"`)).toEqual(true)
      expect(await world.state()).toEqual(before)
    })

  test('uninstall removes capture and says so, keeps the trail, or removes it as well', async ({
    audited,
  }) => {
    const world = await audited(two)
    await world.query('insert into a values (1, 1)')
    const removed = await world.database.setup.uninstall()
    expect(removed.map((what) => what.startsWith('removed capture from'))).toEqual([true, true])
    await world.query('insert into a values (2, 2)')
    expect((await world.audit.entries.find({}, { limit: 2 })).entries.map(({ action }) => action)).toEqual([
      'UNINSTALL',
      'CREATE',
    ])
    expect(await world.states()).toEqual({ a: 'missing', b: 'missing' })
    expect(await world.database.setup.uninstall()).toEqual([])
    await world.audit.migrate()
    expect(
      (await world.database.setup.uninstall({ trail: true })).includes(
        'removed the trail with all its entries',
      ),
    ).toEqual(true)
    expect((await world.audit.status()).installed).toEqual(false)
    await world.query('insert into a values (3, 3)')
  })
}

interface Drift {
  readonly title: string
  readonly ddl: readonly string[]
  /** The column that the writes change. */
  readonly changed: string
  /** Whether capture cannot know `changed` under this name before the next migrate. */
  readonly unknown?: boolean
  readonly key?: string
  readonly hidden?: readonly string[]
}

/** One row created, changed and deleted, `changed` from 7 to 8, with secrets in what is to be hidden. */
async function writes(
  world: CaptureWorld,
  key: string,
  id: number,
  changed: string,
  hidden: readonly string[],
): Promise<void> {
  const columns = [key, changed, ...hidden]
  await world.query(
    `insert into person (${columns.join(', ')}) values (${id}, '7', ${hidden.map(() => `'secret'`).join(', ')})`,
  )
  await world.query(
    `update person set ${changed} = '8', ${hidden.map((column) => `${column} = 'secret 9'`).join(', ')} where ${key} = ${id}`,
  )
  await world.query(`delete from person where ${key} = ${id}`)
}
