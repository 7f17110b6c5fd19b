/** What a dialect reads of a database before it plans capture. */
export interface Catalogue {
  /** The schema whose tables need no prefix in `model`. */
  readonly defaultSchema: string
  /** What holds for the database as it is now, and somebody has to know, a sentence each. */
  readonly notes?: readonly string[]
  readonly tables: readonly CatalogueTable[]
}

export interface CatalogueTable {
  readonly schema: string
  readonly name: string
  /** The table's name in the trail and in the policy: `name`, or `schema.name` outside the default schema. */
  readonly model: string
  /** The columns of the primary key, or of the unique key that stands in for it; empty without one. */
  readonly key: readonly string[]
  readonly columns: readonly CatalogueColumn[]
  /** Bookkeeping of a migration tool: never audited. */
  readonly bookkeeping: boolean
  /** A partition: captured, and reported, through its parent. */
  readonly partition: boolean
  /** Where a database numbers its columns for good: the highest number ever given, of dropped columns too. */
  readonly lastColumn?: number
  /** Whether rows are in other tables, its partitions, which number their columns by themselves. */
  readonly partitioned?: boolean
  /** Whether no trigger can see that the table is emptied as a whole. */
  readonly hidesTruncate?: boolean
  /** Why capture by statement would not be safe here. */
  readonly notInBulk?: string
  /** Capture as it stands in the database; `null` where there is none. */
  readonly installed: InstalledCapture | null
  /** The name for its capture to be kept under, where it cannot always be that of the table. */
  readonly capture?: string
  /** The keys by which an INSERT may replace rows, where the database does not say so by itself. */
  readonly unique?: {
    readonly keys: readonly UniqueKey[]
    /** Without being told to. */ readonly replace: boolean
  }
  /** Foreign keys to this table whose actions fire no triggers on the table that refers; absent where all of them do. */
  readonly cascades?: readonly Cascade[]
  /** What capture of this table cannot do for reasons of its own, as the end of a sentence: `is not transactional: ...`. */
  readonly limit?: string
}

/** What a foreign key does to the rows that refer. */
export type CascadeAction = 'cascade' | 'set null'

/** A foreign key whose action the database runs by itself, without the triggers of the table that it changes. */
export interface Cascade {
  /** The model of the table that refers. */
  readonly model: string
  readonly columns: readonly string[]
  /** The columns of this table that they refer to, in the same order. */
  readonly references: readonly string[]
  readonly onDelete: CascadeAction | null
  readonly onUpdate: CascadeAction | null
}

export type UniqueKey = readonly { readonly name: string; readonly collation: string }[]

export interface InstalledCapture {
  /** The name under which the database keeps the text: a renamed table still has that of its old name. */
  readonly name: string
  /** The trigger's text, to compare with the text that the policy asks for. */
  readonly text: string
  readonly enabled: boolean
  /** What it leaves out although it is enabled, as the end of a sentence: to enable it again brings it back. */
  readonly leavesOut?: string
}

/**
 * How a value is turned into JSON: `native` values are JSON themselves (boolean, 32-bit integer, float), `text` is text
 * already, `json` may hold secrets inside, and so may `nested` (records, lists of JSON), everything else is recorded as its
 * exact `other` text.
 */
export type ColumnForm = 'native' | 'text' | 'json' | 'nested' | 'other'

export interface CatalogueColumn {
  readonly name: string
  /** The database's own name of the type. */
  readonly type: string
  /** Its name as an expression may have it, where it is one that the database brings: a trigger can tell it from others. */
  readonly builtIn?: string
  readonly form: ColumnForm
  /** Whether the type's `=` tells every two different values apart; else stored images are compared. */
  readonly exactEquality: boolean
  /** Whether values can be longer than the policy allows. */
  readonly unbounded: boolean
  /** Whether values print the same whatever the settings of the session. @default false */
  readonly settled?: boolean
  /** Computed when read, so that a trigger cannot see it. */
  readonly virtual: boolean
}
