import fc from 'fast-check'
import { expect } from 'vitest'
import type { Engine } from './engine.ts'
import { history } from './history.ts'
import { play } from './play.ts'

const runs = Number(process.env['PROPERTY_RUNS'] ?? 0)
const seed = Number(process.env['PROPERTY_SEED'] ?? 20_261_124)
const path = process.env['PROPERTY_PATH']

/** Of one property, in milliseconds: more than its runs take, and than it takes to shrink one that fails. */
export const timeout: number = 200_000 + runs * 5_000

/**
 * Plays histories until one fails, which is made smaller and printed with the seed. PROPERTY_RUNS, PROPERTY_SEED and
 * PROPERTY_PATH, as a failure prints them, make it longer, other, or the same once more.
 */
export async function holds(engine: Engine, usual: number, atOnce = false): Promise<void> {
  let played = 0
  const all = { writes: 0, refused: 0, changes: 0, alterations: 0 }
  const property = fc.asyncProperty(history, async (each) => {
    const counts = await play(engine, each, atOnce)
    for (const count of Object.keys(all) as (keyof typeof all)[]) all[count] += counts[count]
    played++
  })
  const numRuns = runs || usual
  await fc.assert(property, {
    numRuns,
    seed,
    ...(path ? { path } : {}),
    interruptAfterTimeLimit: timeout - 30_000,
    includeErrorInReport: true,
  })
  if (runs > 0 || path) console.log(`seed ${seed}, ${played} histories:`, all)
  // a history that is refused, or changes nothing, shows nothing
  if (path) return
  expect(all.changes).toBeGreaterThan(5 * played)
  expect(all.refused).toBeLessThan(2 * all.writes)
  expect(all.alterations).toBeGreaterThan(played / 2)
}
