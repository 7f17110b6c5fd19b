import { readFileSync } from 'node:fs'

/** One way to do the same work. */
export interface Variant {
  readonly name: string
  /** Brings everything to the same start; not measured. */
  prepare?(): Promise<unknown>
  run(): Promise<unknown>
  /** Where the variant runs on a connection of its own. @default the meter of all */
  readonly meter?: Meter
}

/** What one variant took, a number for each round, in the unit of the meter. */
export interface Measured {
  readonly name: string
  readonly rounds: readonly number[]
  readonly median: number
  readonly min: number
}

/** A running count, of nanoseconds or anything else. */
export type Meter = () => number

/** CPU time of a process in nanoseconds: steadier by far than wall time. */
export function processCpu(pid: number): Meter {
  return () => Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0])
}

/** CPU time of this process in nanoseconds, all of its threads. */
export function ownCpu(): Meter {
  return () => {
    const { user, system } = process.cpuUsage()
    return (user + system) * 1000
  }
}

/** CPU time of one thread of a process in nanoseconds. */
export function threadCpu(pid: number, thread: number): Meter {
  return () => Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0])
}

/**
 * Runs all variants in turn, in reversed order every other round, so that whatever else the machine does hits all alike.
 * The first round warms up and is not counted.
 */
export async function interleave(
  variants: readonly Variant[],
  { rounds, meter, per = 1 }: { readonly rounds: number; readonly meter: Meter; readonly per?: number },
): Promise<ReadonlyMap<string, Measured>> {
  const taken = new Map(variants.map(({ name }) => [name, [] as number[]]))
  for (let round = 0; round <= rounds; round++) {
    for (const variant of round % 2 === 0 ? variants : variants.toReversed()) {
      await variant.prepare?.()
      const count = variant.meter ?? meter
      const start = count()
      await variant.run()
      if (round > 0) taken.get(variant.name)!.push((count() - start) / per)
    }
  }
  return new Map(
    [...taken].map(([name, list]) => [
      name,
      { name, rounds: list, median: median(list), min: Math.min(...list) },
    ]),
  )
}

function median(list: readonly number[]): number {
  const sorted = list.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
