import type { PlannedColumn, TablePlan } from '../../capture/plan.ts'
import { literal } from './quote.ts'

/** Settings that change how values print, and the types whose values they change. Each costs a little with every row. */
export const settings: readonly (readonly [types: RegExp, setting: string, value: string])[] = [
  [/^(date|timestamp)/, 'DateStyle', 'ISO, YMD'],
  [/^(timestamp|time) .*with time zone/, 'TimeZone', 'UTC'],
  [/^interval/, 'IntervalStyle', 'postgres'],
  [/^bytea/, 'bytea_output', 'hex'],
  [/^(real|double precision)/, 'extra_float_digits', '1'],
  [/^xml/, 'xmloption', 'content'],
  [/^money/, 'lc_monetary', 'C'],
  [/^reg/, 'quote_all_identifiers', 'off'],
]

/** Of values that may be made of anything, every setting but the rare ones. */
const inDoubt = 6

/** All that decide how any value prints, for the functions that do not know beforehand which there will be. */
export const everySetting: string = settings
  .map(([, setting, value]) => `set ${setting} = ${literal(value)}`)
  .join(' ')

/** Keeps foreign operators and functions out. */
export const pinnedPath = 'set search_path = pg_catalog, pg_temp'

/** The settings that the columns of a table need, or all of them. */
export function pinned(plan: TablePlan, all: boolean): string[] {
  const unsettled = plan.columns.filter(({ settled, virtual }) => !settled && !virtual)
  const known = ({ type }: PlannedColumn): boolean =>
    settings.some(([types]) => types.test(type)) && !type.endsWith('[]')
  const needed = settings.filter(
    ([types], index) =>
      all ||
      unsettled.some(({ type }) => types.test(type)) ||
      (index < inDoubt && unsettled.some((column) => !known(column))),
  )
  return [pinnedPath, ...needed.map(([, setting, value]) => `set ${setting} = ${literal(value)}`)]
}
