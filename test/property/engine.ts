import type { Change, Row, TextOf } from '../capture/replay/rebuild.ts'

/** A type of columns, and values of it as SQL writes them. */
export interface ColumnType {
  readonly sql: string
  readonly values: readonly string[]
}

export interface Column {
  name: string
  type: ColumnType
  readonly role: 'key' | 'unique' | 'reference' | 'value'
  /** Whether capture knows it by its name. */
  known: boolean
}

export interface Table {
  readonly name: string
  readonly kind: number
  columns: Column[]
  /** The end of the column's declaration. */
  readonly references?: { readonly table: Table; readonly onDelete: string; readonly onUpdate: string }
}

export const keyOf = (table: Table): readonly Column[] => table.columns.filter(({ role }) => role === 'key')

export interface Alteration {
  readonly sql: readonly string[]
  /** Whether nothing can be recorded until migrate, so that it has to come at once. */
  readonly migrates: boolean
}

/** What differs between databases, as far as a history is concerned. */
export interface Engine {
  readonly types: readonly ColumnType[]
  readonly numberKey: ColumnType
  readonly textKey: ColumnType
  /** Whether values of columns are recorded that were added or renamed since migrate. */
  readonly recordsUnknown: boolean
  /** Whether a statement may cascade to a row that it changes itself, and records that behind its own change. */
  readonly cascadesToItself: boolean
  quote(name: string): string
  createTable(table: Table): string
  /** Ways to insert; `into` begins behind the word INSERT. */
  readonly inserts: readonly ((into: string, table: Table) => string)[]
  /** Statements of this database alone, with values of the first key. */
  readonly odd: readonly ((table: Table, a: string, b: string) => string)[]
  retype(table: Table, column: Column, type: ColumnType): Alteration
  /** Of a table as it is without the column. */
  drop(table: Table, column: Column): Alteration
  /** Whether rows or other sessions are the cause, and not capture. */
  isExpected(error: unknown): boolean
  readonly textOf?: TextOf
  /** The key of a row as `target_id` writes it. */
  keyText?(value: string): string
  open(tables: readonly Table[]): Promise<Place>
}

/** Tables made and audited, with connections to them. */
export interface Place {
  run(connection: number, sql: string): Promise<void>
  alter(sql: readonly string[]): Promise<void>
  migrate(): Promise<void>
  read(table: Table): Promise<Row[]>
  /** Row changes since the last call, oldest first. */
  changes(): Promise<readonly Change[]>
  close(): Promise<void>
}
