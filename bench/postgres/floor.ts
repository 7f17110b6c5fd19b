import type { Client } from 'pg'
import type { ContextParts } from '../../src/core/wire.ts'

/** Who did it, as an application has it at hand: about 230 bytes. */
export const context = {
  actor: { type: 'user', id: '1001', label: 'alice@example.com' },
  request: {
    id: '3f8b6c1e-7d5a-4f0e-9b3c-2a1d4e5f6a7b',
    ip: '203.0.113.42',
    userAgent:
      'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36',
    sessionId: 'b6c1e7d5a4f0e9b3c2a1d4e5f6a7b8c9',
  },
  tenant: 'acme',
} as const

/**
 * The floor: the table of the trail again, with the same columns, defaults and indexes, but without triggers, for an
 * application that writes its entries by hand.
 */
export async function createFloor(client: Client): Promise<void> {
  await client.query('create schema floor')
  await client.query('create sequence floor.entry_id')
  await client.query(
    `create table floor.change (like whodunit.change including defaults including constraints including indexes including storage) partition by range (at)`,
  )
  await client.query(`alter table floor.change alter id set default nextval('floor.entry_id')`)
  const { rows } = await client.query<{ name: string; bound: string }>(
    `select c.relname as name, pg_get_expr(c.relpartbound, c.oid) as bound from pg_inherits i join pg_class c on c.oid = i.inhrelid
     where i.inhparent = 'whodunit.change'::regclass`,
  )
  for (const { name, bound } of rows) {
    await client.query(`create table floor.${name} partition of floor.change ${bound}`)
  }
}

/** A hand-written entry of an UPDATE: its columns, and their values as expressions; the key and the change are given. */
export function handWritten(
  model: string,
  target: string,
  changes: string,
  /** As it is stored, or four expressions for it. */
  stored: ContextParts | readonly string[] | null,
): { readonly columns: string; readonly values: string } {
  const of = { kind: `'change'`, action: `'UPDATE'`, model: `'${model}'`, target_id: target, changes }
  const parts =
    stored && 'rest' in stored ? [stored.actor, stored.request, stored.tenant, stored.rest].map(text) : stored
  const by = parts
    ? { actor: parts[0]!, request_id: parts[1]!, tenant: parts[2]!, context: parts[3]! }
    : { context: text('\n127.0.0.1\n\nbench\n\nsql\n') }
  const all = { ...of, ...by }
  return { columns: Object.keys(all).join(', '), values: Object.values(all).join(', ') }
}

function text(value: string): string {
  return `e'${value.replaceAll("'", "''").replaceAll('\n', '\\n')}'`
}
