import type { Captured, Dialect, Session } from '../dialect/dialect.ts'

/** All capture that stands in the database, also of tables that no policy names any more. */
export async function standingCapture({ run }: Session, { capture }: Dialect): Promise<Captured[]> {
  const rows = await run(capture.all.sql, capture.all.parameters)
  return rows.map(({ schema, name, capture: kept }) => ({
    schema: String(schema),
    name: String(name),
    ...(typeof kept === 'string' ? { installed: { name: kept } } : {}),
  }))
}
