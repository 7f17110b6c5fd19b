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
    // by name: a pattern would match the trail's views too, on which drizzle-kit 0.31 then breaks off
    hint: (tables) =>
      `drizzle-kit push drops the trail's tables unless drizzle.config has tablesFilter: [${quoted(tables, '!')}]`,
  },
  {
    files: ['prisma/schema.prisma', 'schema.prisma', ...named('prisma.config'), ...named('.config/prisma')],
    hint: (tables) =>
      `prisma migrate dev and db push take the trail's tables for drift unless prisma.config has experimental: { externalTables: true }, tables: { external: [${quoted(tables)}] }`,
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

function quoted(names: readonly string[], sign = ''): string {
  return names.map((name) => `'${sign}${name}'`).join(', ')
}
