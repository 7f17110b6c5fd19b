// Shows a sample of the trail in the terminal: of each theme a few, in the order they happened.

import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { styleText } from 'node:util'
import type { Audit, AuditEntry } from 'whodunit'
import type { Client } from './database.ts'

type Style = Parameters<typeof styleText>[0]

/** What is worth a look, and how many entries that are alike. */
const themes = [
  [{ model: 'customer', kind: 'change' }, 2],
  [{ model: 'payment_card' }, 2],
  [{ model: 'users' }, 2],
  [{ model: 'invoice' }, 2],
  [{ model: 'refund' }, 1],
  [{ model: 'playlist' }, 1],
  [{ model: 'playlist_track' }, 1],
  [{ model: 'track' }, 2],
  [{ actor: { type: 'job', id: 'nightly' } }, 2],
  [{ kind: 'login' }, 2],
  [{ kind: 'event' }, 2],
  [{ kind: 'export' }, 2],
  [{ kind: 'system' }, 2],
  [{ kind: 'request' }, 2],
] as const

export async function printTrail(audit: Audit<Client>, since: Date): Promise<void> {
  const sample = new Map<string, AuditEntry>()
  for (const [filter, most] of themes) {
    const { entries } = await audit.entries.find({ ...filter, since }, { limit: 200 })
    for (const alike of Map.groupBy(entries, likeness).values()) {
      for (const entry of alike.slice(0, most)) sample.set(entry.id, entry)
    }
  }
  console.log(paint('bold', '\nFrom the trail\n'))
  const ordered = [...sample.values()].toSorted((a, b) => a.at.getTime() - b.at.getTime())
  for (const entry of ordered) console.log(describe(entry).join('\n'))
  const summary = await audit.getAuditSummary({ days: 1 })
  console.log(paint('bold', '\nThe last day in numbers\n'))
  for (const [title, value] of Object.entries(summary)) {
    const line = typeof value === 'number' ? String(value) : counts(value)
    if (line) console.log(`${title.padEnd(12)} ${line}`)
  }
}

/** The exact commands to read on, from the folder one is in. */
export function printHints({ serving, locked }: { serving: boolean; locked: boolean }): void {
  const config = relative(process.cwd(), fileURLToPath(new URL('./whodunit.config.ts', import.meta.url)))
  const flag = config === 'whodunit.config.ts' ? '' : ` --config ${config}`
  const first = serving && locked ? ' (after Ctrl+C: PGlite lets one process in at a time)' : ''
  console.log(paint('bold', '\nRead on') + first + '\n')
  for (const command of ['log', 'log customer/5', 'summary']) console.log(`  npx whodunit ${command}${flag}`)
}

/** Who, what, to what; then each changed column; then from where and why. */
function describe(entry: AuditEntry): string[] {
  const { actor, target, request } = entry
  const time = entry.at.toISOString().slice(11, 23)
  const who = actor ? (actor.label ?? [actor.type, actor.id].filter(Boolean).join(' ')) : 'unknown'
  const what = target ? [target.model, target.id].filter((part) => part != null).join('/') : ''
  const lines = [
    [
      paint('dim', time),
      paint('cyan', plain(who).padEnd(24)),
      paint(colourOf(entry), plain(entry.action).padEnd(10)),
      plain(what),
      paint('bold', plain(target?.label ?? '')),
    ].join('  '),
  ]
  const indent = ' '.repeat(14)
  for (const [column, [before, after]] of Object.entries(entry.changes ?? {})) {
    if (before == null && after == null) continue
    lines.push(`${indent}${plain(column)}: ${paint('red', shown(before))} -> ${paint('green', shown(after))}`)
  }
  const details = entry.kind === 'change' ? '' : scalars(entry.details)
  if (details) lines.push(indent + details)
  const from = request ? `from ${request.ip ?? '?'} ${request.method ?? ''} ${request.path ?? ''}` : ''
  const why = entry.reason ? `because "${entry.reason}"` : ''
  const tail = [from, why].filter(Boolean).join(', ')
  if (tail) lines.push(indent + paint('dim', plain(tail)))
  return lines
}

/** Two entries of the same action, or of sign-ins with the same outcome, are alike. */
function likeness({ action, details }: AuditEntry): string {
  return 'status' in details && typeof details.status === 'string' ? `${action} ${details.status}` : action
}

function colourOf(entry: AuditEntry): Style {
  if (entry.kind === 'system' || entry.action === 'DELETE') return 'red'
  if (entry.kind === 'change') return entry.action === 'CREATE' ? 'green' : 'yellow'
  return 'magenta'
}

/** A value of a change; an object is a mark of the trail's own, such as `{"$":"masked"}`. */
function shown(value: unknown): string {
  if (value == null) return 'nothing'
  if (value instanceof Date) return value.toISOString()
  if (typeof value === 'object' && '$' in value) return `[${plain(String(value.$))}]`
  const text = plain(
    typeof value === 'string' || typeof value === 'bigint' ? String(value) : JSON.stringify(value),
  )
  return text.length > 60 ? `${text.slice(0, 59)}…` : text
}

/** The plain values among an entry's details, on one line. */
function scalars(details: unknown): string {
  if (typeof details !== 'object' || details === null) return ''
  const pairs = Object.entries(details).filter(([, value]) =>
    ['string', 'number', 'boolean'].includes(typeof value),
  )
  return pairs.map(([name, value]) => `${plain(name)} ${shown(value)}`).join(', ')
}

/** Counts by name, the largest first; whatever else a summary holds is left out. */
function counts(value: unknown): string {
  if (typeof value !== 'object' || value === null) return ''
  const pairs = Array.isArray(value) ? value.map(({ name, count }) => [name, count]) : Object.entries(value)
  return pairs
    .filter((pair): pair is [string, number] => typeof pair[1] === 'number' && pair[1] > 0)
    .toSorted((a, b) => b[1] - a[1])
    .slice(0, 6)
    .map(([name, count]) => `${plain(name)} ${count}`)
    .join(', ')
}

/** A stranger wrote some of these texts: none may steer the terminal. */
function plain(text: string): string {
  return text.replace(/\p{Cc}/gu, '·')
}

function paint(style: Style, text: string): string {
  return text === '' ? text : styleText(style, text)
}
