import { afterEach, expect, test, vi } from 'vitest'
import { preciseNow } from '../../src/core/clock.ts'

afterEach(() => vi.restoreAllMocks())
const inMicros = ({ at, micros }: ReturnType<typeof preciseNow>) => at.getTime() * 1_000 + micros

test('the time is that of the system, finer than a millisecond, and goes on', () => {
  const seen = Array.from({ length: 20_000 }, () => {
    const before = Date.now()
    const now = inMicros(preciseNow())
    expect(now).toBeGreaterThanOrEqual(before * 1_000)
    expect(now).toBeLessThan((Date.now() + 1) * 1_000)
    return now
  })
  expect(new Set(seen.map((micros) => micros % 1_000)).size).toBeGreaterThan(100)
})

test.each([-40, -4, 4, 40])('a clock of the process that is %d ms off is set right', (off) => {
  const real = performance.now.bind(performance)
  vi.spyOn(performance, 'now').mockImplementation(() => real() + off)
  for (let n = 0; n < 100; n++) {
    const before = Date.now()
    const now = inMicros(preciseNow())
    expect(now).toBeGreaterThanOrEqual(before * 1_000)
    expect(now).toBeLessThan((Date.now() + 1) * 1_000)
  }
})
