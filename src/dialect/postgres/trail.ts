import { unrecordedTable } from './unrecorded.ts'

/** Row changes, and everything else. Both are partitioned by month. */
export const halves = ['change', 'event'] as const

/**
 * The trail's tables, version by version. What stands here is never changed once released: a later version adds a step.
 *
 * One table holds all kinds of entries, so that one page reads them. Its two halves are laid out for what they hold: row
 * changes, written in the hot path, have no index that only other entries need. Each index costs a write about 5 %, each
 * column 1 % (`npm run bench`); text is cheaper than jsonb by a fifth (research: capture.md 1.4).
 */
export const trailVersions: readonly (readonly string[])[] = [
  [
    `create schema if not exists whodunit`,
    `create table whodunit.trail (only_row boolean primary key default true check (only_row), version int not null, functions text)`,
    `insert into whodunit.trail (version) values (0)`,
    `create table whodunit.secret (only_row boolean primary key default true check (only_row), key bytea not null)`,
    `insert into whodunit.secret (key) values (decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'))`,
    `create table whodunit.policy (
      id bigint generated always as identity primary key,
      at timestamptz not null default clock_timestamp(),
      fingerprint text not null,
      policy json not null,
      role text not null default session_user)`,
    `create sequence whodunit.entry_id`,
    `create table whodunit.entry (
      id bigint not null default nextval('whodunit.entry_id'),
      at timestamptz not null default clock_timestamp(),
      xid bigint not null default txid_current(),
      kind text not null,
      action text not null,
      model text,
      target_id text,
      label text,
      changes text,
      actor text,
      request_id text,
      tenant text,
      context text,
      subject text,
      category text,
      severity text,
      ref text,
      about text,
      details text,
      role text not null default session_user,
      joined boolean
    ) partition by list (kind)`,
    `alter sequence whodunit.entry_id owned by whodunit.entry.id`,
    `create table whodunit.change partition of whodunit.entry for values in ('change') partition by range (at)`,
    `create table whodunit.event partition of whodunit.entry default partition by range (at)`,
    ...halves.flatMap((half) => [
      `create table whodunit.${half}_default partition of whodunit.${half} default`,
      `alter table whodunit.${half} add primary key (at, id)`,
    ]),
    `create index entry_by_id on whodunit.entry (id)`,
    `create index entry_xid on whodunit.entry (xid)`,
    `create index entry_target on whodunit.entry (model, target_id, id)`,
    `create index entry_actor on whodunit.entry (actor, at, id) where actor is not null`,
    `create index entry_request on whodunit.entry (request_id) where request_id is not null`,
    `create index entry_tenant on whodunit.entry (tenant, at, id) where tenant is not null`,
    `create index event_kind on whodunit.event (kind, at, id)`,
    `create index event_ref on whodunit.event (ref) where ref is not null`,
    `create index event_about on whodunit.event (about) where about is not null`,
    `create table whodunit.moved (model text not null, from_id text not null, to_id text not null)`,
    `create index moved_from on whodunit.moved (model, from_id)`,
    `create index moved_to on whodunit.moved (model, to_id)`,
    `create function whodunit.refuse_change() returns trigger language plpgsql as $$
    begin
      raise exception 'the trail is append-only: % is refused', tg_op
        using errcode = 'insufficient_privilege', hint = 'Entries leave by prune and erase alone, each with its own entry.';
    end $$`,
    `create trigger refuse_change before update or delete on whodunit.entry for each row execute function whodunit.refuse_change()`,
    `create trigger refuse_change before update or delete on whodunit.moved for each row execute function whodunit.refuse_change()`,
    `create trigger refuse_truncate before truncate on whodunit.entry for each statement execute function whodunit.refuse_change()`,
    ...['moved', 'change', 'event', 'change_default', 'event_default'].map(
      (part) =>
        `create trigger refuse_truncate before truncate on whodunit.${part} for each statement execute function whodunit.refuse_change()`,
    ),
    unrecordedTable,
  ],
]

/** Months made ahead; later entries would fall into the default partition, and nothing would be lost. */
export const monthsAhead = 12

export const removeTrail: readonly string[] = [`drop schema if exists whodunit cascade`]
