import type { RunSql } from '../dialect.ts'
import { name } from './quote.ts'

const roles = {
  owner: 'whodunit_owner',
  writer: 'whodunit_writer',
  reader: 'whodunit_reader',
} as const

/** What each role may do; granted again at every migrate, so that nothing is left over from an older version. */
const rights: readonly string[] = [
  `revoke all on schema whodunit from public`,
  `revoke all on all tables in schema whodunit from public`,
  `revoke all on all functions in schema whodunit from public`,
  `grant usage on schema whodunit to ${roles.writer}, ${roles.reader}`,
  `grant execute on function whodunit.record(json, boolean), whodunit.hash(text), whodunit.prepare_months(),
    whodunit.set_context(text, text, text, text, text, text) to ${roles.writer}`,
  `grant select on whodunit.trail, whodunit.policy, whodunit.unrecorded to ${roles.writer}, ${roles.reader}`,
  `grant select on whodunit.entry, whodunit.moved, whodunit.entries, whodunit.login_attempts, whodunit.data_exports, whodunit.system_events,
    whodunit.requests to ${roles.reader}`,
  `grant execute on function whodunit.read_json(text), whodunit.full_agent(text) to ${roles.reader}`,
]

/**
 * Makes the three roles and hands the trail to its owner, who cannot sign in. Where the current role may not do that,
 * it stays the owner of the trail, which is said as a warning: it could then alter what it wrote.
 */
export async function secure(run: RunSql, tries = 5): Promise<readonly string[]> {
  try {
    await run('savepoint whodunit_roles')
    for (const role of Object.values(roles)) {
      const [known] = await run('select 1 from pg_roles where rolname = $1', [role])
      if (!known) await run(`create role ${name(role)} nologin`)
    }
    // since 16 whoever makes a role may give it away, but does not have its rights
    const [member] = await run(`select pg_has_role(current_user, $1, 'USAGE') as yes`, [roles.owner])
    if (member?.['yes'] !== true) await run(`grant ${roles.owner} to current_user`)
    await run(`grant usage, create on schema whodunit to ${roles.owner}`)
    for (const sql of await ownershipStatements(run)) await run(sql)
    for (const sql of rights) await run(sql)
    await run('release savepoint whodunit_roles')
    return []
  } catch (error) {
    await run('rollback to savepoint whodunit_roles')
    // roles are of the whole server: a migration of another database may be at them right now
    const { code } = error as { code?: unknown }
    if (code === '55P03' || code === '40P01') throw error // for another try of all of it
    if (tries > 1 && ['42710', '23505', 'XX000'].includes(String(code))) return secure(run, tries - 1)
    const why = error instanceof Error ? error.message : String(error)
    return [
      `The roles owner, writer and reader could not be made (${why}). The current role owns the trail and can alter it: run migrate as a role with CREATEROLE to part the two.`,
    ]
  }
}

/** Tables in the order in which a writer takes them: the key of the hashes, the trail, its month. */
async function ownershipStatements(run: RunSql): Promise<string[]> {
  const rows = await run(
    `(select 'alter table ' || c.oid::regclass || ' owner to ${roles.owner}' as sql from pg_class c
       where c.relnamespace = 'whodunit'::regnamespace and c.relkind in ('r', 'p', 'v') and pg_get_userbyid(c.relowner) <> '${roles.owner}'
       order by c.relname <> 'secret', c.relkind <> 'p')
     union all select 'alter sequence ' || c.oid::regclass || ' owner to ${roles.owner}' from pg_class c
       where c.relnamespace = 'whodunit'::regnamespace and c.relkind = 'S' and pg_get_userbyid(c.relowner) <> '${roles.owner}'
         and not exists (select from pg_depend d where d.objid = c.oid and d.deptype in ('a', 'i'))
     union all select 'alter function ' || p.oid::regprocedure || ' owner to ${roles.owner}' from pg_proc p
       where p.pronamespace = 'whodunit'::regnamespace and pg_get_userbyid(p.proowner) <> '${roles.owner}'`,
  )
  return rows.map((row) => String(row['sql']))
}
