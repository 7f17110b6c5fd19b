import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { NewEntry } from '../../src/core/entry.ts'
import { AuditError } from '../../src/core/errors.ts'
import { createQueue, type Queue } from '../../src/core/queue.ts'

const entry = (ref: string): NewEntry => ({
  ref,
  at: new Date(),
  kind: 'event',
  action: 'x',
  context: { actor: '', request: '', tenant: '', rest: '' },
})

function withStore(
  write: (refs: string[]) => Promise<void> | void,
  capacity = 100,
): { queue: Queue; stored: string[]; errors: unknown[] } {
  const stored: string[] = []
  const errors: unknown[] = []
  const queue = createQueue({
    capacity,
    delay: 5,
    onError: (error) => errors.push(error),
    write: async (entries) => {
      const refs = entries.map(({ ref }) => ref)
      await write(refs)
      stored.push(...refs)
    },
  })
  return { queue, stored, errors }
}

describe('the queue', () => {
  it('stores entries in order, in batches, soon [I6]', async () => {
    const batches: number[] = []
    const { queue, stored } = withStore((refs) => void batches.push(refs.length))
    const refs = Array.from({ length: 60 }, (_, index) => String(index))
    await Promise.all(refs.map((ref) => queue.add(entry(ref))))
    expect(stored).toEqual(refs)
    expect(batches.length).toBeLessThan(5)
  })

  it('flushes nothing without harm [I6]', async () => {
    const { queue } = withStore(() => {})
    await queue.flush()
    await queue.close()
  })

  it('keeps entries while the store is down and stores them once it is back', async () => {
    let down = true
    const { queue, stored, errors } = withStore(() => {
      if (down) throw new Error('down')
    })
    const first = queue.add(entry('a'))
    await sleep(30)
    down = false
    await first
    expect(stored).toEqual(['a'])
    expect(errors).toHaveLength(1)
    expect(queue.counters()).toEqual({ queued: 0, stored: 1, failed: 1, dropped: 0 })
  })

  it('drops and counts what exceeds its capacity, and says so', async () => {
    const { queue, errors } = withStore(() => sleep(20).then(() => {}), 2)
    const results = await Promise.allSettled(['a', 'b', 'c'].map((ref) => queue.add(entry(ref))))
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected'])
    expect(queue.counters().dropped).toBe(1)
    expect((errors[0] as AuditError).code).toBe('AUDIT_WRITE_OVERFLOW')
  })

  it('loses only the entry that the store refuses, not its batch', async () => {
    const { queue, stored } = withStore((refs) => {
      if (refs.includes('bad')) throw new AuditError('AUDIT_ENTRY_INVALID', 'refused', '')
    })
    const results = await Promise.allSettled(['a', 'bad', 'b'].map((ref) => queue.add(entry(ref))))
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(stored).toEqual(['a', 'b'])
  })

  it('ends a flush although the store stays down, and a reporter that throws changes nothing [D9]', async () => {
    const queue = createQueue({
      capacity: 10,
      delay: 1,
      onError: () => {
        throw new Error('reporter')
      },
      write: () => Promise.reject(new Error('down')),
    })
    const lost = queue.add(entry('a'))
    lost.catch(() => {})
    await queue.flush()
    await expect(lost).rejects.toMatchObject({ code: 'AUDIT_WRITE_FAILED' })
  })

  it('takes nothing after close', async () => {
    const { queue, stored } = withStore(() => {})
    const before = queue.add(entry('a'))
    await queue.close()
    await before
    expect(stored).toEqual(['a'])
    await expect(queue.add(entry('b'))).rejects.toMatchObject({ code: 'AUDIT_CLOSED' })
  })
})
