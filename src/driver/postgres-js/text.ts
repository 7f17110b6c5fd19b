import { shiftBack, statementKind, withContext } from '../base/statement.ts'
import { type QueryLike, type ResultLike, settle } from './query.ts'

/** Sets the context in a text without parameters. Answers whether it still holds behind it; `undefined` where it cannot. */
export function setInText(
  query: QueryLike,
  text: string,
  context: string,
  holds: boolean,
): boolean | undefined {
  const sent = withContext(text, context, holds)
  const [head = '', ...rest] = query.strings
  const tail = text.slice(head.length)
  // what stands behind the first piece is not known to the character
  if (rest.length > 0 && (sent.shifts.length > 1 || !sent.text.endsWith(tail))) return undefined
  if (sent.shifts.length === 0) return sent.holds
  const origin = query.origin
  const strings = Object.assign([sent.text.slice(0, sent.text.length - tail.length), ...rest], {
    raw: (query.strings as { raw?: unknown }).raw,
  })
  let built: string | undefined
  const theirs = (): string => (rest.length === 0 ? text : without(built ?? '', sent.shifts))
  const first = statementKind(text, false) !== 'none'
  query.strings = strings
  Object.defineProperties(query, {
    origin: { value: origin },
    string: {
      get: () => (built === undefined ? undefined : theirs()),
      set(given: string) {
        built = given
      },
    },
  })
  settle(
    query,
    (result: ResultLike & unknown[], done) => {
      const results = result?.command === undefined && Array.isArray(result) ? result : [result]
      for (const { statement } of results as ResultLike[]) {
        if (statement && statement.string === built) statement.string = theirs()
      }
      // in front of rows, a result of its own
      if (results.length > 1 && first && (results[0] as ResultLike).command === 'SET') {
        results.shift()
        done(results.length === 1 ? results[0] : results)
      } else done(result)
    },
    (error: object, done) => {
      shiftBack(error, sent)
      done(error)
    },
  )
  return sent.holds
}

function without(text: string, shifts: ReturnType<typeof withContext>['shifts']): string {
  const characters = [...text]
  for (const { at, length } of shifts.toReversed()) characters.splice(at, length)
  return characters.join('')
}
