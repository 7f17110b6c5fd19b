import { fingerprintOf } from '../store/fingerprint.ts'
import { unrecordedSentence } from '../store/unrecorded.ts'
import type { TableState } from '../index.ts'
import { entryJson } from './print.ts'
import { note, paintFor, stdout } from './output.ts'
import { type GlobalOptions, withSession } from './session.ts'

const styles = { audited: 'green', skipped: 'dim', drifted: 'yellow', missing: 'red', off: 'red' } as const

/**
 * What each table's capture is like, as the database itself says. Answers 1 where something is not as the policy wants
 * it: a table drifted, missing or off, changes that went unrecorded, a configuration that was changed since migrate, or no
 * trail at all.
 */
export async function status(options: GlobalOptions): Promise<number> {
  const report = await withSession(options, async ({ audit, found }) => {
    const { queue: _, ...state } = await audit.status()
    // status() judges by the policy that is stored; whether the file still is that policy is for us to see
    const policyChanged =
      found !== undefined && state.fingerprint !== null && state.fingerprint !== fingerprintOf(audit.policy)
    return { ...state, policyChanged }
  })
  const { installed, version, fingerprint, tables, unrecorded, warnings, policyChanged } = report
  const wrong = tables.filter(({ state }) => state !== 'audited' && state !== 'skipped')
  const exit = !installed || policyChanged || wrong.length > 0 || unrecorded.length > 0 ? 1 : 0
  if (options.json) {
    await stdout.write(`${entryJson(report, 2)}\n`)
    return exit
  }
  const paint = paintFor(process.stdout)
  await stdout.write(
    installed ? `trail     version ${version}\n` : `${paint('red', 'There is no trail yet: run migrate.')}\n`,
  )
  if (fingerprint) await stdout.write(`policy    ${fingerprint.slice(0, 12)}\n`)
  if (policyChanged)
    await stdout.write(`${paint('yellow', 'The configuration was changed since migrate: run migrate.')}\n`)
  const widest = Math.min(40, Math.max(0, ...tables.map(({ model }) => model.length)))
  for (const { model, state, note: why } of tables) {
    await stdout.write(
      `${paint(styles[state], state.padEnd(8))}  ${why ? `${model.padEnd(widest)}  ${why}` : model}\n`,
    )
  }
  for (const item of unrecorded)
    await stdout.write(`${paint('red', 'lost'.padEnd(8))}  ${unrecordedSentence(item)}\n`)
  await stdout.write(`${totals(tables.map(({ state }) => state))}\n`)
  const said = new Set([
    ...tables.map(({ model, note: why }) => `${model} ${why}`),
    ...unrecorded.map(unrecordedSentence),
  ])
  for (const warning of warnings) if (!said.has(warning)) note(`warning: ${warning}`)
  return exit
}

function totals(states: readonly TableState[]): string {
  const counts = (Object.keys(styles) as TableState[]).map(
    (state) => [state, states.filter((item) => item === state).length] as const,
  )
  const there = counts.filter(([, number]) => number > 0).map(([state, number]) => `${number} ${state}`)
  return there.length > 0 ? there.join(', ') : 'no tables'
}
