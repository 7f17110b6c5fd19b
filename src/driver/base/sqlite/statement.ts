/**
 * What a statement is to the transaction it runs in. `write`: it may change audited rows, so it needs the context.
 * `read`: it changes nothing at all. `other`: it changes the schema or a setting, and no audited row.
 */
export type StatementKind =
  | 'write'
  | 'read'
  | 'other'
  | 'begin'
  | 'commit'
  | 'rollback'
  | 'savepoint'
  | 'rollback to'
  | 'release'

const kinds: Readonly<Record<string, StatementKind>> = {
  insert: 'write', replace: 'write', update: 'write', delete: 'write', with: 'write',
  drop: 'write', // of a table that others refer to: foreign keys may then change rows
  select: 'read', values: 'read', explain: 'read', '': 'read',
  begin: 'begin', commit: 'commit', end: 'commit', savepoint: 'savepoint', release: 'release',
} // prettier-ignore

// White space and comments before the first word
const firstWord = /^(?:[\s;\ufeff]+|--[^\n]*(?:\n|$)|\/\*(?:[^*]|\*(?!\/))*(?:\*\/|$))*([a-z]*)/i
const rollsBackTo = /^rollback(?:\s+transaction)?(?:\s+\w+)?\s+to\b|^rollback(?:\s+transaction)?\s+to\b/i

export function statementKind(sql: string): StatementKind {
  const found = firstWord.exec(sql)!
  const word = found[1]!.toLowerCase()
  if (word !== 'rollback') return kinds[word] ?? 'other'
  return rollsBackTo.test(sql.slice(found[0].length - word.length)) ? 'rollback to' : 'rollback'
}

const token =
  /'[^']*'?|"[^"]*"?|`[^`]*`?|\[[^\]]*\]?|--[^\n]*|\/\*(?:[^*]|\*(?!\/))*(?:\*\/)?|[\w\u0080-\uffff]+|\s+|[^]/gy

/** The statements of a text, as SQLite takes them apart: the body of a trigger has semicolons of its own. */
export function splitStatements(text: string): readonly string[] {
  if (text.indexOf(';') === -1) return [text]
  const statements: string[] = []
  let from = 0
  let words: string[] = []
  for (const { 0: found, index } of text.matchAll(token)) {
    if (found === ';') {
      if (/^create (temp |temporary )?trigger/.test(words.slice(0, 3).join(' ')) && words.at(-1) !== 'end;') {
        words.push(';')
        continue
      }
      statements.push(text.slice(from, index + 1))
      from = index + 1
      words = []
    } else if (/^[\w\u0080-\uffff]/.test(found)) {
      const word = found.toLowerCase()
      // only END as a statement of its own closes a trigger, not that of a CASE
      words.push(word === 'end' && words.at(-1) === ';' ? 'end;' : word)
      if (words.length > 4) words.splice(3, words.length - 4)
    } else if (!/^(?:\s|--|\/\*)/.test(found)) {
      words.push(found)
      if (words.length > 4) words.splice(3, words.length - 4)
    }
  }
  const rest = text.slice(from)
  if (statementKind(rest) !== 'read' || /[a-z]/i.test(firstWord.exec(rest)![1]!)) statements.push(rest)
  return statements
}
