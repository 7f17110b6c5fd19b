import { kinds } from '../../core/internal.ts'
import { selectTriggers } from './catalogue.ts'
import { clock, role, textType } from './entry.ts'
import { hash } from './values.ts'

const allowed = kinds
  .filter((kind) => kind !== 'change')
  .map((kind) => `'${kind}'`)
  .join(', ')

const columns = {
  ref: 200, kind: 20, action: 200, model: 200, target_id: 0, label: 200, changes: 0, subject: 200, category: 200,
  severity: 20, about: 200, details: 0, actor: 200, request_id: 200, tenant: 200, context: 0,
} // prettier-ignore
const names = Object.keys(columns)
// of any length: a text too long for its type would silently be no text at all
const jsonColumns = [...names, 'at'].map((column) => `${column} longtext ${textType} path '$.${column}'`)
const values = Object.entries(columns).map(([column, length]) =>
  length > 0 ? `left(e.${column}, ${length})` : `e.${column}`,
)

/**
 * The trail's routines; every migrate makes them anew when their text has changed. They run with the rights of who made
 * them, so that an application needs none on the tables.
 */
export const routines: Readonly<Record<string, string>> = {
  // The only way in for entries that no trigger wrote. A row change cannot be forged through it
  whodunit_record: `(in given longtext ${textType}, in joined tinyint) sql security definer modifies sql data
begin
  declare wrong text ${textType};
  if not json_valid(given) then
    signal sqlstate '45000' set message_text = 'AUDIT_ENTRY_INVALID: whodunit_record takes a JSON array of entries';
  end if;
  select concat('kind ', ifnull(e.kind, 'null'), ', action ', ifnull(e.action, 'null')) into wrong
  from json_table(given, '$[*]' columns (${jsonColumns.join(', ')})) e
  where e.kind is null or e.kind not in (${allowed}) or e.action is null
    or e.at is not null and (str_to_date(e.at, '%Y-%m-%d %H:%i:%s.%f') is null or left(e.at, 4) < '1970')
    or ifnull(json_type(e.changes), 'OBJECT') <> 'OBJECT' or ifnull(json_type(e.details), 'OBJECT') <> 'OBJECT'
    or not ifnull(json_valid(e.changes), true) or not ifnull(json_valid(e.details), true)
  limit 1;
  if wrong is not null then
    set wrong = left(concat('AUDIT_ENTRY_INVALID: whodunit_record takes no such entry: ', wrong), 128);
    signal sqlstate '45000' set message_text = wrong;
  end if;
  insert into whodunit_entry (at, ${names.join(', ')}, joined, xid, role)
  select ifnull(e.at, ${clock}), ${values.join(', ')},
    joined, if(joined and binary @whodunit_token <=> binary @whodunit_transaction, @whodunit_tx, null), ${role}
  from json_table(given, '$[*]' columns (place for ordinality, ${jsonColumns.join(', ')})) e
  order by e.place;
  if joined and @whodunit_transaction is not null and not binary @whodunit_token <=> binary @whodunit_transaction then
    set @whodunit_tx = last_insert_id(), @whodunit_token = @whodunit_transaction;
  end if;
end`,

  // So that nobody needs to read the key
  whodunit_hash: `(in given longtext ${textType}) sql security definer reads sql data
select ${hash('v.value')} as hash
from json_table(given, '$[*]' columns (place for ordinality, value longtext ${textType} path '$')) v order by v.place`,

  // What `check` compares, for who may not see triggers otherwise
  whodunit_triggers: `() sql security definer reads sql data
${selectTriggers}`,

  // For people who write by hand: call whodunit_set_context('user:42', 'ticket 123')
  whodunit_set_context: `(in actor text ${textType}, in reason text ${textType}) sql security definer no sql
begin
  set @whodunit_context = if(actor is null and reason is null, null,
    concat(ifnull(actor, ''), '\u001e\u001e\u001e', '\n\n\n\n', ifnull(reason, ''), '\nsql\n'));
end`,
}
