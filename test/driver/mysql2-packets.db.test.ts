import type { Socket } from 'node:net'
import mysql from 'mysql2'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createAudit } from '../../src/index.ts'
import { fromMysql2 } from '../../src/database/mariadb.ts'
import { freshMariadb, hasMariadb } from '../harness/mariadb.ts'

describe.skipIf(!hasMariadb)('the context over mysql2', () => {
  it('costs no round trip: all is written before anything is answered', async () => {
    const place = await freshMariadb()
    await place.sql('create table item (id int primary key, n int)')
    const pool = mysql.createPool({ uri: place.url, connectionLimit: 1 })
    const audit = createAudit({ database: fromMysql2(pool) })
    await audit.migrate()
    const connection = await pool.promise().getConnection()
    onTestFinished(async () => {
      connection.release()
      await audit.close()
      await pool.promise().end()
      await place.drop()
    })
    const { stream } = connection.connection as unknown as { stream: Socket }
    let order = ''
    const write = stream.write.bind(stream)
    stream.write = ((...args: Parameters<typeof write>) => {
      order += 'w'
      return write(...args)
    }) as typeof stream.write
    stream.on('data', () => (order += 'r'))
    const seen = async (work: () => Promise<unknown>): Promise<string> => {
      order = ''
      await audit.withContext({ actor: { id: 'ann' } }, work)
      await connection.ping() // what is ours has been answered
      return order.replace(/wr+$/, '').replaceAll(/r+/g, 'r')
    }
    await connection.execute('insert into item values (?, 0)', [0]) // prepared by now
    expect(await seen(async () => connection.query('insert into item values (1, 0)'))).toMatch(/^wwwr*$/)
    expect(await seen(async () => connection.execute('insert into item values (?, 0)', [2]))).toMatch(
      /^wwwr*$/,
    )
    expect(await seen(async () => connection.query('select * from item'))).toMatch(/^wr*$/)
    await connection.beginTransaction()
    expect(await seen(async () => connection.query('insert into item values (3, 0)'))).toMatch(/^wwr*$/)
    expect(await seen(async () => connection.query('insert into item values (4, 0)'))).toMatch(/^wwr*$/)
    await connection.commit()
    await expect(
      audit.withContext({ actor: { id: 'ann' } }, async () =>
        connection.execute('insert into nowhere values (1)'),
      ),
    ).rejects.toThrow(/nowhere/)
    const rows: unknown[] = []
    for await (const row of (connection.connection as unknown as mysql.Connection)
      .query('select id from item')
      .stream())
      rows.push(row)
    expect(rows).toHaveLength(5)
    const { entries } = await audit.entries.find({ actor: 'ann' })
    expect(entries.map(({ target }) => target?.id)).toEqual(['4', '3', '2', '1'])
  })
})
