import type { AuditEntry } from '../../src/index.ts'

/** An entry as it is read, with some of its fields. */
export function entry(fields: Readonly<Record<string, unknown>> = {}): AuditEntry {
  return {
    id: '1',
    ref: null,
    at: new Date('2026-11-24T04:57:26.123Z'),
    kind: 'change',
    action: 'UPDATE',
    target: { model: 'customer', id: '1', label: 'Ann' },
    changes: { balance: ['1.10', '1.1'] },
    actor: { type: 'user', id: '42', label: 'ann@shop' },
    subject: null,
    tenant: null,
    request: { id: 'r1', ip: '1.2.3.4' },
    reason: null,
    metadata: null,
    category: null,
    severity: 'info',
    tags: [],
    origin: 'http',
    app: 'shop@1.0.0',
    tx: '7',
    role: 'shop',
    details: {},
    ...fields,
  } as unknown as AuditEntry
}
