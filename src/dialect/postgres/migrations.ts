import type { TablePlan } from '../../capture/plan.ts'
import { skipMark } from '../../core/internal.ts'
import { contextLines, joinParts } from './context.ts'
import { literal } from './quote.ts'

/**
 * Migration tools that hold an advisory lock in the session that migrates, by the table in which they keep their books.
 * Drizzle, Knex, TypeORM, MikroORM and Umzug leave no mark that their session could see before it writes.
 */
const locks: Readonly<Record<string, { readonly tool: string; readonly key: bigint }>> = {
  _prisma_migrations: { tool: 'Prisma Migrate', key: 72_707_369n },
  kysely_migration: { tool: 'Kysely', key: 3_853_314_791_062_309_107n },
}

/** What a trigger does about a write without a context, where the database has the books of such a tool. */
export function recogniseMigration({ books, recordMigrations, addresses }: TablePlan): string {
  const tools = books.flatMap(({ schema, name }) => {
    const lock = locks[name]
    if (!lock) return []
    const [high, low] = [Number(lock.key >> 32n), Number(lock.key & 0xffffffffn)]
    return [{ tool: lock.tool, schema, name, high, low }]
  })
  if (tools.length === 0) return ''
  const given = `${literal(JSON.stringify(tools))}, ${!recordMigrations}, ${addresses}`
  return `if coalesce(context, '') = '' and current_setting('whodunit.migration', true) is distinct from 'no' then
    context := whodunit.migration_context(${given});
  end if;
  `
}

/** Of no actor: the lock does not say whose. */
const told = (reason: string): string =>
  joinParts(
    `'', '', '', ${contextLines({
      ip: 'case when with_address then host(inet_client_addr()) end',
      userAgent: `current_setting('application_name')`,
      reason,
      origin: `'migration'`,
    })}`,
  )

/**
 * The context of a migration, where the session that writes holds the lock of a tool; else null.
 *
 * A lock of a session outlives its tool where a pooler keeps the session, and hands it to an application. So by itself it
 * leaves nothing unrecorded. It does together with a lock that this very transaction has on the tool's books: Kysely reads
 * them at the beginning of the transaction in which it migrates, and no application does before it writes.
 *
 * pg_locks costs about 70 us, and holds up others who want a lock: a session is asked once a transaction and a tenth of a
 * second, and while it migrates once a message, since the lock may be let go of.
 */
export const migrationContext: string = `create or replace function whodunit.migration_context(tools json, skip bool, with_address bool)
  returns text language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
  declare
    message text := extract(epoch from statement_timestamp())::text;
    asked text := current_setting('whodunit.asked', true);
    holder text;
    whole bool;
    context text;
  begin
    if current_setting('whodunit.migration', true) = message then
      return current_setting('whodunit.migration_context', true);
    end if;
    -- anybody may have set it by hand
    if coalesce(asked, '') !~ '^\\d{1,12}(\\.\\d+)?$' or extract(epoch from clock_timestamp()) - asked::float8 not between 0 and 0.1 then
      with held as materialized (select * from pg_locks where pid = pg_backend_pid() and granted)
      select t.tool, exists (select from held h join pg_class c on c.oid = h.relation join pg_namespace n on n.oid = c.relnamespace
          where h.locktype = 'relation' and c.relname = t.name and n.nspname = t.schema)
      into holder, whole
      from json_to_recordset(tools) as t(tool text, schema text, name text, high bigint, low bigint)
      join held l on l.locktype = 'advisory' and l.mode = 'ExclusiveLock' and l.classid = t.high::oid and l.objid = t.low::oid
        and l.objsubid = 1 and l.database = (select oid from pg_database where datname = current_database())
      order by 2 desc limit 1;
      if holder is null then
        -- of the session, as such a lock is
        perform set_config('whodunit.asked', extract(epoch from clock_timestamp())::text, false);
      end if;
    end if;
    if holder is null then
      perform set_config('whodunit.migration', 'no', true);
      return null;
    end if;
    context := case when whole then ${told(`'a migration of ' || holder`)}
      else ${told(`'the session holds the lock of ' || holder`)} end;
    if whole and skip then
      context := ${literal(skipMark)} || context;
    end if;
    perform set_config('whodunit.migration', message, true), set_config('whodunit.migration_context', context, true);
    return context;
  end $$`
