import { describe, expect, it } from 'vitest'
import { entryJson, entryLines, shownValue } from '../../src/cli/print.ts'
import { paintFor, widthOf } from '../../src/cli/output.ts'
import { entry } from './entries.ts'

const plain = { width: 120, paint: (_style: unknown, text: string): string => text }
const line = (fields?: Parameters<typeof entry>[0]): string => entryLines(entry(fields), plain)[0]!

describe('an entry for people', () => {
  it('is one line: when, who, what, to what, the changes, from where', () => {
    expect(line()).toMatch(
      /^2026-11-24 04:57:26 {2}ann@shop +UPDATE +customer\/1 \(Ann\) {2}balance: 1\.10 -> 1\.1 {2}from 1\.2\.3\.4$/,
    )
  })

  it('has its reason in a second line, indented', () => {
    expect(entryLines(entry({ reason: 'customer called' }), plain)[1]).toBe('    reason: customer called')
    expect(entryLines(entry(), plain)).toHaveLength(1)
  })

  it('names an actor by label, else by type and id, and never guesses one', () => {
    expect(line({ actor: { type: 'job', id: 'nightly' } })).toContain('  job:nightly  ')
    expect(line({ actor: { type: 'anonymous', id: null } })).toContain('  anonymous  ')
    expect(line({ actor: null })).toContain('  unknown  ')
    expect(
      line({
        actor: { type: 'user', id: '1', label: 'root', onBehalfOf: { type: 'user', id: '2', label: 'ann' } },
      }),
    ).toContain('  root for ann  ')
  })

  it('shows one value for each column of a new and of a removed row', () => {
    expect(
      line({ action: 'CREATE', changes: { id: [null, 1], name: [null, 'Ann'], fax: [null, null] } }),
    ).toContain('id: 1, name: Ann  from')
    expect(line({ action: 'DELETE', changes: { id: [1, null], name: ['Ann', null] } })).toContain(
      'id: 1, name: Ann  from',
    )
  })

  it('shows both values of a change to and from nothing', () => {
    expect(line({ changes: { fax: [null, '1'], mail: ['x', null] } })).toContain(
      'fax: null -> 1, mail: x -> null',
    )
  })

  it('is no wider than the terminal, whatever is in it', () => {
    const long = { text: ['a'.repeat(5_000), 'b'.repeat(5_000)], other: ['c'.repeat(100), null] }
    for (const width of [120, 200]) {
      const [first] = entryLines(entry({ changes: long, reason: 'r'.repeat(900) }), { ...plain, width })
      expect(first!.length).toBeLessThanOrEqual(width)
      expect(first).toMatch(/from 1\.2\.3\.4$/)
    }
  })

  it('escapes control marks wherever they are, and cuts no character in two', () => {
    const evil = 'a\u001b[2J\nb\u009b1m\u202e'
    const lines = entryLines(
      entry({
        action: evil,
        actor: { type: 'user', id: evil, label: evil },
        target: { model: evil, id: evil, label: `${evil}${'😀'.repeat(200)}` },
        changes: { [evil]: [evil, '😀'.repeat(200)] },
        reason: evil,
        request: { id: 'r', ip: evil },
      }),
      plain,
    ).join('')
    expect(lines).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/)
    expect(lines.isWellFormed()).toBe(true)
    expect(lines).toContain(String.raw`\u001b[2J\u000ab\u009b`)
  })

  it('tells of sign-ins, exports, requests and errors in their own words', () => {
    const of = (kind: string, details: object, request: unknown = null): string =>
      line({ kind, details, request, changes: null, target: null, action: 'X' })
    expect(of('login', { username: 'bob', status: 'FAILED' })).toContain('FAILED bob')
    expect(of('export', { exportType: 'customers', fileFormat: 'csv' })).toContain(
      'exportType: customers, fileFormat: csv',
    )
    expect(
      of('request', { status: 500, duration: 12.5 }, { id: 'r', method: 'GET', path: '/boom', ip: '::1' }),
    ).toContain('GET /boom  500  12.5 ms  from ::1')
    expect(of('system', { title: 'Broken', error: { name: 'TypeError', message: 'x is null' } })).toContain(
      'Broken; TypeError: x is null',
    )
  })

  it('names the program and the address of a write without a context', () => {
    expect(line({ request: null, details: { application: 'psql' } })).toMatch(/from psql$/)
    expect(line({ request: null, details: { application: 'psql', address: '10.0.0.1' } })).toMatch(
      /from 10\.0\.0\.1$/,
    )
  })
})

describe('an entry that somebody wrote by hand', () => {
  it.each([
    { changes: { a: 5, b: [1], c: null, d: [{}, 2] } },
    { changes: [1, 2] },
    { changes: 'text', details: { address: 5, application: {} }, request: null },
    { action: 'CREATE', changes: { a: null, b: 5 } },
    { kind: 'system', changes: null, details: { title: {}, error: 'x', note: 5 } },
    { kind: 'login', changes: null, details: { status: [], username: {} } },
    { kind: 'request', changes: null, details: { status: {}, duration: 'x' } },
    { kind: 'later', changes: null, details: { unreadable: '{' } },
  ])('is still printed: %j', (fields) => {
    expect(line(fields)).toMatch(/^2026-11-24 04:57:26 {2}ann@shop/)
  })
})

describe('a value for people', () => {
  it.each([
    [null, 'null'], ['null', '"null"'], ['', '""'], [false, 'false'], ['false', '"false"'], [0, '0'], ['1.10', '1.10'], [' x', '" x"'], ['***', '"***"'],
    [{ $: 'masked' }, '***'], [{ $: 'hash', v: '054f0212ab' }, '#054f02…'], [{ $: 'cut', length: 200_000 }, '(cut, 200000 characters)'],
    [{ $: 'blob', hex: 'cafe' }, '0xcafe'], [{ $: 'later' }, '{"$":"later"}'],
  ])('%j is %s', (value, shown) => {
    expect(shownValue(value as never)).toBe(shown)
  }) // prettier-ignore
})

describe('an entry for programs', () => {
  it('is JSON on one line, the time as ISO text, with no control mark left', () => {
    const odd = entry({ reason: 'a\u009b1m\u2028\u202eb' })
    const text = entryJson(odd)
    expect(text).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u202e]/)
    expect(JSON.parse(text)).toEqual({ ...odd, at: '2026-11-24T04:57:26.123Z' })
  })
})

describe('the terminal', () => {
  it('gets colours only if it is one, and NO_COLOR is not set', () => {
    const before = process.env['NO_COLOR']
    delete process.env['NO_COLOR']
    expect(paintFor({ isTTY: true })('red', 'x')).toBe('\u001b[31mx\u001b[39m')
    expect(paintFor({ isTTY: false })('red', 'x')).toBe('x')
    process.env['NO_COLOR'] = '1'
    expect(paintFor({ isTTY: true })('red', 'x')).toBe('x')
    if (before === undefined) delete process.env['NO_COLOR']
  })

  it('is 120 columns wide where there is none', () => {
    expect(widthOf({ isTTY: false, columns: 80 })).toBe(120)
    expect(widthOf({ isTTY: true, columns: 80 })).toBe(80)
  })
})
