import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { describe, expect, it } from 'vitest'
import { csvCells, csvColumns, csvStream } from '../../src/cli/csv.ts'
import type { AuditEntry } from '../../src/index.ts'
import { entry } from './entries.ts'

async function csv(...entries: AuditEntry[]): Promise<string[]> {
  const all = await text(Readable.from(entries.map(csvCells)).pipe(csvStream()))
  expect(all.endsWith('\n')).toBe(true)
  return all.slice(0, -1).split('\n')
}

const cells = (fields: Parameters<typeof entry>[0]): Record<string, string> =>
  Object.fromEntries(csvCells(entry(fields)).map((cell, index) => [csvColumns[index]!, cell]))

describe('CSV', () => {
  it('is a header and one line for each entry, whatever is in it', async () => {
    const nasty = entry({
      reason: 'a\nb\r\nc,"d"\u2028',
      target: { model: 'm', id: '1\r2', label: '\t\u0000' },
    })
    expect(await csv(entry(), nasty, entry())).toHaveLength(4)
  })

  it('is a header alone for no entries', async () => {
    expect(await csv()).toEqual([csvColumns.join(',')])
  })

  it('begins with the columns of the view whodunit.entries', () => {
    expect(csvColumns.slice(0, 9)).toEqual([
      'id',
      'ref',
      'at',
      'kind',
      'action',
      'model',
      'target_id',
      'target_label',
      'changes',
    ])
  })

  it('has full times, changes as JSON, and empty cells for what is not there', () => {
    expect(cells({ changes: { a: ['1,2', { $: 'masked' }] }, actor: null, tags: ['x'] })).toMatchObject({
      at: '2026-11-24T04:57:26.123Z',
      changes: '{"a":["1,2",{"$":"masked"}]}',
      actor_id: '',
      tags: '["x"]',
      details: '',
      ip: '1.2.3.4',
    })
  })

  it.each(['=1+1', '+1', '-1', '@SUM(A1)', '＝1'])(
    'keeps a spreadsheet from computing %s',
    async (formula) => {
      const [, line] = await csv(entry({ reason: formula, target: { model: 'm', id: formula } }))
      expect(line!.split(',').filter((cell) => cell === `'${formula}`)).toHaveLength(2)
    },
  )

  it.each(['\t=1+1', '\r=1+1', '\n=1+1'])('leaves no %j in front of a formula', async (formula) => {
    const [, line] = await csv(entry({ reason: formula }))
    expect(line).toMatch(/,\\u000[9ad]=1\+1,/)
  })

  it('keeps long cells whole', () => {
    const reason = '\n'.repeat(1_000)
    expect(cells({ reason })['reason']).toBe('\\u000a'.repeat(1_000))
  })
})
