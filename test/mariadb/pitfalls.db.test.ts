import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { tmpdir } from 'node:os'
import mysql from 'mysql2/promise'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createAudit, isAuditError } from '../../src/index.ts'
import { fromMysql2 } from '../../src/database/mariadb.ts'
import { contextByHand } from '../capture/suite-mariadb.ts'
import { hasMariadb } from '../harness/mariadb.ts'
import { startMariadb } from '../harness/mariadb-server.ts'
import { world } from './fixture.ts'

const item = 'create table item (id int primary key, n int, name varchar(50))'

describe.skipIf(!hasMariadb)('writes of MariaDB', () => {
  it('that replace, ignore, load or name several tables are recorded row by row', async () => {
    const { sql, recorded, database } = await world(
      `${item}; create table other (id int primary key, item_id int, n int); insert into other values (1, 1, 1), (2, 2, 2)`,
    )
    const short = async (): Promise<string[]> =>
      (await recorded()).map(
        ([action, model, id, changes]) => `${action} ${model} ${id} ${Object.keys(changes ?? {}).join()}`,
      )
    await sql(`insert into item values (1, 1, 'a')`)
    await sql(`replace into item values (1, 2, 'b'), (2, 2, 'c')`)
    await sql(`insert ignore into item values (1, 9, 'x'), (3, 3, 'd')`)
    await sql(`insert into item values (1, 2, 'b'), (3, 5, 'd') on duplicate key update n = values(n)`)
    expect(await short()).toEqual([
      'CREATE item 1 id,n,name',
      'DELETE item 1 id,n,name',
      'CREATE item 1 id,n,name',
      'CREATE item 2 id,n,name',
      'CREATE item 3 id,n,name',
      'UPDATE item 3 n',
    ])
    await sql(
      'update item join other on other.item_id = item.id set item.n = 100, other.n = 200 where item.id < 3',
    )
    expect((await short()).toSorted()).toEqual([
      'UPDATE item 1 n',
      'UPDATE item 2 n',
      'UPDATE other 1 n',
      'UPDATE other 2 n',
    ])
    await sql('delete item, other from item join other on other.item_id = item.id where item.id = 1')
    expect((await short()).toSorted()).toEqual(['DELETE item 1 id,n,name', 'DELETE other 1 id,item_id,n'])

    const file = join(tmpdir(), `whodunit-load-${process.pid}.txt`)
    writeFileSync(file, '7\t7\tsieben\n8\t8\tacht\n')
    const pool = mysql.createPool({ uri: database.url, connectionLimit: 1 })
    const audit = createAudit({ database: fromMysql2(pool) })
    onTestFinished(async () => {
      await audit.close()
      await pool.end()
    })
    const { createReadStream } = await import('node:fs')
    await audit.withContext({ actor: { id: 'loader' } }, async () => {
      await pool.query({
        sql: `load data local infile 'given' into table item`,
        infileStreamFactory: () => createReadStream(file),
      } as never)
      await pool.query('update item set n = 70 where id = 7')
    })
    expect(await short()).toEqual(['CREATE item 7 id,n,name', 'CREATE item 8 id,n,name', 'UPDATE item 7 n'])
    const { entries } = await audit.entries.find({ actor: 'loader' })
    expect(entries).toHaveLength(3)
  })

  it('are compared as they are stored, and not as a collation takes them', async () => {
    const { sql, recorded } = await world(
      `create table t (id int primary key, ci varchar(10), pad varchar(10), fixed char(10), e enum('b','c'), j json, d decimal(10,2), f double, dt datetime, bin varbinary(10));
       insert into t values (1, 'b', 'a', 'a', 'b', '{"a": 1}', 1.10, 1, '2024-01-01', x'00')`,
    )
    await sql(`update t set ci = 'B'`)
    await sql(`update t set pad = 'a '`)
    await sql(`update t set fixed = 'a  ', e = 'B', d = '1.1', f = '1.0', dt = '2024-01-01 00:00:00', j = j`)
    await sql(`update t set j = '{"a":1}'`)
    await sql(`update t set bin = x'0000'`)
    await sql(`update t set ci = null`)
    await sql(`update t set ci = null, f = 1 + 1e-15`)
    expect((await recorded()).map(([, , , changes]) => changes)).toEqual([
      { ci: ['b', 'B'] },
      { pad: ['a', 'a '] },
      { j: ['{"a": 1}', '{"a":1}'] },
      {
        bin: [
          { $: 'blob', hex: '00' },
          { $: 'blob', hex: '0000' },
        ],
      },
      { ci: ['B', null] },
      { f: [1, 1 + 1e-15] },
    ])
  })

  it('are recorded the same, whatever a session sets', async () => {
    const { sql, recorded, entries } = await world(
      `create table t (id int primary key, ts timestamp(3) null, zero timestamp null, name varchar(20) character set latin1, f float, label varchar(20))`,
      { models: { t: { label: '{label} {name}' } } },
    )
    await sql(`set names utf8mb4`)
    for (const [id, set] of [
      `set time_zone = '+05:00'`,
      `set time_zone = '-11:30', sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT'`,
      `set sql_mode = 'STRICT_ALL_TABLES,PAD_CHAR_TO_FULL_LENGTH', time_zone = '+00:00'`,
      `set names latin1`,
      `set character_set_connection = ucs2, collation_connection = ucs2_general_ci`,
    ].entries()) {
      await sql(set)
      await sql(contextByHand(`user:é😀\u001e\u001e\u001e`))
      await sql(`insert into t values (${id}, from_unixtime(1704164645.678), null, 'x', 0.1, 'a')`)
      await sql(`set @whodunit_context = null`)
    }
    await sql(`set names utf8mb4`)
    await sql(`set sql_mode = '', time_zone = '+02:00'`)
    await sql(`insert into t values (9, null, '0000-00-00 00:00:00', 'ä', 16777216, 'a')`)
    const all = await recorded()
    for (const [, , , changes] of all.slice(0, 5)) {
      expect(changes).toMatchObject({
        ts: [null, '2024-01-02 03:04:05.678'],
        name: [null, 'x'],
        f: [null, 0.1],
      })
    }
    expect(all[5]?.[3]).toMatchObject({
      zero: [null, '0000-00-00 00:00:00'],
      name: [null, 'ä'],
      f: [null, 16_777_216],
    })
    const changes = (await entries()).filter(({ kind }) => kind === 'change')
    expect(changes.slice(0, 5).map(({ actor }) => actor?.id)).toEqual(Array.from({ length: 5 }, () => 'é😀'))
    for (const { at } of changes) expect(Math.abs(at.getTime() - Date.now())).toBeLessThan(60_000)
  })

  it('survive a context that is no text', async () => {
    const { sql, recorded } = await world(item)
    for (const [id, value] of [
      `1`,
      `1.5`,
      `x'ff00fe'`,
      `_ucs2 'ab'`,
      `_latin1 'é'`,
      `now()`,
      `json_object('a', 1)`,
      `true`,
    ].entries()) {
      await sql(
        `set @whodunit_context = ${value}, @whodunit_token = ${value}, @whodunit_tx = ${value}, @whodunit_transaction = ${value}`,
      )
      await sql(`insert into item (id) values (${id})`)
      await sql(`update item set n = ${id} where id = ${id}`)
    }
    expect(await recorded()).toHaveLength(16)
  })

  it('to a column that was renamed or dropped do not fail, and the entry says that something is missing', async () => {
    const { sql, entries, audit } = await world(`${item}; insert into item values (1, 1, 'a')`)
    await sql('alter table item rename column name to title, add column more int')
    await sql(`insert into item values (2, 2, 'b', 2)`)
    await sql(`update item set n = 5, title = 'c'`)
    await sql(`update item set title = 'd' where id = 2`)
    await sql('alter table item drop column n')
    await sql('delete from item where id = 2')
    const changes = (await entries()).filter(({ kind }) => kind === 'change')
    expect(changes.map(({ action, target, changes: columns }) => [action, target?.id, columns])).toEqual([
      ['CREATE', '2', { id: [null, 2], n: [null, 2] }],
      ['UPDATE', '1', { n: [1, 5] }],
      ['UPDATE', '2', { n: [2, 5] }],
      ['UPDATE', '2', {}],
      ['DELETE', '2', { id: [2, null] }],
    ])
    for (const { details } of changes) expect(details).toMatchObject({ drifted: true })
    expect((await audit.status()).tables).toMatchObject([{ model: 'item', state: 'drifted' }])
    await audit.migrate()
    await sql(`insert into item values (3, 'x', 4)`)
    const last = (await entries()).at(-1)
    expect([last?.changes, last?.details]).toMatchObject([
      { id: [null, 3], title: [null, 'x'], more: [null, 4] },
      {},
    ])
    expect(last?.details).not.toHaveProperty('drifted')
  })

  it('to wide, partitioned, generated and oddly named tables are recorded', async () => {
    const long = 'n'.repeat(64)
    const columns = Array.from({ length: 999 }, (_, n) => `c${n} int`).join(', ')
    const { sql, recorded } = await world(
      `create table wide (id int primary key, ${columns});
       create table parts (id int, y int, primary key (id, y)) partition by hash (y) partitions 3;
       create table made (id int primary key, a int, v int as (a * 2) virtual, s int as (a * 3) stored);
       create table \`${long}\` (id int primary key, \`${long.replace('n', 'm')}\` int);
       create table history (id int primary key, n int) with system versioning;
       create view seen as select * from made`,
    )
    await sql('insert into wide (id, c5, c998) values (1, 5, 998)')
    await sql('update wide set c998 = 1, c0 = 2')
    await sql('insert into parts values (1, 1)')
    await sql('update parts set y = 2')
    await sql('insert into seen (id, a) values (1, 1)')
    await sql('update seen set a = 2')
    await sql(`insert into \`${long}\` values (1, 1)`)
    await sql('insert into history values (1, 1); update history set n = 2; delete from history')
    await sql('create temporary table item (id int); insert into item values (1)')
    const [first, ...rest] = await recorded()
    expect([Object.keys(first![3]!).length, first![3]!['c998']]).toEqual([1000, [null, 998]])
    expect(rest).toEqual([
      ['UPDATE', 'wide', '1', { c0: [null, 2], c998: [998, 1] }],
      ['CREATE', 'parts', '["1","1"]', { id: [null, 1], y: [null, 1] }],
      ['UPDATE', 'parts', '["1","1"]', { y: [1, 2] }],
      ['CREATE', 'made', '1', { id: [null, 1], a: [null, 1], v: [null, 2], s: [null, 3] }],
      ['UPDATE', 'made', '1', { a: [1, 2], v: [2, 4], s: [3, 6] }],
      ['CREATE', long, '1', { id: [null, 1], [long.replace('n', 'm')]: [null, 1] }],
      ['CREATE', 'history', '1', { id: [null, 1], n: [null, 1] }],
      ['UPDATE', 'history', '1', { n: [1, 2] }],
      ['DELETE', 'history', '1', { id: [1, null], n: [2, null] }],
    ])
  })

  it('of more than a packet holds are recorded as far as they fit', async () => {
    const { sql, entries } = await world(
      `create table big (id int primary key, ${Array.from({ length: 12 }, (_, n) => `c${n} longtext`).join(', ')})`,
      { maxValueBytes: 3_000_000 },
    )
    await sql(
      `insert into big values (1, ${Array.from({ length: 12 }, () => `repeat('x', 2000000)`).join(', ')})`,
    )
    const [entry] = (await entries()).filter(({ kind }) => kind === 'change')
    const kept = Object.keys(entry?.changes ?? {}).length
    expect(kept).toBeGreaterThan(3)
    expect(kept).toBeLessThan(13)
    expect(entry?.details).toMatchObject({ drifted: true })
  })
})

describe.skipIf(!hasMariadb)('rights on MariaDB', () => {
  it('an application needs none on the trail: its writes are recorded, and it cannot change or forge entries', async () => {
    const { sql, audit, database, recorded, entries } = await world(
      `${item}; insert into item values (1, 1, 'a')`,
    )
    const on = (what: string): string => `${what} on ${database.name}.`
    const { url, name } = await database.createUser(
      `${on('select, insert, update, delete')}item`,
      `execute on procedure ${database.name}.whodunit_record`,
    )
    const pool = mysql.createPool({ uri: url, connectionLimit: 2 })
    const app = createAudit({ database: fromMysql2(pool) })
    onTestFinished(async () => {
      await app.close()
      await pool.end()
    })
    await app.withContext({ actor: { id: 'ann' } }, async () => {
      await pool.query('update item set n = 2')
      const connection = await pool.getConnection()
      await connection.beginTransaction()
      await connection.query('update item set n = 3')
      await app.in(connection).logAuditEvent({ action: 'inside', target: { model: 'item', id: 1 } })
      await connection.commit()
      connection.release()
      await app.logAuditEvent({ action: 'paid', target: { model: 'item', id: 1 }, durable: true })
    })
    expect(await recorded()).toHaveLength(2)
    const all = (await entries()).filter(({ action }) => action !== 'MIGRATE')
    expect(all.map(({ action, actor, role }) => [action, actor?.id, role])).toEqual([
      ['UPDATE', 'ann', name],
      ['UPDATE', 'ann', name],
      ['inside', 'ann', name],
      ['paid', 'ann', name],
    ])
    expect([all[1]?.tx === all[2]?.tx, all[0]?.tx === all[1]?.tx, all[3]?.tx]).toEqual([true, false, null])
    for (const statement of [
      "insert into whodunit_entry (at, kind, action) values (now(), 'change', 'UPDATE')",
      'update whodunit_entry set actor = null',
      'delete from whodunit_entry',
      'truncate whodunit_entry',
      'select secret from whodunit_secret',
      'drop trigger whodunit_after_update_item',
    ])
      await expect(pool.query(statement)).rejects.toThrow(/denied/)
    const forged = JSON.stringify([{ kind: 'change', action: 'UPDATE' }])
    for (const given of [
      forged,
      '[{"action":"x"}]',
      '{',
      '[{"kind":"event","action":"x","changes":"[1]"}]',
      '[{"kind":"event","action":"x","at":"soon"}]',
    ])
      await expect(pool.query('call whodunit_record(?, 0)', [given])).rejects.toThrow(/AUDIT_ENTRY_INVALID/)
    await expect(app.entries.find()).rejects.toThrow(/AUDIT_DATABASE_RIGHTS|lacks a right/)
    for (const statement of ['update whodunit_entry set actor = null', 'delete from whodunit_entry'])
      await expect(sql(statement)).rejects.toThrow(/append-only/)
    expect(await audit.check()).toEqual([])

    // with the rights that the guide names for a writer, the application can check itself, and for a reader, read
    for (const right of [
      `execute on procedure ${database.name}.whodunit_triggers`,
      `select on ${database.name}.whodunit_trail`,
      `select on ${database.name}.whodunit_policy`,
    ])
      await sql(`grant ${right} to ${name}@'%'`)
    expect(await app.check()).toEqual([])
    await sql('alter table item add column later int')
    expect((await app.check()).map(({ message }) => message)).toEqual([
      expect.stringContaining('item is drifted'),
    ])
    await sql(`grant select on ${database.name}.whodunit_entry to ${name}@'%'`)
    expect((await app.entries.find({ model: 'item' })).entries).toHaveLength(4)
  })

  it(
    'without the right to make triggers beside a binary log, migrate says what to do',
    { timeout: 120_000 },
    async () => {
      const server = await startMariadb(['--log-bin', '--server-id=1'])
      onTestFinished(async () => server.stop())
      const root = await mysql.createConnection({ uri: server.url, multipleStatements: true })
      await root.query(
        `create database shop; use shop; ${item}; create user shop@'%'; grant all on shop.* to shop@'%'`,
      )
      const pool = mysql.createPool({ uri: server.url.replace('root@', 'shop@').replace(/\/$/, '/shop') })
      const audit = createAudit({ database: fromMysql2(pool) })
      onTestFinished(async () => {
        await audit.close()
        await pool.end()
        await root.end()
      })
      const error = await audit.migrate().catch((failed: unknown) => failed)
      expect([isAuditError(error, 'AUDIT_DATABASE_RIGHTS'), String(error)]).toEqual([
        true,
        expect.stringContaining('log_bin_trust_function_creators'),
      ])
      await root.query('set global log_bin_trust_function_creators = 1')
      await audit.migrate()
      await pool.query(`insert into item values (1, 1, 'a')`)
      expect((await audit.entries.find({ model: 'item' })).entries).toHaveLength(1)
      const [counted] = await pool.query('select @@warning_count as warnings')
      expect(counted).toEqual([{ warnings: 0 }])
    },
  )

  it('a migration under way keeps the next one waiting, and then away', async () => {
    const { sql, audit } = await world(item, {}, false)
    await sql(`do get_lock(concat('whodunit step ', left(sha1(database()), 40)), 1)`)
    await expect(audit.migrate()).rejects.toThrow(/Another whodunit run or migrate/)
    await sql('do release_all_locks()')
    await audit.migrate()
    await sql('begin; insert into item values (1, 1, null)')
    await sql("alter table item comment = 'other'")
    expect((await audit.status()).tables).toMatchObject([{ state: 'audited' }])
  })

  it('a table that others hold for too long is left as it is, and migrate says so', async () => {
    const { sql, audit, database } = await world(item, {}, false)
    const holder = await mysql.createConnection(database.url)
    onTestFinished(async () => holder.end())
    await holder.query('begin')
    await holder.query('select * from item')
    const error = await audit.migrate().catch((failed: unknown) => failed)
    expect(isAuditError(error, 'AUDIT_DATABASE_LOCKED')).toBe(true)
    await holder.query('commit')
    await audit.migrate()
    await sql(`insert into item values (1, 1, 'a')`)
    expect((await audit.entries.find({ model: 'item' })).entries).toHaveLength(1)
  })

  it('a table without transactions is recorded, and migrate warns', async () => {
    const { audit, sql, recorded } = await world(
      `create table old (id int primary key, n int) engine = MyISAM`,
      {},
      false,
    )
    const { warnings } = await audit.migrate()
    expect(warnings.filter((warning) => warning.startsWith('old '))).toEqual([
      'old has no transactions (MyISAM): what is rolled back stays in it, without an entry',
    ])
    await sql('insert into old values (1, 1)')
    expect(await recorded()).toEqual([['CREATE', 'old', '1', { id: [null, 1], n: [null, 1] }]])
  })
})
