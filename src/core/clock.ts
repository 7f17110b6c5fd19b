/** A moment with the microseconds that a `Date` has no room for, so that entries sort beside those of the database. */
export interface Instant {
  readonly at: Date
  /** Microseconds within the millisecond of `at`, 0 to 999. */
  readonly micros: number
}

/** Milliseconds by which the two clocks may differ before the system's clock is taken to have been set. */
const tolerance = 5
let shift = 0

/** The system's clock, as fine as the process can tell. Follows the system when its clock is set. */
export function preciseNow(): Instant {
  const wall = Date.now()
  let fine = performance.timeOrigin + performance.now() + shift
  if (Math.abs(fine - wall) > tolerance) {
    shift += wall - fine
    fine = wall
  }
  const whole = Math.floor(fine)
  return { at: new Date(whole), micros: Math.floor((fine - whole) * 1_000) }
}
