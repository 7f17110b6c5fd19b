import type { Dialect, RunSql } from '../dialect/dialect.ts'

/** `null` for each value where the database cannot hash. */
export async function hashValues(
  { trail }: Dialect,
  run: RunSql,
  values: readonly string[],
): Promise<readonly (string | null)[]> {
  if (values.length === 0 || !trail.hash) return values.map(() => null)
  const { sql, parameters } = trail.hash(values)
  return (await run(sql, parameters)).map((row) => String(row['hash']))
}
