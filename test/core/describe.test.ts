import { describe, expect, it } from 'vitest'
import { describeEntry } from '../../src/core/describe.ts'
import type { AuditEntry } from '../../src/index.ts'

const entry = {
  action: 'UPDATE',
  target: { model: 'invoices', id: '7', label: '2026-0007' },
  actor: { type: 'user', id: '42', label: 'Ann' },
  reason: null,
  changes: { status: ['open', 'paid'], pin: [{ $: 'masked' }, { $: 'masked' }] },
} as unknown as AuditEntry
const sentence = (text: string): string | null =>
  describeEntry(entry, { models: { invoices: { describe: { UPDATE: text } } } })

describe('the sentence of an entry', () => {
  it('is filled from actor, target and changed columns [H2]', () => {
    expect(sentence('{actor} set invoice {label} to {status}')).toBe('Ann set invoice 2026-0007 to paid')
  })
  it('keeps an unknown placeholder as it is written, and a secret hidden [H2]', () => {
    expect(sentence('{who} {reason} {pin} {toString}')).toBe('{who} {reason} *** {toString}')
  })
  it('is none for other actions and tables', () => {
    expect(
      describeEntry({ ...entry, action: 'DELETE' }, { models: { invoices: { describe: { UPDATE: 'x' } } } }),
    ).toBeNull()
    expect(describeEntry(entry, {})).toBeNull()
  })
})
