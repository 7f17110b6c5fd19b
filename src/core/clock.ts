/** A moment with the microseconds that a `Date` has no room for, so that entries sort beside those of the database. */
export interface Instant {
  readonly at: Date
  /** Microseconds within the millisecond of `at`, 0 to 999. */
  readonly micros: number
}

let origin = performance.timeOrigin

/** The system's clock, as fine as the process can tell. Follows the system when its clock is set. */
export function preciseNow(): Instant {
  const wall = Date.now()
  let fine = origin + performance.now()
  if (fine < wall || fine >= wall + 1) {
    origin += wall + 0.5 - fine // the two clocks drift apart; within the millisecond, the finer one is the guess
    fine = wall + 0.5
  }
  return { at: new Date(wall), micros: Math.min(999, Math.floor((fine - wall) * 1_000)) }
}
