import { type EntryFilter, isAuditError } from '../index.ts'
import type { StoreCases, StoreWorld } from './store-suite.ts'

/** Pages, streams, feeds and summaries. */
export function pageCases({ test, expect }: StoreCases): void {
  let filled: Promise<void> | undefined
  const times = new Date('2026-01-02T03:04:05.678Z')

  /** 300 entries of one moment, and 200 of the moments around it. */
  async function fill({ audit }: StoreWorld): Promise<void> {
    for (let n = 0; n < 500; n++) {
      const at = n < 300 ? times : new Date(times.getTime() + n - 400)
      await audit.logAuditEvent({ action: 'burst', target: { model: 'item', id: `b${n}` }, at })
    }
    await audit.flush()
  }
  async function walk(
    world: StoreWorld,
    filter: EntryFilter,
    limit: number,
    between?: () => Promise<unknown>,
  ): Promise<string[]> {
    await (filled ??= fill(world))
    const ids: string[] = []
    let after: string | undefined
    do {
      const page = await world.audit.entries.find(filter, { limit, ...(after ? { after } : {}) })
      if (page.entries.length > limit) throw new Error('a page longer than its limit')
      ids.push(...page.entries.map(({ id }) => id))
      after = page.next ?? undefined
      await between?.()
    } while (after)
    return ids
  }

  test('pages neither repeat nor lose entries of equal times, at every limit [G1]', async (world) => {
    const whole = await walk(world, { action: 'burst' }, 1_000)
    expect([whole.length, new Set(whole).size]).toEqual([500, 500])
    for (const limit of [7, 50, 499, 500])
      expect(await walk(world, { action: 'burst' }, limit)).toEqual(whole)
    const streamed: string[] = []
    for await (const { id } of world.audit.entries.stream({ action: 'burst' })) streamed.push(id)
    expect(streamed).toEqual(whole)
  })

  test('pages stay whole while others write, and while the clock moves on', async (world) => {
    const before = await walk(world, { action: 'burst' }, 1_000)
    const write = async (): Promise<unknown> => world.audit.logAuditEvent({ action: 'burst', durable: true })
    expect(await walk(world, { action: 'burst' }, 100, write)).toEqual(before)
    const recent = await walk(world, { action: 'burst', since: '1h' }, 2)
    expect(recent.length).toEqual(5)
  })

  test('a cursor that is none, was changed, or belongs to another filter is refused', async (world) => {
    const { entries } = world.audit
    const { next } = await entries.find({ action: 'burst' }, { limit: 1 })
    const mark = Buffer.from(next!, 'base64url').toString().split('.')[2]
    const made = [
      `9223372036854775808.1.${mark}`,
      `1.9999999999999999999.${mark}`,
      `1..${mark}`,
      '1.2.zzzzzzzz',
    ]
    for (const after of [
      '',
      'x',
      `${next}x`,
      ...made.map((text) => Buffer.from(text).toString('base64url')),
    ]) {
      const failed = await entries.find({ action: 'burst' }, { after }).catch((error: unknown) => error)
      expect(isAuditError(failed, 'AUDIT_QUERY_CURSOR')).toEqual(true)
    }
    const other = await entries.find({ action: 'other' }, { after: next! }).catch((error: unknown) => error)
    expect(isAuditError(other, 'AUDIT_QUERY_CURSOR')).toEqual(true)
  })

  test('a feed gives everything that was committed, each once, and goes on from where it stood', async ({
    audit,
    query,
  }) => {
    const seen: string[] = []
    await query(`insert into item values ('feed 1', 'x')`)
    for await (const { id, target } of audit.entries.follow('start')) {
      seen.push(id)
      if (target?.id === 'feed 1') break
    }
    expect(new Set(seen).size).toEqual(seen.length)
    const { entries } = await audit.entries.find({}, { limit: 1 })
    expect(seen.includes(entries[0]?.id ?? '')).toEqual(true)
  })

  test('times around the end of a month, of long ago and of far ahead are read in order [I6]', async ({
    audit,
  }) => {
    const days = ['1999-12-31T23:59:59.999Z', '2000-01-01T00:00:00.000Z', '2500-06-15T12:00:00.000Z'].map(
      (day) => new Date(day),
    )
    for (const at of days) await audit.logAuditEvent({ action: 'at', at, durable: true })
    const { entries } = await audit.entries.find({ action: 'at' })
    expect(entries.map(({ at }) => at)).toEqual(days.toReversed())
    const between = await audit.entries.find({ action: 'at', since: days[1]!, until: days[2]! })
    expect(between.entries.map(({ at }) => at)).toEqual([days[1]])
  })

  test('a summary counts what SQL counts', async ({ audit, plain, view }) => {
    await audit.flush()
    const summary = await audit.getAuditSummary({ since: new Date('1990-01-01') })
    const count = async (where: string): Promise<number> =>
      Number((await plain(`select count(*) as n from ${view('entries')} where ${where}`))[0]?.['n'])
    const within = `at < '2100-01-01'`
    expect(summary.total).toEqual(await count(within))
    for (const kind of ['change', 'event', 'login', 'export', 'system', 'request'] as const)
      expect([kind, summary.byKind[kind]]).toEqual([kind, await count(`${within} and kind = '${kind}'`)])
    for (const { name, count: n } of summary.byModel)
      expect(n).toEqual(await count(`${within} and model = '${name}'`))
    for (const { name, count: n } of summary.byAction)
      expect(n).toEqual(await count(`${within} and action = '${name}'`))
    expect(summary.byDay.reduce((sum, { count: n }) => sum + n, 0)).toEqual(summary.total)
    expect(summary.byDay.find(({ name }) => name === '2026-01-02')?.count).toEqual(500)
    const narrowed = await audit.getAuditSummary({
      days: 1,
      actor: 'nightly',
      tenant: 't2',
      model: 'invoice',
    })
    expect(narrowed.total).toEqual(2)
  })
}
