import { existsSync } from 'node:fs'
import { join } from 'node:path'

const extensions = ['ts', 'mts', 'cts', 'js', 'mjs', 'cjs', 'json']
const named = (name: string): string[] => extensions.map((extension) => `${name}.${extension}`)

/** Tools that make a database like their schema, and drop or complain of what is not in it. */
const tools: readonly {
  readonly files: readonly string[]
  hint(tables: readonly string[]): string
}[] = [
  {
    files: named('drizzle.config'),
    hint: (tables) =>
      `drizzle-kit push and pull: keep them from the trail by tablesFilter: ['!${prefixOf(tables)}*'] in drizzle.config`,
  },
  {
    files: ['prisma/schema.prisma', 'schema.prisma', ...named('prisma.config'), ...named('.config/prisma')],
    hint: (tables) =>
      `prisma migrate dev and db push: keep them from the trail by experimental: { externalTables: true }, tables: { external: [${tables
        .map((table) => `'${table}'`)
        .join(', ')}] } in prisma.config`,
  },
]

/**
 * What to tell the schema tools that a folder has configurations of. Nothing where the trail's tables have a schema to
 * themselves, which these tools do not look into unless they are told to.
 */
export function filterHints(folder: string, trailTables: readonly string[]): string[] {
  if (trailTables.length === 0) return []
  return tools
    .filter(({ files }) => files.some((file) => existsSync(join(folder, file))))
    .map(({ hint }) => hint(trailTables))
}

function prefixOf([first = '', ...rest]: readonly string[]): string {
  let length = first.length
  for (const name of rest) while (!name.startsWith(first.slice(0, length))) length--
  return first.slice(0, length)
}
