import type { Client } from 'pg'
import type { ContextParts } from '../../src/core/wire.ts'

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
