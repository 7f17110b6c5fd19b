import type { TablePlan } from '../../capture/plan.ts'
import { lineSeparator, partSeparator, restLines } from '../../core/internal.ts'
import { literal } from './quote.ts'

/** Migration tools that hold a lock in the session that migrates, by the table in which they keep their books. */
const locks: Readonly<Record<string, { readonly tool: string; readonly lock: string }>> = {
  _prisma_migrations: { tool: 'Prisma Migrate', lock: 'prisma_migrate' },
  kysely_migration: { tool: 'Kysely', lock: 'ea586330-2c93-47c8-908d-981d9d270f9d' },
}

/**
 * Gives a write without a context that of a migration, where its own session holds the lock of a tool whose books are in
 * this database. Such a lock may outlive its tool, so nothing is left unrecorded by it. Schema changes commit here, so no
 * transaction tells more.
 */
export function recogniseMigration({ books }: TablePlan): string {
  const held = books.flatMap(({ name }) => {
    const known = locks[name]
    return known ? [`when is_used_lock(${literal(known.lock)}) then ${literal(known.tool)}`] : []
  })
  if (held.length === 0) return ''
  const place = restLines.indexOf('reason')
  const ahead = partSeparator.repeat(3) + lineSeparator.repeat(place)
  const behind = restLines.slice(place + 1).map((of) => lineSeparator + (of === 'origin' ? 'migration' : ''))
  return `if ifnull(@whodunit_context, '') = '' then
    set piece = case connection_id() ${held.join(' ')} end;
    if piece is not null then
      set piece = concat('the session holds the lock of ', piece);
      set context = concat(${literal(ahead)}, piece, ${literal(behind.join('') + partSeparator.repeat(3))});
    end if;
  end if;
  `
}
