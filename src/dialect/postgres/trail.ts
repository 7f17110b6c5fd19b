/**
 * The trail's tables, version by version. What stands here is never changed once released: a later version adds a step.
 *
 * One table holds all kinds of entries, so that one key orders them and one page reads them. It is laid out for the
 * write: text and json as text (0.8 of the cost of jsonb), two append-only btrees and one that names the target, partial
 * indexes for what only some entries have, BRIN for the two numbers that grow with time (research/capture.md 1.4).
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
      xid bigint not null default pg_current_xact_id()::text::bigint,
      kind text not null,
      action text not null,
      model text,
      target_id text,
      moved_to text,
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
      application text,
      address inet,
      joined boolean,
      primary key (at, id)
    ) partition by range (at)`,
    `alter sequence whodunit.entry_id owned by whodunit.entry.id`,
    `create table whodunit.entry_default partition of whodunit.entry default`,
    // A btree row holds 2,704 bytes: a longer key must not fail the application's write
    `create index entry_target on whodunit.entry (model, left(target_id, 200), id)`,
    `create index entry_actor on whodunit.entry (actor, at, id) where actor is not null`,
    `create index entry_request on whodunit.entry (request_id) where request_id is not null`,
    `create index entry_tenant on whodunit.entry (tenant, at, id) where tenant is not null`,
    `create index entry_kind on whodunit.entry (kind, at, id) where kind <> 'change'`,
    `create index entry_moved on whodunit.entry (model, left(moved_to, 200)) where moved_to is not null`,
    `create index entry_ref on whodunit.entry (ref) where ref is not null`,
    `create index entry_about on whodunit.entry (about) where about is not null`,
    `create index entry_order on whodunit.entry using brin (id, xid) with (pages_per_range = 32, autosummarize = on)`,
    `create function whodunit.refuse_change() returns trigger language plpgsql as $$
    begin
      raise exception 'the trail is append-only: % is refused', tg_op
        using errcode = 'insufficient_privilege', hint = 'Entries leave by prune and erase alone, each with its own entry.';
    end $$`,
    `create trigger refuse_change before update or delete on whodunit.entry for each row execute function whodunit.refuse_change()`,
    `create trigger refuse_truncate before truncate on whodunit.entry for each statement execute function whodunit.refuse_change()`,
    `create trigger refuse_truncate before truncate on whodunit.entry_default for each statement execute function whodunit.refuse_change()`,
  ],
]

/** Months made ahead; later entries would fall into the default partition, and nothing would be lost. */
export const monthsAhead = 12

export const removeTrail: readonly string[] = [`drop schema if exists whodunit cascade`]
