import { columnNames } from './customer.ts'

export const peerTable = `create table peer_entry (
  id bigint not null auto_increment primary key, at timestamp default current_timestamp, table_name varchar(64), op varchar(10),
  \`key\` varchar(100), old_row longtext, new_row longtext, actor varchar(100), request varchar(100),
  key (table_name, \`key\`))`

const image = (row: string): string =>
  `json_object(${columnNames.map((name) => `'${name}', ${row}.${name}`).join(', ')})`

const changed = `json_merge_patch('{}', ${columnNames
  .map(
    (name) =>
      `if(old.${name} <=> new.${name}, '{}', json_object('${name}', json_array(old.${name}, new.${name})))`,
  )
  .join(', ')})`

/**
 * The two generic designs that are always there to compare with, written anew after what the field does: one that stores
 * whole rows, and one that stores what differs between them. Neither looks for secrets, bytes, collations or a column dropped.
 */
export function peerTriggers(table: string, how: 'full image' | 'diff'): readonly string[] {
  const entry = (op: string, before: string, after: string): string =>
    `create trigger ${table}_${op} after ${op} on ${table} for each row
      insert into peer_entry (table_name, op, \`key\`, old_row, new_row, actor, request)
      values ('${table}', '${op}', ${op === 'delete' ? 'old' : 'new'}.id, ${before}, ${after}, @peer_actor, @peer_request)`
  return [
    entry('insert', 'null', image('new')),
    how === 'diff' ? entry('update', 'null', changed) : entry('update', image('old'), image('new')),
    entry('delete', image('old'), 'null'),
  ]
}
