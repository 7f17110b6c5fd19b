import { type EntryFilter, isAuditError } from '../index.ts'
import type { StoreCases, StoreWorld } from './store-suite.ts'

const filters: readonly (readonly [string, EntryFilter, readonly string[]])[] = [
  ['kind', { kind: ['login', 'system'] }, ['LOGIN', 'WARNING']],
  ['action', { action: 'UPDATE' }, ['UPDATE customer/1']],
  ['several actions', { action: ['UPDATE', 'LOGIN'] }, ['UPDATE customer/1', 'LOGIN']],
  ['model', { model: 'invoice' }, ['CREATE invoice/7', 'invoice.sent invoice/7']],
  ['target', { target: { model: 'customer', id: 1 } }, ['CREATE customer/1', 'UPDATE customer/1']],
  ['a composite key', { target: { model: 'link', id: '["1","y"]' } }, ['CREATE link/["1","y"]']],
  ['actor by id', { actor: 'nightly' }, ['CREATE invoice/7', 'invoice.sent invoice/7']],
  ['actor by type and id', { actor: { type: 'user', id: 1 }, kind: 'login' }, ['LOGIN']],
  ['subject', { subject: 1, action: 'CREATE' }, ['CREATE customer/1', 'CREATE invoice/7']],
  ['request', { request: 'r1', kind: 'login' }, ['LOGIN']],
  ['tenant', { tenant: 't2' }, ['CREATE invoice/7', 'invoice.sent invoice/7']],
  ['ip', { ip: '10.0.0.1', action: 'UPDATE' }, ['UPDATE customer/1']],
  ['a changed column', { changed: 'city', action: 'UPDATE' }, ['UPDATE customer/1']],
  ['a changed column, in whatever case', { changed: 'CITY', action: 'UPDATE' }, ['UPDATE customer/1']],
  ['a part of a column’s name', { changed: 'cit' }, []],
  ['text in a value, ignoring case [G4]', { text: 'BONN' }, ['UPDATE customer/1']],
  ['text in a label', { text: "o'neil" }, ['CREATE customer/1', 'UPDATE customer/1']],
  ['text with wildcards', { text: '100% sure_thing', action: 'UPDATE' }, ['UPDATE customer/1']],
  ['text that only a wildcard would match', { text: '100_ sure%' }, []],
  ['category', { category: 'billing' }, ['CREATE invoice/7', 'invoice.sent invoice/7']],
  ['severity', { severity: ['high'] }, ['CREATE invoice/7', 'invoice.sent invoice/7']],
  ['tag', { tag: 'tax' }, ['CREATE invoice/7', 'invoice.sent invoice/7']],
  ['a part of a tag', { tag: 'ta' }, []],
  ['a tag in another case', { tag: 'TAX' }, []],
  ['since and until', { since: '1h', until: '30m' }, []],
  ['no match [G4]', { actor: 'nobody' }, []],
  ['an empty list', { kind: [] }, []],
  ['an empty list of severities', { severity: [] }, []],
  ['the year 20,000', { since: new Date(Date.UTC(20_000, 0)) }, []],
  ['the first moment of JavaScript', { until: new Date(-8.64e15) }, []],
  ['a number that is no transaction', { tx: '999999999999999999' }, []],
  ['an age of a million years', { since: '999999y', kind: 'login' }, ['LOGIN']],
  ['the last moment of JavaScript', { until: new Date(8.64e15), kind: 'login' }, ['LOGIN']],
  ['the year 0', { since: new Date(-62_200_000_000_000), kind: 'login' }, ['LOGIN']],
]

const texts: readonly (readonly [string, string, string])[] = [
  ['a quote', 'say "hello" now', '"hello"'],
  ['an apostrophe', `it's here`, `it's`],
  ['a backslash', 'C:\\dir\\file', '\\dir\\'],
  ['a line break', 'one\ntwo', 'e\nt'],
  ['a percent sign', '50% off', '50% o'],
  ['an underscore', 'snake_case', 'e_c'],
  ['a letter beyond ASCII, ignoring case', 'GRÜNER Tee', 'grüner'],
  ['a smiley', 'yes 😀 yes', '😀'],
]

async function fill({ audit, query }: StoreWorld): Promise<void> {
  const ann = {
    actor: { id: 1, label: 'Ann' },
    tenant: 't1',
    request: { id: 'r1', ip: '10.0.0.1' },
    reason: '100% sure_thing',
  }
  await audit.withContext(ann, async () => {
    await query(`insert into customer values (1, 'O''Neil', 'Köln'), (2, 'Bo', 'Rome')`)
    await query(`update customer set city = 'Bonn' where id = 1`)
    await audit.logLoginAttempt({ username: 'ann', status: 'SUCCESS' })
    await audit.flush()
  })
  await audit.withContext({ actor: { type: 'job', id: 'nightly' }, tenant: 't2' }, async () => {
    await query(`insert into invoice values (7, 1, 110)`)
    await audit.logAuditEvent({ action: 'invoice.sent', target: { model: 'invoice', id: 7 } })
    await audit.flush()
  })
  await query(`insert into link values (1, 'x'), (1, 'y')`)
  await audit.logSystemEvent({ eventType: 'WARNING', title: 'disk' })
  await audit.flush()
}

export function findCases({ test, expect }: StoreCases): void {
  let filled: Promise<void> | undefined
  const found = async (world: StoreWorld, filter: EntryFilter): Promise<string[]> => {
    await (filled ??= fill(world))
    const { entries } = await world.audit.entries.find(filter)
    return entries
      .map(({ action, target }) => `${action} ${target ? `${target.model}/${target.id}` : ''}`.trim())
      .toReversed()
  }

  for (const [title, filter, expected] of filters)
    test(`finds by ${title}`, async (world) => {
      expect(await found(world, filter)).toEqual(expected)
    })

  test('finds by transaction, of row changes alone', async (world) => {
    const links = await found(world, { action: 'CREATE', model: 'link' })
    const [entry] = (await world.audit.entries.find({ action: 'CREATE', model: 'link' })).entries
    expect(await found(world, { tx: entry?.tx ?? '' })).toEqual(links)
    expect(links.length).toEqual(2)
  })

  test('finds one by its id or its ref, and none by what nothing can have', async ({ audit }) => {
    const [login] = (await audit.entries.find({ kind: 'login' })).entries
    expect(await audit.entries.get(login?.id ?? '')).toEqual(login)
    expect(await audit.entries.get(login?.ref ?? '')).toEqual(login)
    for (const odd of ['999999', "x' or 1=1", '\u0000', '9'.repeat(18), '9'.repeat(40), '-1', '1e3', ' 1'])
      expect([await audit.entries.get(odd), (await audit.history('item', odd)).length]).toEqual([
        undefined,
        0,
      ])
  })

  for (const [title, value, part] of texts)
    test(`finds a text with ${title} in a value`, async ({ audit, query, at }) => {
      const insert = `insert into item values (${at(1)}, ${at(2)})`
      await query(insert, [title, value])
      await query(insert, [`${title} not`, 'something else'])
      const { entries } = await audit.entries.find({ text: part, model: 'item' })
      expect(entries.map(({ target }) => target?.id)).toEqual([title])
    })

  test('shows the user agent as it came, and finds its text, however it is stored', async (world) => {
    const { audit, query, plain, at, view } = world
    const userAgent =
      'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 Odd/7'
    await audit.withContext({ request: { id: 'agent', userAgent } }, async () => {
      await query(`insert into item values (${at(1)}, 'x')`, ['by agent'])
    })
    const { entries } = await audit.entries.find({ text: 'like gecko) chrome/141.0.0.0 safari/537.36 odd' })
    expect(entries.map(({ target, request }) => [target?.id, request?.userAgent])).toEqual([
      ['by agent', userAgent],
    ])
    const [row] = await plain(`select user_agent from ${view('entries')} where request_id = 'agent'`)
    expect(row?.['user_agent']).toEqual(userAgent)
  })

  test('refuses a filter with a NUL as a filter, not as an error of the database', async ({ audit }) => {
    for (const filter of [
      { text: 'a\u0000b' },
      { actor: '\u0000' },
      { action: ['x', '\u0000'] },
      { changed: '\u0000' },
    ]) {
      const failed = await audit.entries.find(filter).catch((error: unknown) => error)
      expect(isAuditError(failed, 'AUDIT_QUERY_INVALID')).toEqual(true)
    }
  })

  test('follows a changed key, however often it was changed, and shows both rows of a key given again [G1]', async ({
    audit,
    query,
  }) => {
    await query(`insert into customer values (50, 'K', 'x')`)
    await query('update customer set id = 51 where id = 50')
    await query('update customer set id = 52 where id = 51')
    await query('delete from customer where id = 52')
    const actions = async (id: number): Promise<string[]> =>
      (await audit.history('customer', id)).map(({ action, target }) => `${action} ${target?.id}`)
    const all = ['DELETE 52', 'UPDATE 51', 'UPDATE 50', 'CREATE 50']
    for (const id of [50, 51, 52]) expect(await actions(id)).toEqual(all)
    await query(`insert into customer values (50, 'L', 'y')`)
    for (const id of [50, 52]) expect(await actions(id)).toEqual(['CREATE 50', ...all])
  })
}
