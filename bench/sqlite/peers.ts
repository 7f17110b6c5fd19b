import { columnNames } from './customer.ts'

const table = `
  create table peer_entry (
    id integer primary key, at text default current_timestamp, table_name text, op text, key text,
    old_row text, new_row text, actor text, request text);
  create index peer_entry_key on peer_entry (table_name, key);
  create table peer_context (actor text, request text);
  insert into peer_context values ('1001', '3f8b6c1e-7d5a-4f0e-9b3c-2a1d4e5f6a7b');`

const image = (row: string): string =>
  `json_object(${columnNames.map((name) => `'${name}', ${row}.${name}`).join(', ')})`

function entry(op: string, before: string, after: string, from = ''): string {
  const row = op === 'DELETE' ? 'old' : 'new'
  return `create trigger peer_${op} after ${op} on customer begin
    insert into peer_entry (table_name, op, key, old_row, new_row, actor, request)
    select 'customer', '${op}', ${row}.id, ${before}, ${after}, p.actor, p.request from peer_context p${from}; end;`
}

const changed = `, (select json_group_object(name, before) as b, json_group_object(name, after) as a from (
  ${columnNames.map((name) => `select '${name}' as name, old.${name} as before, new.${name} as after`).join(' union all ')}
) where before is not after) d`

/**
 * The two generic designs that are always there to compare with, written anew after what the field does: one that stores
 * whole rows, and one that stores what differs between them. Neither looks for secrets, or at values that JSON cannot hold.
 */
export const peers: Readonly<Record<'full image' | 'diff', string>> = {
  'full image': `${table}
    ${entry('INSERT', 'null', image('new'))} ${entry('UPDATE', image('old'), image('new'))} ${entry('DELETE', image('old'), 'null')}`,
  diff: `${table}
    ${entry('INSERT', 'null', image('new'))} ${entry('UPDATE', 'd.b', 'd.a', changed)} ${entry('DELETE', image('old'), 'null')}`,
}
