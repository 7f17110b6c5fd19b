import { describe, expect, it } from 'vitest'
import { toDate, toLimit, toQuery } from '../../src/core/query.ts'

const now = new Date('2026-06-15T12:00:00Z')
const bad = (run: () => unknown): string => {
  try {
    run()
  } catch (error) {
    return `${(error as { code: string }).code}: ${(error as Error).message}`
  }
  return 'accepted'
}

describe('a filter', () => {
  it('becomes lists, texts and dates', () => {
    expect(
      toQuery({ kind: 'change', model: ['a', 'b'], actor: 'user:1', since: '1d', subject: 5 }, now),
    ).toEqual({
      kinds: ['change'],
      models: ['a', 'b'],
      actors: ['user:1'],
      since: new Date('2026-06-14T12:00:00Z'),
      subject: '5',
    })
  })
  it('finds an actor by its bare id among all types', () => {
    expect(toQuery({ actor: '42' }, now).actors).toContain('service:42')
    expect(toQuery({ actor: { type: 'job', id: 'x' } }, now).actors).toEqual(['job:x'])
  })
  it('refuses unknown keys and values, with the nearest that is allowed', () => {
    expect(bad(() => toQuery({ modle: 'a' } as never, now))).toMatch(/AUDIT_QUERY_INVALID.*"modle".*"model"/)
    expect(bad(() => toQuery({ kind: 'chnage' } as never, now))).toMatch(
      /AUDIT_QUERY_INVALID.*"chnage".*"change"/,
    )
    expect(bad(() => toQuery({ since: 'yesterday' }, now))).toMatch(/AUDIT_QUERY_INVALID.*"yesterday"/)
    expect(bad(() => toQuery({ actor: {} } as never, now))).toMatch(/AUDIT_QUERY_INVALID/)
    expect(bad(() => toQuery({ text: {} } as never, now))).toMatch(/AUDIT_QUERY_INVALID/)
  })
})

describe('a limit', () => {
  it('is 50 by default and 1000 at most', () => {
    expect(toLimit(undefined)).toBe(50)
    expect(toLimit(1_000)).toBe(1_000)
    for (const limit of [0, -1, 1.5, 1_001, 1e9, '5', Number.NaN])
      expect(bad(() => toLimit(limit))).toMatch(/AUDIT_QUERY_INVALID/)
  })
})

describe('a moment', () => {
  it('is a date, a date text or an age', () => {
    expect(toDate('x', '2026-01-31', now)).toEqual(new Date('2026-01-31T00:00:00Z'))
    expect(toDate('x', '90m', now)).toEqual(new Date('2026-06-15T10:30:00Z'))
    expect(toDate('x', now, now)).toBe(now)
    for (const moment of ['', '5', '30 days', new Date('x'), 5, null])
      expect(bad(() => toDate('x', moment, now))).toMatch(/AUDIT_QUERY_INVALID/)
  })
})
