import type { Client } from 'pg'

/**
 * The two generic designs that are always there to compare with, written anew after what the field does: a row trigger that
 * stores both whole rows as jsonb (as supa_audit), and one that stores what differs between them (as audit-trigger does by
 * hstore). Both write to a table of their own with two indexes, fewer than the trail has.
 */
export async function createPeers(client: Client): Promise<void> {
  await client.query(`
    create schema peer;
    create table peer.entry (
      id bigint generated always as identity primary key, at timestamptz not null default clock_timestamp(),
      table_name text not null, op text not null, key text, old_row jsonb, new_row jsonb, actor text, request text);
    create index on peer.entry (table_name, key);
    create function peer.full_image() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
    begin
      insert into peer.entry (table_name, op, key, old_row, new_row, actor, request)
      values (tg_table_name, tg_op, coalesce(to_jsonb(new) ->> 'id', to_jsonb(old) ->> 'id'),
        case when tg_op <> 'INSERT' then to_jsonb(old) end, case when tg_op <> 'DELETE' then to_jsonb(new) end,
        current_setting('peer.actor', true), current_setting('peer.request', true));
      return null;
    end $$;
    create function peer.diff() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
    declare
      before jsonb := case when tg_op <> 'INSERT' then to_jsonb(old) end;
      after jsonb := case when tg_op <> 'DELETE' then to_jsonb(new) end;
    begin
      if tg_op = 'UPDATE' then
        select jsonb_object_agg(b.key, b.value), jsonb_object_agg(b.key, a.value) into before, after
        from jsonb_each(before) b join jsonb_each(after) a on a.key = b.key where a.value is distinct from b.value;
      end if;
      insert into peer.entry (table_name, op, key, old_row, new_row, actor, request)
      values (tg_table_name, tg_op, coalesce(to_jsonb(new) ->> 'id', to_jsonb(old) ->> 'id'), before, after,
        current_setting('peer.actor', true), current_setting('peer.request', true));
      return null;
    end $$`)
}

export async function capturedByPeer(
  client: Client,
  table: string,
  how: 'full_image' | 'diff',
): Promise<void> {
  await client.query(
    `create trigger peer after insert or update or delete on ${table} for each row execute function peer.${how}()`,
  )
}
