import { setTimeout as sleep } from 'node:timers/promises'
import mysql from 'mysql2/promise'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createAudit } from '../../src/index.ts'
import { fromMysql2 } from '../../src/database/mariadb.ts'
import { freshMariadb, hasMariadb } from '../harness/mariadb.ts'

const writers = 12
const rounds = 25

describe.skipIf(!hasMariadb)('follow on MariaDB', () => {
  async function shop() {
    const database = await freshMariadb()
    await database.sql('create table item (id int primary key, n int)')
    const reader = mysql.createPool({ uri: database.url, connectionLimit: 2 })
    const audit = createAudit({ database: fromMysql2(reader) })
    await audit.migrate()
    const pool = mysql.createPool({ uri: database.url, connectionLimit: writers + 1 })
    onTestFinished(async () => {
      await audit.close()
      await reader.end()
      await pool.end()
      await database.drop()
    })
    return { database, audit, pool, follower: fromMysql2(reader).trail }
  }

  it(
    'gives each committed entry once, whatever order the writers commit in',
    { timeout: 120_000 },
    async () => {
      const { database, pool, follower } = await shop()
      const committed = new Set<string>()
      let next = 0
      const write = async (pause: () => number, keep: () => boolean): Promise<void> => {
        const connection = await pool.getConnection()
        try {
          await connection.query('begin')
          const mine: string[] = []
          for (let n = 0; n < 1 + Math.floor(Math.random() * 3); n++) {
            const id = ++next
            await connection.query('insert into item values (?, 0)', [id])
            mine.push(String(id))
            await sleep(pause())
          }
          if (keep()) {
            await connection.query('commit')
            for (const id of mine) committed.add(id)
          } else await connection.query('rollback')
        } finally {
          connection.release()
        }
      }
      const seen: string[] = []
      let position: string | undefined
      let done = false
      const read = async (): Promise<void> => {
        const batch = await follower.follow(position, 7)
        ;({ position } = batch)
        seen.push(...batch.entries.flatMap(({ target }) => (target?.model === 'item' ? [target.id!] : [])))
        if (batch.more) await read()
      }
      const reading = (async () => {
        while (!done) await read()
      })()
      const slow = write(
        () => 1_000,
        () => true,
      )
      await Promise.all([
        slow,
        ...Array.from({ length: writers }, async () => {
          for (let round = 0; round < rounds; round++)
            await write(
              () => Math.random() * 12,
              () => Math.random() > 0.25,
            )
        }),
      ])
      done = true
      await reading
      await read()
      expect(committed.size).toBeGreaterThan(writers * rounds * 0.5)
      expect(new Set(seen)).toEqual(committed)
      expect(seen).toHaveLength(committed.size)
      const [{ n }] = (await database.sql(
        `select count(*) as n from whodunit_entry where model = 'item'`,
      )) as [{ n: number }]
      expect(n).toBe(committed.size)
    },
  )

  it('waits for a transaction that was open from the beginning, and tells nobody what was rolled back', async () => {
    const { pool, follower } = await shop()
    const [early, undone] = [await pool.getConnection(), await pool.getConnection()]
    await early.query('begin')
    await early.query('insert into item values (1, 0)')
    await undone.query('begin')
    await undone.query('insert into item values (2, 0)')
    await pool.query('insert into item values (3, 0)')
    const ids = (batch: { entries: readonly { target: { id: string | null } | null }[] }) =>
      batch.entries.flatMap(({ target }) => (target ? [target.id] : []))
    const first = await follower.follow(undefined, 10)
    expect(ids(first)).toEqual(['3'])
    const now = await follower.end()
    await undone.query('rollback')
    undone.release()
    const second = await follower.follow(first.position, 10)
    expect(ids(second)).toEqual([])
    await early.query('commit')
    early.release()
    await pool.query('insert into item values (4, 0)')
    expect(ids(await follower.follow(second.position, 10))).toEqual(['1', '4'])
    expect(ids(await follower.follow(now, 10))).toEqual(['1', '4'])
    expect(ids(await follower.follow(undefined, 10))).toEqual(['1', '3', '4'])
  })
})
