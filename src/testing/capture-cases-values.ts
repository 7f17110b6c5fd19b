import type { Changes } from '../index.ts'
import type { CaptureCases } from './capture-suite.ts'

const odd = `grün 漢字 😀 "q" 's' \\ \\n % $1 $$ \u202e{"$":"masked"}`

/** How values and keys stand in the trail. */
export function valueCases({ test, expect, sql }: CaptureCases): void {
  const side = (changes: Changes | null, of: 0 | 1): Record<string, unknown> =>
    Object.fromEntries(Object.entries(changes ?? {}).map(([column, pair]) => [column, pair[of]]))

  test('every type is recorded as its exact value, the same when created, changed and deleted [B1, B2, B3]', async ({
    audited,
  }) => {
    const columns = sql.values.map(([type], n) => `c${n} ${type}`).join(', ')
    const names = sql.values.map((_, n) => `c${n}`)
    const world = await audited([`create table item (id integer primary key, ${columns})`])
    const values = sql.values.map(([, value]) => value)
    await world.plain(
      `insert into item (id, ${names.join(', ')}) values (1, ${values.join(', ')})`,
      `update item set ${names.map((name) => `${name} = null`).join(', ')}`,
      `update item set ${names.map((name, n) => `${name} = ${values[n]}`).join(', ')}`,
      'delete from item',
    )
    const expected = Object.fromEntries(sql.values.map(([, , recorded], n) => [`c${n}`, recorded]))
    const changed = Object.fromEntries(Object.entries(expected).filter(([, value]) => value !== null))
    const [created, cleared, filled, deleted] = (await world.recorded()).map(([, , changes]) => changes)
    expect(side(created ?? null, 1)).toEqual({ id: 1, ...expected })
    expect(side(cleared ?? null, 0)).toEqual(changed)
    expect(side(filled ?? null, 1)).toEqual(changed)
    expect(side(deleted ?? null, 0)).toEqual({ id: 1, ...expected })
  })

  test('text of any content arrives unchanged [B5]', async ({ audited }) => {
    const world = await audited(['create table item (id integer primary key, t text)'], {
      models: { item: { label: '{t}' } },
    })
    const texts = [
      odd,
      '',
      ' ',
      'line\n\ttab\u0001\u007f',
      '\\',
      '"',
      "'",
      '\u{1f468}\u200d\u{1f469}',
      'null',
    ]
    for (const [n, text] of texts.entries())
      await world.query(`insert into item values (${world.at(1)}, ${world.at(2)})`, [n, text])
    const changes = await world.changes()
    expect(changes.map(({ changes: columns }) => columns?.['t']?.[1])).toEqual(texts)
    expect(changes[0]?.target?.label).toEqual(odd)
  })

  test('null, false, zero and an empty text are never taken for one another [A6]', async ({ audited }) => {
    const no = sql.false ?? false
    const world = await audited([
      'create table item (id integer primary key, b boolean, n integer, t varchar(20))',
      `insert into item values (1, false, 0, '')`,
    ])
    await world.query('update item set b = null, n = null, t = null')
    await world.query(`update item set b = false, n = 0, t = ''`)
    await world.query(`update item set t = '0'`)
    expect((await world.recorded()).map(([, , changes]) => changes)).toEqual([
      { b: [no, null], n: [0, null], t: ['', null] },
      { b: [null, no], n: [null, 0], t: [null, ''] },
      { t: ['', '0'] },
    ])
  })

  test('floats keep every digit, and big integers are text [B1]', async ({ audited }) => {
    const floats = [0.1, 0.1 + 0.2, -1.5, 1e100, 1.7976931348623157e308, 2.2250738585072014e-308, 1 / 3]
    const world = await audited([
      'create table item (id integer primary key, f double precision, big bigint)',
    ])
    for (const [n, float] of floats.entries())
      await world.query(`insert into item values (${world.at(1)}, ${world.at(2)}, null)`, [n, float])
    await world.query('update item set big = 9007199254740993 where id = 0')
    await world.query('update item set big = big + 1 where id = 0')
    const recorded = await world.recorded()
    expect(recorded.slice(0, floats.length).map(([, , changes]) => changes?.['f']?.[1])).toEqual(floats)
    expect(recorded.slice(floats.length).map(([, , changes]) => changes?.['big'])).toEqual([
      [null, '9007199254740993'],
      ['9007199254740993', '9007199254740994'],
    ])
  })

  test('JSON keeps its exact text, and a change of it is one [B2]', async ({ audited }) => {
    const world = await audited(['create table item (id integer primary key, j json)'])
    const texts = ['{"b": 1,  "a": [1, 2.50, null]}', '"é 😀"', 'null', '[]']
    for (const text of texts)
      await world.query(`insert into item values (${world.at(1)}, ${world.at(2)})`, [
        texts.indexOf(text),
        text,
      ])
    await world.query(`update item set j = '[1]' where id = 3`)
    await world.query(`update item set j = '[1]' where id = 3`)
    expect((await world.recorded()).map(([, , changes]) => changes?.['j'])).toEqual([
      ...texts.map((text) => [null, text]),
      ['[]', '[1]'],
    ])
  })

  test('a value is kept up to the limit in bytes, and cut with its length beyond [B8]', async ({
    audited,
  }) => {
    const world = await audited(['create table item (id integer primary key, t text, v varchar(5000))'], {
      maxValueBytes: 1_000,
    })
    const texts = ['x'.repeat(1_000), 'x'.repeat(1_001), 'é'.repeat(500), 'é'.repeat(501), '"'.repeat(1_000)]
    for (const [n, text] of texts.entries())
      await world.query(`insert into item values (${world.at(1)}, ${world.at(2)}, ${world.at(3)})`, [
        n,
        text,
        text,
      ])
    await world.query('update item set v = null')
    const expected = texts.map((text) =>
      Buffer.byteLength(text) > 1_000 ? { $: 'cut', length: text.length } : text,
    )
    const recorded = (await world.recorded()).map(([, , changes]) => changes)
    expect(recorded.slice(0, texts.length).map((changes) => changes?.['t']?.[1])).toEqual(expected)
    expect(recorded.slice(0, texts.length).map((changes) => changes?.['v']?.[1])).toEqual(expected)
    expect(recorded.slice(texts.length).map((changes) => changes?.['v']?.[0])).toEqual(expected)
  })

  test('keys of one column, of several, of text and of odd names, or none [B4]', async ({ audited }) => {
    const world = await audited([
      'create table composite (a integer, b varchar(20), primary key (b, a))',
      'create table named (code varchar(50) primary key, n integer)',
      'create table stands_in (n integer, code varchar(50) not null unique)',
      'create table keyless (n integer)',
    ])
    const insert = async (table: string, ...values: unknown[]): Promise<unknown> =>
      world.query(`insert into ${table} values (${values.map((_, n) => world.at(n + 1)).join(', ')})`, values)
    await insert('composite', 1, 'x"y\\')
    await insert('named', odd.slice(0, 50), 1)
    await insert('named', '', 1)
    await insert('stands_in', 1, 'c')
    await insert('keyless', 1)
    await world.query('update keyless set n = 2')
    expect((await world.changes()).map(({ target }) => target?.id)).toEqual([
      JSON.stringify(['x"y\\', '1']),
      odd.slice(0, 50),
      '',
      'c',
      null,
      null,
    ])
    const { tables } = await world.audit.status()
    expect(tables.filter(({ note }) => note?.includes('no key')).map(({ model }) => model)).toEqual([
      'keyless',
    ])
  })

  test('a changed key files under the old one, and history follows it [B4]', async ({ audited }) => {
    const world = await audited([
      'create table mover (id integer primary key, n integer)',
      'create table pair (a integer, b integer, primary key (a, b))',
      'insert into pair values (1, 1)',
    ])
    await world.query('insert into mover values (1, 1)')
    await world.query('update mover set id = 2')
    await world.query('update mover set n = 2')
    await world.query('update mover set id = 3, n = 3')
    await world.query('delete from mover')
    await world.query('update pair set a = 2')
    expect((await world.recorded()).map(([action, id]) => `${action} ${id}`)).toEqual([
      'CREATE 1',
      'UPDATE 1',
      'UPDATE 2',
      'UPDATE 2',
      'DELETE 3',
      'UPDATE ["1","1"]',
    ])
    for (const id of [1, 2, 3])
      expect((await world.audit.history('mover', id)).map(({ action }) => action)).toEqual([
        'DELETE',
        'UPDATE',
        'UPDATE',
        'UPDATE',
        'CREATE',
      ])
    expect((await world.audit.history('pair', '["2","1"]')).length).toEqual(1)
  })

  test('tables and columns of hostile names are recorded and read [B5]', async ({ audited }) => {
    const names = sql.oddNames ?? [
      `we"ird $$ t'able 😀`,
      `c"ol $1`,
      `a'b\\c`,
      'select',
      '😀 {"x":[1]}',
      '%s %d \\n',
      'old',
    ]
    const [table, ...columns] = names as [string, ...string[]]
    const [key, ...rest] = columns as [string, ...string[]]
    for (const name of [table, ...columns]) {
      const world = await audited(
        [
          `create table ${quoted(name)} (${quoted(key)} integer primary key, ${rest.map((column) => `${quoted(column)} varchar(20)`).join(', ')})`,
        ],
        { models: { [name]: { label: `{${rest[0]}} is` } } },
      )
      await world.query(`insert into ${world.quote(name)} values (1, ${rest.map(() => `'a'`).join(', ')})`)
      await world.query(
        `update ${world.quote(name)} set ${rest.map((column) => `${world.quote(column)} = 'b'`).join(', ')}`,
      )
      const [created, changed] = await world.changes()
      expect([created?.target, created?.action]).toEqual([{ model: name, id: '1', label: 'a is' }, 'CREATE'])
      expect(changed?.changes).toEqual(Object.fromEntries(rest.map((column) => [column, ['a', 'b']])))
      expect((await world.audit.migrate()).done).toEqual([])
    }
  })

  function quoted(name: string): string {
    return sql.quote?.(name) ?? `"${name.replaceAll('"', '""')}"`
  }
}
