import { Command } from 'commander'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { addFilters, type FilterOptions, readEntries, toFilter } from '../../src/cli/filters.ts'
import { matches } from '../../src/cli/match.ts'
import { toQuery } from '../../src/core/query.ts'
import type { AuditEntry } from '../../src/index.ts'
import { openShop, type Shop, workADay } from './shop.ts'

let shop: Shop
let all: readonly AuditEntry[]
beforeAll(async () => {
  shop = await openShop()
  await workADay(shop)
  all = await Array.fromAsync(shop.audit.entries.stream())
})
afterAll(() => shop.close())

const parse = (...args: string[]): FilterOptions =>
  addFilters(new Command().exitOverride().configureOutput({ outputError: () => {} }))
    .parse(args, { from: 'user' })
    .opts()

const filters: [string, string[]][] = [
  ['--kind change', ['UPDATE']], ['--action CREATE,LOGIN', ['LOGIN', 'CREATE']], ['--model customer --severity low', ['UPDATE']],
  ['--severity high', ['ERROR']], ['--actor 42', ['VIEW']], ['--actor job:nightly', ['DELETE']], ['--subject 1', ['UPDATE']], ['--request r1', ['VIEW']],
  ['--tenant acme', ['VIEW']], ['--ip 1.2.3.4', ['VIEW']], ['--since 1h', ['LOGIN']], ['--changed BALANCE', ['UPDATE']], ['--text ann', ['VIEW']],
  ['--text CALLED', ['VIEW']], ['--text mail', ['ERROR']], ['--category crm', ['UPDATE']], ['--tag vip', ['UPDATE']],
  ['--until 1h', []], ['--tag vi', []], ['--tenant nobody', []],
] // prettier-ignore

describe('the filters of the command line', () => {
  it.each(filters)('%s picks the same from a feed as from the database', async (args, among) => {
    const filter = toFilter(parse(...args.split(' ')))
    const found = await Array.fromAsync(readEntries(shop.audit, filter))
    const query = toQuery(filter, new Date())
    expect(all.filter((entry) => matches(entry, query)).map(({ id }) => id)).toEqual(
      found.map(({ id }) => id),
    )
    expect(found.map(({ action }) => action)).toEqual(expect.arrayContaining(among))
    if (among.length === 0) expect(found).toEqual([])
    expect(found.length).toBeLessThanOrEqual(all.length)
  })

  it('--tx picks what one transaction did', async () => {
    const update = all.find(({ action }) => action === 'UPDATE')!
    expect(await Array.fromAsync(readEntries(shop.audit, toFilter(parse('--tx', update.tx!))))).toEqual([
      update,
    ])
  })

  it('read all pages, or as many entries as asked for, and tell where to go on', async () => {
    await shop.pool.query(`insert into playlist_track select g, g from generate_series(100, 1299) g`)
    const cursors: string[] = []
    const read = async (options: Parameters<typeof readEntries>[2]): Promise<string[]> =>
      (
        await Array.fromAsync(
          readEntries(
            shop.audit,
            { model: 'playlist_track' },
            { ...options, onMore: (cursor) => cursors.push(cursor) },
          ),
        )
      ).map(({ id }) => id)
    const everything = await read({})
    expect([everything.length, cursors]).toEqual([1_201, []])
    expect(await read({ limit: 1_201 })).toEqual(everything)
    expect(cursors).toEqual([])
    expect(await read({ limit: 701 })).toEqual(everything.slice(0, 701))
    expect(await read({ after: cursors[0] })).toEqual(everything.slice(701))
  })

  it('refuse empty values, a second value where one is taken, and numbers that are none', () => {
    for (const args of [
      ['--limit', '0'],
      ['--limit', '1.5'],
      ['--actor', ''],
      ['--kind', 'login,'],
      ['--tenant', 'a', '--tenant', 'b'],
    ]) {
      expect(() => parse(...args)).toThrow(/argument .* is invalid/)
    }
  })
})
