import { setTimeout as sleep } from 'node:timers/promises'
import mysql from 'mysql2/promise'
import { describe, expect, it, onTestFinished } from 'vitest'
import { fromMysql2 } from '../../src/database/mariadb.ts'
import { createAudit } from '../../src/index.ts'
import { hasMariadb } from '../harness/mariadb.ts'
import { type World, world } from './fixture.ts'

const item = `create table item (id int primary key, note varchar(50), n int); insert into item values (1, 'hidden', 1), (2, 'hidden', 1)`
const report = { onCaptureError: 'report' } as const

const lost = async ({ audit }: World): Promise<string[]> =>
  (await audit.status()).unrecorded.map(
    ({ model, changes, causes }) => `${model} ${changes} ${causes.join()}`,
  )
const numbers = async ({ sql }: World): Promise<unknown[]> =>
  (await sql('select n from item order by id')).map(({ n }) => n)
const codeOf = async (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'done',
    (error: { errno: number }) => error.errno,
  )

/** As a trigger of the trail that refuses these entries, with this error. */
const refusing = ({ sql }: World, errno: number, which = 'true'): Promise<unknown> =>
  sql(`create trigger fault before insert on whodunit_entry for each row
    if ${which} then signal sqlstate '45000' set mysql_errno = ${errno}, message_text = 'a disk, a lock, a value: hidden'; end if`)

async function connect({ database }: World): Promise<mysql.Connection> {
  const connection = await mysql.createConnection(database.url)
  onTestFinished(async () => connection.end())
  return connection
}

describe.skipIf(!hasMariadb)('failures of capture on MariaDB', () => {
  for (const [title, does, mends, cause] of [
    [
      'the trail was renamed',
      'rename table whodunit_entry to gone',
      'rename table gone to whodunit_entry',
      '1146',
    ],
    [
      'a column of the trail is gone',
      'alter table whodunit_entry rename column actor to gone',
      'alter table whodunit_entry rename column gone to actor',
      '1054',
    ],
    [
      'a constraint refuses the entries',
      `set @@check_constraint_checks = 0; alter table whodunit_entry add constraint fault check (kind <> 'change'); set @@check_constraint_checks = 1`,
      'alter table whodunit_entry drop constraint fault',
      '4025',
    ],
    [
      'a trigger of somebody refuses the entries',
      `create trigger fault before insert on whodunit_entry for each row signal sqlstate '45000'`,
      'drop trigger fault',
      '1644',
    ],
  ] as const)
    // prettier-ignore
    it(`a change goes through while ${title}, and status says so`, async () => {
      const place = await world(item, report)
      await place.sql('update item set n = 2 where id = 1')
      await place.sql(does)
      await place.sql('update item set n = 3')
      await place.sql('delete from item where id = 2')
      await place.sql(`insert into item values (4, 'hidden', 3)`)
      await place.sql(mends)
      expect([await numbers(place), await lost(place)]).toEqual([[3, 3], [`item 4 ${cause}`]])
      await place.audit.migrate()
      expect((await place.recorded()).map(([action, , id]) => `${action} ${id}`)).toEqual(['UPDATE 1'])
      expect(await lost(place)).toEqual([])
    })

  it('a change goes through where who made the triggers has lost the right to write the trail', async () => {
    const place = await world(item, report, false)
    const owner = await place.database.createUser(`all on ${place.database.name}.*`, 'super on *.*')
    const pool = mysql.createPool({ uri: owner.url, connectionLimit: 2 })
    onTestFinished(async () => pool.end())
    const audit = createAudit({ ...report, database: fromMysql2(pool) })
    await audit.migrate()
    await place.sql(`revoke all on ${place.database.name}.* from ${owner.name}@'%'`)
    await place.sql(
      `grant select, insert, update, trigger on ${place.database.name}.item to ${owner.name}@'%'`,
    )
    await place.sql(`grant insert on ${place.database.name}.whodunit_unrecorded to ${owner.name}@'%'`)
    await place.sql('update item set n = 2')
    expect([await numbers(place), await lost(place)]).toEqual([[2, 2], ['item 2 1142']])
    await audit.close()
  })

  for (const errno of [1213, 1205, 1020, 1041])
    it(`error ${errno} ends the write as without us, in the entry and in what stands for it alike`, async () => {
      for (const which of ['true', `new.action = 'UNRECORDED'`]) {
        const place = await world(item, report)
        await refusing(place, errno, which)
        if (which !== 'true') await place.sql(`create trigger second before insert on whodunit_entry for each row
          if new.action <> 'UNRECORDED' then signal sqlstate '45000'; end if`) // prettier-ignore
        expect(await codeOf(place.sql('update item set n = 2'))).toBe(errno)
        expect([await numbers(place), await lost(place)]).toEqual([[1, 1], []])
      }
    })

  it('a deadlock and a lock that is waited for too long fail the write, and leave nothing', async () => {
    const place = await world(item, report)
    await place.sql('update item set n = 1 where id = 1')
    const [locker, writer] = [await connect(place), await connect(place)]
    await writer.query('set innodb_lock_wait_timeout = 1')
    await locker.query('begin')
    await locker.query('select count(*) from whodunit_entry for update') // the gap behind the last one too
    expect(await codeOf(writer.query('update item set n = 2'))).toBe(1205)
    await writer.query('set innodb_lock_wait_timeout = 20')
    await writer.query('begin')
    const codes = [codeOf(writer.query('update item set n = 3 where id = 1'))]
    for (;;) {
      const waiting = await place.sql(
        `select 1 from information_schema.innodb_trx where trx_state = 'LOCK WAIT' and trx_mysql_thread_id = ${writer.threadId}`,
      )
      if (waiting.length > 0) break
      await sleep(200) // what it answers is kept for a tenth of a second after it was asked last
    }
    codes.push(codeOf(locker.query('update item set n = 4 where id = 1')))
    const [first, second] = await Promise.all(codes)
    expect(new Set([first, second])).toEqual(new Set([1213, 'done']))
    await locker.query('commit')
    await writer.query('commit')
    expect([await numbers(place), await lost(place)]).toEqual([[first === 'done' ? 3 : 4, 1], []])
    expect((await place.recorded()).length).toBe(1)
  })

  it('no value of the row is in what is counted', async () => {
    const place = await world(item, report)
    await refusing(place, 1114)
    await place.sql(`update item set note = 'hidden 2'`)
    expect(await lost(place)).toEqual(['item 2 1114'])
    const counted = await place.sql('select * from whodunit_unrecorded')
    expect(JSON.stringify([counted, await place.audit.status()])).not.toContain('hidden')
  })

  it('the cause is told where a statement has had many warnings before', async () => {
    const place = await world(`${item}; create table source (id int primary key, n varchar(10))`, report)
    await place.sql(`insert into source select seq, 'x' from seq_1_to_100`)
    await refusing(place, 1114)
    await place.sql(`set session sql_mode = ''`)
    await place.sql(`insert into item select id + 10, 'hidden', n from source`)
    expect(await lost(place)).toEqual(['item 100 1114'])
  })

  it('what a foreign key cascades is counted for each row of its table', async () => {
    const place = await world(
      `${item}; create table part (id int primary key, item_id int, foreign key (item_id) references item (id) on delete cascade);
       insert into part values (1, 1), (2, 1), (3, 2)`,
      report,
    )
    await refusing(place, 1114, `new.model = 'part' and new.action <> 'UNRECORDED'`)
    await place.sql('delete from item where id = 1')
    expect(await lost(place)).toEqual(['part 2 1114'])
    const short = (await place.recorded()).map(([action, model, id]) => `${action} ${model} ${id}`)
    expect(short).toEqual(['UNRECORDED part 1', 'UNRECORDED part 2', 'DELETE item 1'])
    expect(await place.sql('select id from part')).toEqual([{ id: 3 }])
  })

  it('a cascade goes on where who made the triggers may no longer read its table', async () => {
    const place = await world(
      `${item}; create table part (id int primary key, item_id int, foreign key (item_id) references item (id) on delete cascade);
       insert into part values (1, 1), (2, 1)`,
      report,
      false,
    )
    const owner = await place.database.createUser(`all on ${place.database.name}.*`, 'super on *.*')
    const pool = mysql.createPool({ uri: owner.url, connectionLimit: 2 })
    const audit = createAudit({ ...report, database: fromMysql2(pool) })
    onTestFinished(async () => {
      await audit.close()
      await pool.end()
    })
    await audit.migrate()
    await place.sql(`revoke all on ${place.database.name}.* from ${owner.name}@'%'`)
    for (const table of ['item', 'whodunit_entry', 'whodunit_unrecorded'])
      await place.sql(
        `grant select, insert, update, trigger on ${place.database.name}.${table} to ${owner.name}@'%'`,
      )
    await place.sql('delete from item where id = 1')
    expect([await place.sql('select id from part'), await lost(place)]).toEqual([[], ['part 1 1142']])
    const short = (await place.recorded()).map(([action, model, id]) => `${action} ${model} ${id}`)
    expect(short).toEqual(['UNRECORDED part null', 'DELETE item 1'])
  })

  it('an application with the rights that the guide names sees what is missing', async () => {
    const place = await world(item, report)
    await refusing(place, 1114)
    await place.sql('update item set n = 2')
    const on = (what: string): string => `${what}${place.database.name}.`
    const { url } = await place.database.createUser(
      `${on('select, update on ')}item`,
      `${on('execute on procedure ')}whodunit_triggers`,
      ...['trail', 'policy', 'unrecorded'].map((table) => `${on('select on ')}whodunit_${table}`),
    )
    const pool = mysql.createPool({ uri: url, connectionLimit: 2 })
    const app = createAudit({ ...report, database: fromMysql2(pool) })
    onTestFinished(async () => {
      await app.close()
      await pool.end()
    })
    expect((await app.status()).unrecorded).toMatchObject([{ model: 'item', changes: 2 }])
    expect((await app.check()).map(({ message }) => message)).toEqual([
      expect.stringContaining('2 changes of item were let through'),
    ])
    await expect(pool.query('delete from whodunit_unrecorded')).rejects.toThrow(/denied/)
  })

  it('what is counted makes no writer wait, and what is committed later is counted later', async () => {
    const place = await world(item, report)
    await refusing(place, 1114, `new.kind = 'change'`)
    const writer = await connect(place)
    await writer.query('begin')
    await writer.query('update item set n = 2 where id = 1')
    await place.sql('set innodb_lock_wait_timeout = 1; update item set n = 3 where id = 2')
    expect(await lost(place)).toEqual(['item 1 1114'])
    await place.audit.migrate()
    expect(await lost(place)).toEqual([])
    await writer.query('commit')
    expect(await lost(place)).toEqual(['item 1 1114'])
  })

  it('where not even the count can be kept, the write goes on', async () => {
    const place = await world(item, report)
    await refusing(place, 1114)
    await place.sql('rename table whodunit_unrecorded to gone')
    await place.sql('update item set n = 2')
    await place.sql('rename table gone to whodunit_unrecorded')
    expect([await numbers(place), await lost(place)]).toEqual([[2, 2], []])
  })
})
