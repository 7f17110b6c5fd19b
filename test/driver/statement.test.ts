import { expect, test } from 'vitest'
import {
  inTransactionAfter,
  shiftBack,
  type StatementKind,
  statementKind,
  withContext,
} from '../../src/driver/base/statement.ts'

const setter = `set local whodunit.context = 'ann';`
/** The text as it is sent, with a mark in place of each setter. */
const sent = (text: string, holds = false) => withContext(text, 'ann', holds).text.replaceAll(setter, '<set>')

test.each<[string, boolean, StatementKind]>([
  ['insert into t values (1)', false, 'plain'],
  ['  -- note\n /* a * b */ ( select 1)', false, 'plain'],
  ['/* nested /* comment */ still */ insert into t values (1)', true, 'plain'],
  ['WITH x AS (insert into t values (1)) select 1', false, 'plain'],
  ['Begin', false, 'none'],
  ['create index concurrently i on t (a)', true, 'none'],
  [`create index concurrently i on t (a) where a <> 'x;y'`, true, 'none'],
  ['create database d; -- done', true, 'none'],
  ['vacuum t;', true, 'none'],
  ['begin; set transaction isolation level serializable;', true, 'none'],
  ['begin; insert into t values (1)', true, 'plain'],
  ['create table t (a int); insert into t values (1)', true, 'plain'],
  ['call p()', true, 'apart'],
  ['call p();', true, 'apart'],
  ['call p(); insert into t values (1)', true, 'plain'], // a list is one transaction: p may not end it anyway
  ['do $$ begin insert into t values (1); end $$', true, 'plain'],
  ['do $$ begin insert into t values (1); commit; end $$', true, 'apart'],
  [`do $$ begin call p(); end $$`, false, 'apart'],
  ['copy t to stdout', true, 'none'],
  ['copy t from stdin', true, 'plain'],
  ['', true, 'plain'],
])('the kind of %j is known (as a list: %s)', (text, list, kind) => {
  expect(statementKind(text, list)).toBe(kind)
})

test.each([
  ['insert into t values (1)', '<set>insert into t values (1)'],
  [
    'insert into a values (1); insert into b values (2);',
    '<set>insert into a values (1); insert into b values (2);',
  ],
  ['begin; insert into t values (1); commit', 'begin; <set>insert into t values (1); commit'],
  [
    'insert into a values (1); commit; begin; insert into b values (1)',
    '<set>insert into a values (1); commit; begin; <set>insert into b values (1)',
  ],
  [
    'begin; set transaction isolation level serializable; select 1',
    'begin; set transaction isolation level serializable; <set>select 1',
  ],
  [
    'rollback to savepoint s; insert into t values (1)',
    'rollback to savepoint s; <set>insert into t values (1)',
  ],
  [
    `insert into t values ('; commit; '), (E'\\'; commit; '); select 1`,
    `<set>insert into t values ('; commit; '), (E'\\'; commit; '); select 1`,
  ],
  ['select "a;b""; commit; c" from t; select 1', '<set>select "a;b""; commit; c" from t; select 1'],
  [
    'select $$; commit; $$, $a$ $$; commit; $a$; select 1',
    '<set>select $$; commit; $$, $a$ $$; commit; $a$; select 1',
  ],
  ['select a$b; commit; select c$b', '<set>select a$b; commit; <set>select c$b'], // a name with a dollar, no quote
  ['select 1 -- ; commit;\n; select 2', '<set>select 1 -- ; commit;\n; select 2'],
  [
    'select 1 /* ; /* commit; */ commit; */; select 2',
    '<set>select 1 /* ; /* commit; */ commit; */; select 2',
  ],
  ['vacuum t', 'vacuum t'],
  ['copy t to stdout', 'copy t to stdout'],
  ['', ''],
])('in %j the context is set where it has to be', (text, expected) => {
  expect(sent(text)).toBe(expected)
})

test('a context that holds is not set again until something may have undone it', () => {
  expect(sent('insert into t values (1); select 2', true)).toBe('insert into t values (1); select 2')
  expect(sent('select 1; rollback to s; select 2', true)).toBe('select 1; rollback to s; <set>select 2')
  expect(withContext('select 1; commit', 'ann', false).holds).toBe(false)
})

test.each([
  ['an unclosed quote', `select 'abc; commit; select 1`],
  ['an unclosed dollar quote', 'select $a$ abc; commit; select 1'],
  ['an unclosed comment', 'select 1 /* abc; commit; select 1'],
])('%s ends with the text', (_, text) => {
  expect(sent(text)).toBe(`<set>${text}`)
})

test('a context with quotes and backslashes is quoted', () => {
  const { text } = withContext('select 1', `it's \\ a "name"`, false)
  expect(text).toBe(`set local whodunit.context =  E'it''s \\\\ a "name"';select 1`)
})

test('an error is counted in characters of the text as it was written', () => {
  const text = `select '\u{1f600}'; commit; select nowhere`
  const inside = withContext(text, '\u{1f600}', false)
  const at = (whole: string) => [...whole.split('nowhere')[0]!].length + 1
  const error = { position: String(at(inside.text)) }
  shiftBack(error, inside)
  expect(error.position).toBe(String(at(text)))
  const none = {}
  shiftBack(none, inside)
  expect(none).toEqual({})
})

test('completions of SET are told apart, ours and theirs', () => {
  const text = `set a = 1; select 1; set constraints all deferred; commit; select 2; set b = 2`
  expect(withContext(text, 'ann', false).sets).toEqual([false, true, true, false])
})

test.each([
  ['begin', false, true],
  ['START TRANSACTION READ ONLY', false, true],
  ['commit', true, false],
  ['end; begin', true, true],
  ['commit and chain', true, true],
  ['commit work and chain', true, true],
  ['rollback', true, false],
  ['rollback to savepoint s', true, true],
  ['ROLLBACK TRANSACTION TO s', true, true],
  ['rollback and no chain', true, false],
  [`prepare transaction 'x'`, true, false],
  ['prepare x as select 1', true, true],
  [`select 'begin'`, false, false],
])('behind %j a transaction is open or not (before: %s)', (text, before, after) => {
  expect(inTransactionAfter(text, before)).toBe(after)
})
