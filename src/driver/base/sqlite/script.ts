import { emptyRow, fillRow, partsOf } from './carrier.ts'
import { splitStatements, statementKind } from './statement.ts'

/**
 * A text of several statements with those in it that fill and empty the row of the context. What writes outside of a
 * transaction gets one of its own. `inside`: the text runs in an open transaction.
 */
export function scriptWithContext(text: string, context: string, inside = false): string {
  const values = [...partsOf(context), null].map(literal)
  const fill = fillRow.replaceAll('?', () => values.shift()!)
  let open = inside
  let known = false
  let bySavepoint = false
  return splitStatements(text)
    .map((statement): string => {
      const sql = statement.replace(/[\s;]*$/, '\n') // a comment may stand at its end
      const kind = statementKind(statement)
      if (kind === 'write') {
        if (!open) return `begin immediate; ${fill}; ${sql}; ${emptyRow}; commit`
        const before = known ? '' : `${fill}; `
        known = true
        return before + sql
      }
      if (kind === 'savepoint' && !open) bySavepoint = true
      if (kind === 'begin' || kind === 'savepoint') open = true
      const mayCommit = kind === 'commit' || (kind === 'release' && bySavepoint)
      if (mayCommit || kind === 'rollback' || kind === 'rollback to' || kind === 'begin') known = false
      if (kind === 'commit' || kind === 'rollback') open = false
      return mayCommit ? `${emptyRow}; ${sql}` : sql
    })
    .join('; ')
}

function literal(value: unknown): string {
  return typeof value === 'string' ? `'${value.replaceAll("'", "''")}'` : String(value)
}
