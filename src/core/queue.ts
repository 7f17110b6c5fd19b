import type { NewEntry } from './entry.ts'
import { AuditError, isAuditError } from './errors.ts'

export interface QueueOptions {
  readonly write: (entries: readonly NewEntry[]) => Promise<void>
  readonly onError: (error: unknown) => void
  /** Most entries that wait in memory; one more is dropped and counted. */
  readonly capacity: number
  /** Most milliseconds an entry waits before its batch is sent. */
  readonly delay: number
}

/** What the queue has done since the start. `dropped` entries are lost: the queue was full, or the store refused them. */
export interface QueueCounters {
  readonly queued: number
  readonly stored: number
  readonly failed: number
  readonly dropped: number
}

export interface Queue {
  /**
   * Takes an entry. The promise settles when it is stored or finally refused; nobody has to wait for it. `awaited` says
   * that somebody does: the entry is then given up after a few tries, not kept for better times.
   */
  add(entry: NewEntry, awaited?: boolean): Promise<void>
  /** Resolves when everything taken so far is stored or refused. Never rejects. */
  flush(): Promise<void>
  counters(): QueueCounters
  /** Flushes and takes no more. */
  close(): Promise<void>
}

/** Entries a batch holds at most: one statement of some hundred kilobytes. */
const batchSize = 250
/** Waits between tries while the store is out of reach, in milliseconds; the last one repeats until `capacity` overflows. */
const retryDelays = [100, 500, 2_000, 5_000]
/** Tries of a flush, a close or an awaited entry before what waits is given up. */
const finalTries = 3

interface Waiting {
  readonly entry: NewEntry
  readonly awaited: boolean
  tries: number
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/**
 * The queue of entries that the library writes itself. Guarantees order, bounded memory, and that a store that is slow
 * or down never holds up the application. A killed process loses what is not stored yet: `delay` milliseconds at most
 * while the store works.
 */
export function createQueue(options: QueueOptions): Queue {
  let waiting: Waiting[] = []
  let running: Promise<void> | undefined
  let timer: NodeJS.Timeout | undefined
  let wake: (() => void) | undefined
  let hurry = 0
  let closed = false
  const counts = { stored: 0, failed: 0, dropped: 0 }

  const start = (): void => {
    timer = undefined
    running ??= drain().finally(() => {
      running = undefined
      if (waiting.length > 0) schedule()
    })
  }
  const schedule = (): void => {
    if (running || timer) return
    timer = setTimeout(start, options.delay) // a process that ends by itself waits for it
  }

  async function drain(): Promise<void> {
    let tries = 0
    while (waiting.length > 0) {
      const batch = waiting.slice(0, batchSize)
      try {
        await options.write(batch.map((item) => item.entry))
        settle(batch)
        tries = 0
      } catch (error) {
        report(error)
        tries++
        if (isAuditError(error, 'AUDIT_ENTRY_INVALID')) await writeEach(batch)
        else if (hurry > 0 && tries >= finalTries) refuse(waiting.slice(), error)
        else if (batch.some((item) => ++item.tries >= finalTries && item.awaited)) {
          refuse(
            batch.filter((item) => item.awaited && item.tries >= finalTries),
            error,
          )
        } else await pause(retryDelays[Math.min(tries, retryDelays.length) - 1]!)
      }
    }
  }

  // One entry that the store refuses must not take its batch with it
  async function writeEach(batch: readonly Waiting[]): Promise<void> {
    for (const item of batch) {
      try {
        await options.write([item.entry])
        settle([item])
      } catch (error) {
        if (!isAuditError(error, 'AUDIT_ENTRY_INVALID')) return
        report(error)
        refuse([item], error)
      }
    }
  }

  function settle(items: readonly Waiting[]): void {
    remove(items)
    counts.stored += items.length
    for (const item of items) item.resolve()
  }
  function refuse(items: readonly Waiting[], cause: unknown): void {
    remove(items)
    counts.dropped += items.length
    for (const item of items) {
      const what = `The entry ${item.entry.action} (${item.entry.ref}) was not stored.`
      item.reject(new AuditError('AUDIT_WRITE_FAILED', what, 'See the cause; the entry is lost.', { cause }))
    }
  }
  function remove(items: readonly Waiting[]): void {
    const gone = new Set(items)
    waiting = waiting.filter((item) => !gone.has(item))
  }
  function drop(error: AuditError): Promise<never> {
    counts.dropped++
    tell(error)
    return Promise.reject(error)
  }
  function report(error: unknown): void {
    counts.failed++
    tell(error)
  }
  function tell(error: unknown): void {
    try {
      options.onError(error)
    } catch {
      // a reporter that throws must not stop the queue
    }
  }
  function pause(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const sleep = setTimeout(resolve, hurry > 0 ? Math.min(milliseconds, 200) : milliseconds)
      // a store that is down does not keep a process alive for ever, unless somebody waits
      if (hurry === 0 && !waiting.some((item) => item.awaited)) sleep.unref()
      wake = () => {
        clearTimeout(sleep)
        resolve()
      }
    })
  }
  async function flush(): Promise<void> {
    hurry++
    try {
      const last = waiting.at(-1)
      wake?.()
      while (last && waiting.includes(last)) {
        clearTimeout(timer)
        start()
        await running
      }
    } finally {
      hurry--
    }
  }

  return {
    add(entry, awaited = false) {
      if (closed) {
        return drop(
          new AuditError(
            'AUDIT_CLOSED',
            `The entry ${entry.action} came after close().`,
            'Log before close().',
          ),
        )
      }
      if (waiting.length >= options.capacity) {
        const what = `${options.capacity} entries wait already; ${entry.action} was dropped.`
        return drop(
          new AuditError(
            'AUDIT_WRITE_OVERFLOW',
            what,
            'The store is down or too slow: see the earlier errors, or raise maxQueue.',
          ),
        )
      }
      const stored = new Promise<void>((resolve, reject) =>
        waiting.push({ entry, awaited, tries: 0, resolve, reject }),
      )
      if (awaited || waiting.length >= batchSize) start()
      else schedule()
      return stored
    },
    flush,
    counters: () => ({ queued: waiting.length, ...counts }),
    async close() {
      closed = true
      await flush()
    },
  }
}
