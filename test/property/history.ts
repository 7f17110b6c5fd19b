import fc from 'fast-check'

/**
 * Chooses among what is there at the time it is used, so that a history stays valid when it shrinks. What a database
 * refuses is part of the history as well.
 */
export type Choice = number

export interface TableShape {
  readonly key: 'number' | 'text' | 'pair' | 'none'
  readonly unique: boolean
  readonly refers: 'nowhere' | 'before' | 'self'
  readonly onDelete: 'cascade' | 'set null'
  readonly onUpdate: 'cascade' | 'set null'
  /** What only one database has: partitions, tables without row ids, ... */
  readonly kind: Choice
  readonly columns: readonly Choice[]
}

export type Write = { readonly table: Choice } & (
  | {
      readonly do: 'insert'
      readonly rows: readonly { readonly key: Choice; readonly values: readonly Choice[] }[]
      readonly conflict: Choice
    }
  | {
      readonly do: 'update'
      readonly where: Choice
      readonly set: readonly { readonly column: Choice; readonly value: Choice }[]
    }
  | { readonly do: 'move'; readonly from: Choice; readonly to: Choice; readonly all: boolean }
  | { readonly do: 'delete'; readonly where: Choice }
  | { readonly do: 'odd'; readonly statement: Choice; readonly a: Choice; readonly b: Choice }
)

export type Alter = { readonly table: Choice } & (
  | { readonly do: 'add'; readonly type: Choice; readonly filled: boolean }
  | { readonly do: 'rename' | 'drop'; readonly column: Choice }
  | { readonly do: 'retype'; readonly column: Choice; readonly type: Choice }
  | { readonly do: 'rename key' }
)

export type Step =
  | { readonly on: number; readonly do: 'begin' | 'commit' | 'rollback' }
  | { readonly on: number; readonly do: 'savepoint' | 'rollback to' | 'release' }
  | { readonly on: number; readonly write: Write }
  /** When all transactions have ended. */
  | { readonly alter: Alter; readonly migrate: boolean }
  | { readonly migrate: true }

export interface History {
  readonly tables: readonly TableShape[]
  readonly steps: readonly Step[]
}

export const connections = 4

const choice = fc.nat(255)
const tableShape: fc.Arbitrary<TableShape> = fc.record({
  key: fc.constantFrom('number', 'text', 'pair', 'none'),
  unique: fc.boolean(),
  refers: fc.constantFrom('nowhere', 'before', 'before', 'self'),
  onDelete: fc.constantFrom('cascade', 'set null'),
  onUpdate: fc.constantFrom('cascade', 'set null'),
  kind: choice,
  columns: fc.array(choice, { minLength: 1, maxLength: 5 }),
})

const kindOfWrite = <T>(what: fc.Arbitrary<T>): fc.Arbitrary<T & { table: Choice }> =>
  fc.tuple(fc.nat(2), what).map(([table, rest]) => ({ table, ...rest }))

const write: fc.Arbitrary<Write> = fc.oneof(
  {
    weight: 6,
    arbitrary: kindOfWrite(
      fc.record({
        do: fc.constant('insert' as const),
        rows: fc.array(
          fc.record({ key: fc.nat(11), values: fc.array(choice, { minLength: 1, maxLength: 6 }) }),
          { minLength: 1, maxLength: 4 },
        ),
        conflict: fc.nat(5),
      }),
    ),
  },
  {
    weight: 5,
    arbitrary: kindOfWrite(
      fc.record({
        do: fc.constant('update' as const),
        where: choice,
        set: fc.array(fc.record({ column: choice, value: choice }), { minLength: 1, maxLength: 3 }),
      }),
    ),
  },
  {
    weight: 2,
    arbitrary: kindOfWrite(
      fc.record({
        do: fc.constant('move' as const),
        from: fc.nat(11),
        to: fc.nat(11),
        all: fc.boolean(),
      }),
    ),
  },
  {
    weight: 2,
    arbitrary: kindOfWrite(fc.record({ do: fc.constant('delete' as const), where: choice })),
  },
  {
    weight: 2,
    arbitrary: kindOfWrite(
      fc.record({ do: fc.constant('odd' as const), statement: choice, a: fc.nat(11), b: fc.nat(11) }),
    ),
  },
)

const alter: fc.Arbitrary<Alter> = kindOfWrite(
  fc.oneof(
    fc.record({ do: fc.constant('add' as const), type: choice, filled: fc.boolean() }),
    fc.record({ do: fc.constantFrom('rename' as const, 'drop' as const), column: choice }),
    fc.record({ do: fc.constant('retype' as const), column: choice, type: choice }),
    fc.record({ do: fc.constant('rename key' as const) }),
  ),
)

const on = fc.nat(connections - 1)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 16, arbitrary: fc.record({ on, write }) },
  {
    weight: 6,
    arbitrary: fc.record({ on, do: fc.constantFrom('begin', 'begin', 'commit', 'commit', 'rollback') }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ on, do: fc.constantFrom('savepoint', 'savepoint', 'rollback to', 'release') }),
  },
  { weight: 2, arbitrary: fc.record({ alter, migrate: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ migrate: fc.constant(true as const) }) },
)

export const history: fc.Arbitrary<History> = fc.record({
  tables: fc.array(tableShape, { minLength: 1, maxLength: 3 }),
  steps: fc.array(step, { minLength: 1, maxLength: 60, size: 'max' }),
})
