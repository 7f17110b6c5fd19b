import { toDate } from '../core/query.ts'
import type { AuditSummary, SummaryCount } from '../index.ts'
import { usage } from './failure.ts'
import { oneLine } from '../core/text.ts'
import { entryJson } from './print.ts'
import { type Paint, paintFor, stdout, widthOf } from './output.ts'
import { type GlobalOptions, withSession } from './session.ts'

export interface SummaryCommand extends GlobalOptions {
  readonly days?: number
  readonly since?: string
  readonly actor?: string
  readonly model?: string
  readonly tenant?: string
}

/** Counts of the trail over a time. */
export async function summary(options: SummaryCommand): Promise<number> {
  const { days, since, actor, model, tenant } = options
  if (days !== undefined && since !== undefined)
    throw usage('--days and --since were both given.', 'Give one of the two.')
  if (since !== undefined) toDate('since', since, new Date())
  const result = await withSession(options, ({ audit }) =>
    audit.getAuditSummary({
      ...(days === undefined ? {} : { days }),
      ...(since === undefined ? {} : { since }),
      ...(actor === undefined ? {} : { actor }),
      ...(model === undefined ? {} : { model }),
      ...(tenant === undefined ? {} : { tenant }),
    }),
  )
  if (options.json) await stdout.write(`${entryJson(result, 2)}\n`)
  else
    await stdout.write(
      `${summaryLines(result, widthOf(process.stdout), paintFor(process.stdout)).join('\n')}\n`,
    )
  return 0
}

const titleWidth = 10

export function summaryLines(counted: AuditSummary, width: number, paint: Paint): string[] {
  const { logins } = counted
  const kinds = Object.entries(counted.byKind)
    .map(([name, count]) => ({ name, count }))
    .filter(({ count }) => count > 0)
  const rows: [string, string][] = [
    ['entries', `${number(counted.total)} from ${minute(counted.since)} to ${minute(counted.until)} UTC`],
    ['kinds', counts(kinds, width)],
    ['actions', counts(counted.byAction, width)],
    ['models', counts(counted.byModel, width)],
    ['actors', counts(counted.byActor, width)],
    [
      'sign-ins',
      `${number(logins.success)} succeeded, ${number(logins.failed)} failed, ${number(logins.blocked)} blocked`,
    ],
    ['exports', number(counted.exports)],
    ['errors', `${number(counted.errors)}, unresolved system events ${number(counted.unresolved)}`],
  ]
  return rows.map(([title, text]) => `${paint('bold', title.padEnd(titleWidth))}${text}`)
}

/** As many groups as the line holds, the largest first, and how many are left. */
function counts(groups: readonly SummaryCount[], width: number): string {
  const texts = groups.map(({ name, count }) => `${oneLine(name, 40)} ${number(count)}`)
  let line = texts[0] ?? 'none'
  for (const [index, text] of texts.entries()) {
    if (index === 0) continue
    if (titleWidth + line.length + text.length + 16 > width)
      return `${line}, and ${texts.length - index} more`
    line += `, ${text}`
  }
  return line
}

function number(value: number): string {
  return value.toLocaleString('en-US')
}

function minute(date: Date): string {
  return date.toISOString().slice(0, 16).replace('T', ' ')
}
