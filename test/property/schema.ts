import { type Alteration, type Column, type ColumnType, type Engine, keyOf, type Table } from './engine.ts'
import type { Alter, History, TableShape } from './history.ts'

/** Odd enough to need quotes everywhere. */
const tableNames = ['t0', 'T "1" `x`', "sel'ect $$ 2"]

export function tablesOf(engine: Engine, { tables: shapes }: History): readonly Table[] {
  const tables: Table[] = []
  for (const [index, shape] of shapes.entries()) tables.push(tableOf(engine, shape, index, tables[index - 1]))
  return tables
}

function tableOf(engine: Engine, shape: TableShape, index: number, before: Table | undefined): Table {
  const column = (name: string, type: ColumnType, role: Column['role']): Column => ({
    name,
    type,
    role,
    known: true,
  })
  const keys = {
    number: [column('k', engine.numberKey, 'key')],
    text: [column('k', engine.textKey, 'key')],
    pair: [column('k', engine.numberKey, 'key'), column('k 2', engine.textKey, 'key')],
    none: [],
  }[shape.key]
  const table: Table = { name: tableNames[index]!, kind: shape.kind, columns: [...keys] }
  const target = shape.refers === 'self' ? table : shape.refers === 'before' ? before : undefined
  const referred = target && keyOf(target)
  // without a key, an entry does not say which of several rows was updated, so none is: neither by a cascade
  const refers = referred?.length === 1 && keys.length > 0
  const limited = target === table && !engine.cascadesToItself
  const values = shape.columns.map((type, n) => column(`c${n}`, pick(engine.types, type), 'value'))
  table.columns.push(
    ...(shape.unique && !limited ? [column('u', engine.numberKey, 'unique')] : []),
    ...(refers ? [column('ref', referred[0]!.type, 'reference')] : []),
    ...values,
  )
  if (!refers) return table
  const onUpdate = limited ? 'no action' : shape.onUpdate
  return { ...table, references: { table: target!, onDelete: shape.onDelete, onUpdate } }
}

export const pick = <T>(from: readonly T[], choice: number): T => from[choice % from.length]!

export interface Change extends Alteration {
  /** Once the database has done it. */
  done(): void
}

/** What a change of a schema is, undefined where there is nothing that it could change. */
export function alteration(
  engine: Engine,
  tables: readonly Table[],
  alter: Alter,
  next: number,
): Change | undefined {
  const table = pick(tables, alter.table)
  const at = `alter table ${engine.quote(table.name)}`
  const values = table.columns.filter(({ role }) => role === 'value')
  if (alter.do === 'add') {
    const type = pick(engine.types, alter.type)
    const added: Column = { name: `added ${next}`, type, role: 'value', known: engine.recordsUnknown }
    const filled = alter.filled ? ` default ${type.values[0]}` : ''
    return {
      sql: [`${at} add column ${engine.quote(added.name)} ${type.sql}${filled}`],
      migrates: false,
      done: () => table.columns.push(added),
    }
  }
  const column = alter.do === 'rename key' ? keyOf(table)[0] : values.length > 1 ? pick(values, alter.column) : undefined // prettier-ignore
  if (!column) return undefined
  if (alter.do === 'rename' || alter.do === 'rename key') {
    const renamed = `renamed ${next}`
    return {
      sql: [`${at} rename column ${engine.quote(column.name)} to ${engine.quote(renamed)}`],
      // a key that is not known by its name says nothing of its rows
      migrates: alter.do === 'rename key' && !engine.recordsUnknown,
      done: () => Object.assign(column, { name: renamed, known: engine.recordsUnknown }),
    }
  }
  if (alter.do === 'drop') {
    const rest = { ...table, columns: table.columns.filter((one) => one !== column) }
    return { ...engine.drop(rest, column), done: () => (table.columns = rest.columns) }
  }
  const type = pick(engine.types, alter.do === 'retype' ? alter.type : 0)
  return { ...engine.retype(table, column, type), done: () => (column.type = type) }
}
