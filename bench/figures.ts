/** One line of the result: a ratio or a size, with the goal it is held against. */
export interface Figure {
  /** Stable: guards are kept by it. */
  readonly id: string
  readonly what: string
  readonly value: number
  readonly goal?: number
  /** What peers reach in the same run, by name. */
  readonly peers?: Readonly<Record<string, number>>
}

/** What a guard lets a figure grow by. */
const slack = 1.25

export function printFigures(figures: readonly Figure[]): void {
  const rows = figures.map(({ id, what, value, goal, peers = {} }) => [
    id,
    what,
    show(value),
    goal === undefined ? '' : `${show(goal)} ${value <= goal ? 'met' : 'MISSED'}`,
    Object.entries(peers)
      .map(([name, of]) => `${name} ${show(of)}`)
      .join(', '),
  ])
  const all = [['figure', 'what', 'here', 'goal', 'others in this run'], ...rows]
  const widths = all[0]!.map((_, column) => Math.max(...all.map((row) => row[column]!.length)))
  for (const row of all) {
    console.log(row.map((cell, column) => cell.padEnd(widths[column]!)).join('  ').trimEnd()) // prettier-ignore
  }
}

function show(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(2)
}

/** The figures that grew beyond what is recorded as reached, with {@link slack}. */
export function broken(figures: readonly Figure[], reached: Readonly<Record<string, number>>): string[] {
  return figures.flatMap(({ id, value }) => {
    const limit = reached[id] === undefined ? Infinity : reached[id] * slack
    return value > limit ? [`${id} is ${show(value)}, more than ${show(limit)}`] : []
  })
}
