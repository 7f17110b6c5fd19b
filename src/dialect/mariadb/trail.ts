import { randomBytes } from 'node:crypto'
import type { Statement } from '../dialect.ts'
import { textType } from './entry.ts'
import { unrecordedTable } from './unrecorded.ts'

/** Everything in one engine with transactions, and compared byte by byte. */
const options = `engine = InnoDB default ${textType}`

/**
 * The trail's tables, version by version. What stands here is never changed once released: a later version adds a step.
 * There is no transaction around DDL, so each step may find itself done already.
 *
 * Longest keys of an index have 3,072 bytes, 768 characters: what may be longer is indexed by its beginning.
 */
export const trailVersions: readonly (readonly Statement[])[] = [
  [
    {
      sql: `create table if not exists whodunit_secret (only_row tinyint not null primary key default 1, secret varbinary(64) not null) ${options}`,
    },
    {
      sql: `insert ignore into whodunit_secret (only_row, secret) values (1, unhex(?))`,
      parameters: [randomBytes(32).toString('hex')],
    },
    {
      sql: `create table if not exists whodunit_policy (
      id bigint not null auto_increment primary key,
      at datetime(6) not null,
      fingerprint varchar(100) not null,
      policy longtext not null,
      role varchar(400) not null) ${options}`,
    },
    {
      sql: `create table if not exists whodunit_entry (
      id bigint not null auto_increment primary key,
      at datetime(6) not null,
      xid bigint,
      kind varchar(20) not null,
      action varchar(200) not null,
      model varchar(200),
      target_id longtext,
      moved_to longtext,
      label varchar(200),
      changes longtext,
      actor varchar(200),
      request_id varchar(200),
      tenant varchar(200),
      context longtext,
      subject varchar(200),
      category varchar(200),
      severity varchar(20),
      ref varchar(200),
      about varchar(200),
      details longtext,
      role varchar(400),
      application varchar(200),
      address varchar(200),
      joined tinyint,
      key entry_time (at, id),
      key entry_target (model, target_id(200), id),
      key entry_actor (actor, at, id),
      key entry_request (request_id),
      key entry_tenant (tenant, at, id),
      key entry_kind (kind, at, id),
      key entry_moved (model, moved_to(200)),
      key entry_xid (xid),
      key entry_ref (ref),
      key entry_about (about)) ${options} row_format = dynamic`,
    },
    ...['update', 'delete'].map((event) => ({
      sql: `create trigger if not exists whodunit_refuse_${event} before ${event} on whodunit_entry for each row
      signal sqlstate '45000' set message_text = 'AUDIT: the trail is append-only: entries leave by prune and erase alone'`,
    })),
    // the last: whoever finds it finds all the rest
    {
      sql: `create table if not exists whodunit_trail (only_row tinyint not null primary key default 1, version int not null, functions varchar(100)) ${options}`,
    },
    { sql: `insert ignore into whodunit_trail (only_row, version) values (1, 0)` },
    { sql: unrecordedTable(options) },
  ],
]

export const tables: readonly string[] = ['entry', 'policy', 'secret', 'trail', 'unrecorded']
