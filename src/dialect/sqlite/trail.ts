/**
 * The trail's tables, version by version. What stands here is never changed once released: a later version adds a step.
 *
 * No constraint that could fail: an `INSERT OR IGNORE` of the application would skip the entry and keep the row. `at` is
 * in milliseconds, which is as fine as SQLite's clock. An entry's `id` grows with the order of commits, since SQLite lets
 * one transaction write at a time; AUTOINCREMENT keeps an id from being used again.
 */
export const trailVersions: readonly (readonly string[])[] = [
  [
    `create table whodunit_trail (version integer not null, functions text)`,
    `insert into whodunit_trail (version) values (0)`,
    `create table whodunit_policy (
      id integer primary key,
      at integer default (${now()}),
      fingerprint text,
      policy text)`,
    `create table whodunit_entry (
      id integer primary key autoincrement,
      at integer default (${now()}),
      tx integer,
      kind text default 'change',
      action text,
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
      joined integer)`,
    `create index whodunit_entry_at on whodunit_entry (at)`,
    `create index whodunit_entry_target on whodunit_entry (model, target_id)`,
    `create index whodunit_entry_actor on whodunit_entry (actor, at) where actor is not null`,
    `create index whodunit_entry_request on whodunit_entry (request_id) where request_id is not null`,
    `create index whodunit_entry_tenant on whodunit_entry (tenant, at) where tenant is not null`,
    `create index whodunit_entry_kind on whodunit_entry (kind, at) where kind <> 'change'`,
    `create index whodunit_entry_moved on whodunit_entry (model, moved_to) where moved_to is not null`,
    `create index whodunit_entry_ref on whodunit_entry (ref) where ref is not null`,
    `create index whodunit_entry_about on whodunit_entry (about) where about is not null`,
    `create trigger whodunit_refuse_update before update on whodunit_entry begin
      select raise(abort, 'the trail is append-only: UPDATE is refused'); end`,
    `create trigger whodunit_refuse_delete before delete on whodunit_entry begin
      select raise(abort, 'the trail is append-only: DELETE is refused'); end`,
    // The context of the transaction that writes now; empty in between. \`tx\` is the id of its first entry, \`skipped\` the
    // tables that have their SKIPPED entry
    `create table whodunit_context (
      id integer primary key,
      skip integer,
      actor text,
      request_id text,
      tenant text,
      context text,
      tx integer,
      skipped text default '')`,
    `create trigger whodunit_context_stays before delete on whodunit_context begin
      select raise(abort, 'the row of the context stays: set its columns to NULL'); end`,
    `create trigger whodunit_skipped after update of skipped on whodunit_context when length(new.skipped) > length(old.skipped) begin
      insert into whodunit_entry (tx, action, model, actor, request_id, tenant, context) values (new.tx, 'SKIPPED',
        substr(new.skipped, length(old.skipped) + 2, length(new.skipped) - length(old.skipped) - 2),
        new.actor, new.request_id, new.tenant, new.context); end`,
    `insert into whodunit_context (id) values (1)`,
    // Where capture finds out whether a statement replaces rows: its OR REPLACE is also that of what its triggers insert.
    // Row 2 comes if triggers fire for replaced rows as well (\`recursive_triggers\`)
    `create table whodunit_replacing (id integer primary key, here integer)`,
    `insert into whodunit_replacing (id) values (1)`,
    `create trigger whodunit_replacing_seen after delete on whodunit_replacing when old.id = 1 begin
      insert into whodunit_replacing (id) values (2); end`,
  ],
]

/** Milliseconds since 1970, in functions that old versions have too. */
function now(): string {
  return `cast(round((julianday('now') - 2440587.5) * 86400000) as integer)`
}

const views = ['requests', 'system_events', 'data_exports', 'login_attempts', 'entries']
export const dropViews: readonly string[] = views.map((view) => `drop view if exists whodunit_${view}`)

export const trailTables: readonly string[] = [
  'replacing',
  'context',
  'secret',
  'secret_stem',
  'entry',
  'policy',
  'trail',
  'run',
].map((table) => `whodunit_${table}`)

export const removeTrail: readonly string[] = [
  ...dropViews,
  ...trailTables.map((table) => `drop table if exists ${table}`),
]
