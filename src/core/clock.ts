/** A moment with the microseconds that a `Date` has no room for, so that entries sort beside those of the database. */
export interface Instant {
  readonly at: Date
  /** Microseconds within the millisecond of `at`, 0 to 999. */
  readonly micros: number
}

let shift = 0

/**
 * The system's clock, as fine as the process can tell: what is logged before a statement is sent must sort before what
 * the database writes then, and after it what is logged after. Follows the system when its clock is set, and where the
 * process's own began with an error, as on a busy machine.
 */
export function preciseNow(): Instant {
  const before = Date.now()
  let fine = performance.timeOrigin + performance.now() + shift
  const after = Date.now()
  // no more than is certain, so that it comes to stand right from either side
  const nearest = Math.min(Math.max(fine, before), after + 0.999)
  shift += nearest - fine
  fine = nearest
  const whole = Math.floor(fine)
  return { at: new Date(whole), micros: Math.floor((fine - whole) * 1_000) }
}
