import { expect, test } from 'vitest'
import { around, atRelease, newSession } from '../../src/driver/base/user-variable.ts'

/** What goes around each text, one after another on one session: `s` sets, `c` clears. */
function signs(...texts: readonly (readonly [text: string, context: string])[]): string[] {
  const state = newSession()
  return texts.map(([text, context]) => {
    const { before, behind } = around(state, text, context)
    return `${before ? 's' : ''}.${behind ? 'c' : ''}`
  })
}

test.each([
  ['insert into t values (1)', 's.c'],
  ['  /* a; b */ -- c\n # d\n (update t set a = 1)', 's.c'],
  ['REPLACE INTO t VALUES (1)', 's.c'],
  ['with x as (select 1) delete from t', 's.c'],
  ['call p()', 's.c'],
  ['begin not atomic insert into t values (1); end', 's.c'],
  [`/*!40101 insert into t values (1) */`, 's.c'],
  [`select ';'; insert into t values ('a;\\'', "b;\\"", \`c;\`)`, 's.c'],
  ['select @whodunit_context', 's.c'],
  ['select 1', '.'],
  [`select 'insert'; select ";" -- update`, '.'],
  ['show tables', '.'],
  ['set names utf8mb4', '.'],
  ['create table t (id int)', '.'],
  ['start transaction', '.'],
  ['', '.'],
])('%s, by itself: %s', (text, expected) => {
  expect(signs([text, 'a'])).toEqual([expected])
  expect(signs([text, ''])[0]).toBe('.')
})

test('a transaction is given a context once, another one in between, and is cleared behind its end', () => {
  expect(
    signs(
      ['begin', 'a'],
      ['insert into t values (1)', 'a'],
      ['update t set a = 1', 'a'],
      ['select 1', 'b'],
      ['savepoint s', 'b'],
      ['rollback to savepoint s', 'b'],
      ['insert into t values (1)', ''],
      ['commit', 'a'],
      ['select 1', 'a'],
    ),
  ).toEqual(['.', 's.', '.', 's.', '.', '.', 's.', '.c', '.'])
})

test('statements of one transaction share a token, and no other transaction has it', () => {
  const state = newSession()
  const token = (text: string, context = 'a'): string | undefined =>
    /@whodunit_transaction = '(\w+)'/.exec(around(state, text, context).before ?? '')?.[1]
  around(state, 'start transaction', 'a')
  const first = token('insert into t values (1)')
  const second = token('insert into t values (1)', 'b')
  around(state, 'commit and chain', 'a')
  const chained = token('insert into t values (1)')
  around(state, 'rollback', 'a')
  expect(token('insert into t values (1)')).toBeUndefined()
  const text = token('begin; insert into t values (1); commit')
  expect(first).toBe(second)
  expect(new Set([first, chained, text]).size).toBe(3)
})

test('a transaction that somebody leaves open gives its context to nobody', () => {
  const state = newSession()
  around(state, 'begin', 'a')
  around(state, 'insert into t values (1)', 'a')
  expect(around(state, 'select f()', 'b').before).toContain(Buffer.from('b').toString('hex'))
  expect(atRelease(state)).toContain('@whodunit_context = null')
  expect(atRelease(state)).toBeUndefined()
})
