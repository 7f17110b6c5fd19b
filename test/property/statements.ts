import { type Column, type Engine, keyOf, type Table } from './engine.ts'
import type { Write } from './history.ts'
import { pick } from './schema.ts'

export function statement(engine: Engine, tables: readonly Table[], write: Write): string {
  const table = pick(tables, write.table)
  const name = engine.quote(table.name)
  if (write.do === 'odd') {
    const key = keyOf(table)[0]
    if (!key) return `delete from ${name}`
    return pick(engine.odd, write.statement)(table, keyCell(key, write.a), keyCell(key, write.b))
  }
  if (write.do === 'insert') {
    const list = table.columns.map((column) => engine.quote(column.name)).join(', ')
    const rows = write.rows.map(({ key, values }) => {
      const cells = table.columns.map((column, index) => cell(column, key, values[index % values.length]!))
      return `(${cells.join(', ')})`
    })
    return pick(engine.inserts, write.conflict)(`into ${name} (${list}) values ${rows.join(', ')}`, table)
  }
  if (write.do === 'update') {
    if (keyOf(table).length === 0) return `delete from ${name}${where(engine, table, write.where)}`
    const others = table.columns.filter(({ role }) => role !== 'key')
    const set = new Map(
      write.set.map(({ column, value }) => {
        const chosen = pick(others, column)
        return [engine.quote(chosen.name), cell(chosen, 0, value)]
      }),
    )
    const list = [...set].map(([column, value]) => `${column} = ${value}`).join(', ')
    return `update ${name} set ${list}${where(engine, table, write.where)}`
  }
  if (write.do === 'move') {
    const key = keyOf(table)[0]
    if (!key) return `delete from ${name}`
    const column = engine.quote(key.name)
    if (write.all && key.type === engine.numberKey)
      return `update ${name} set ${column} = ${column} + ${write.to - 5}${where(engine, table, write.from)}`
    return `update ${name} set ${column} = ${keyCell(key, write.to)} where ${column} = ${keyCell(key, write.from)}`
  }
  return `delete from ${name}${where(engine, table, write.where)}`
}

const keyCell = ({ type }: Column, choice: number): string => pick(type.values, choice)

function cell(column: Column, key: number, value: number): string {
  if (column.role === 'key') return pick(column.type.values, column.name === 'k 2' ? key >> 2 : key)
  // rows that refer are to be cascaded to, so most of them do
  const [nulls, values] = [column.role === 'value' ? 5 : 3, column.type.values]
  return value % nulls === 0 ? 'null' : pick(values, column.role === 'value' ? value >> 2 : value)
}

function where(engine: Engine, table: Table, choice: number): string {
  const [kind, value] = [choice % 6, choice >> 3]
  const key = keyOf(table)[0]
  if (kind === 0) return ''
  if (kind === 1 || !key) {
    const column = pick(table.columns, value)
    return ` where ${engine.quote(column.name)} is ${value % 2 ? 'not ' : ''}null`
  }
  return ` where ${engine.quote(key.name)} ${kind === 2 ? '<=' : '='} ${keyCell(key, value)}`
}
