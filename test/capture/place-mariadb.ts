import * as mariadb from 'mariadb'
import mysql from 'mysql2/promise'
import { type AuditConfig, createAudit } from '../../src/index.ts'
import { fromMariadb, fromMysql2 } from '../../src/database/mariadb.ts'
import { type CaptureAnswer, type CaptureUnderTest } from '../../src/testing/index.ts'
import { freshMariadb, type MariadbDatabase } from '../harness/mariadb.ts'
import { contextByHand, mariadbState } from './suite-mariadb.ts'

/** An empty database for the contracts of capture and store, over mysql2. */
export async function overMysql2(policy: AuditConfig): Promise<CaptureUnderTest> {
  const place = await freshMariadb()
  const open = (given: AuditConfig) =>
    createAudit({ ...given, database: fromMysql2(mysql.createPool({ uri: place.url, connectionLimit: 3 })) })
  const audits = [open(policy)]
  const { client } = audits[0]!
  const on = (connection: mysql.Pool | mysql.PoolConnection) => ({
    query: async (sql: string, parameters: readonly unknown[] = []) => {
      const [result] =
        parameters.length > 0
          ? await connection.execute(sql, [...parameters] as never)
          : await connection.query(sql)
      return answerOf(result)
    },
  })
  return {
    audit: audits[0]!,
    database: fromMysql2(client),
    ...on(client),
    transaction: async (fn) => {
      const connection = await client.getConnection()
      try {
        await connection.beginTransaction()
        const result = await fn(on(connection))
        await connection.commit()
        return result
      } catch (error) {
        await connection.rollback()
        throw error
      } finally {
        connection.release()
      }
    },
    ...plainOf(place),
    with: (given) => {
      audits.push(open(given))
      return audits.at(-1)!
    },
    close: async () => {
      for (const audit of audits) {
        await audit.close()
        await audit.client.end()
      }
      await place.drop()
    },
  }
}

/** The same over mariadb. */
export async function overMariadb(policy: AuditConfig): Promise<CaptureUnderTest> {
  const place = await freshMariadb()
  const open = (given: AuditConfig) =>
    createAudit({
      ...given,
      database: fromMariadb(
        mariadb.createPool(`${place.url.replace('mysql:', 'mariadb:')}?connectionLimit=4`),
      ),
    })
  const audits = [open(policy)]
  const { client } = audits[0]!
  const on = (connection: mariadb.Pool | mariadb.PoolConnection) => ({
    query: async (sql: string, parameters: readonly unknown[] = []) =>
      answerOf(
        parameters.length > 0 ? await connection.execute(sql, [...parameters]) : await connection.query(sql),
      ),
  })
  return {
    audit: audits[0]!,
    database: fromMariadb(client),
    ...on(client),
    transaction: async (fn) => {
      const connection = await client.getConnection()
      try {
        await connection.beginTransaction()
        const result = await fn(on(connection))
        await connection.commit()
        return result
      } catch (error) {
        await connection.rollback()
        throw error
      } finally {
        await connection.release()
      }
    },
    ...plainOf(place),
    with: (given) => {
      audits.push(open(given))
      return audits.at(-1)!
    },
    close: async () => {
      for (const audit of audits) {
        await audit.close()
        await audit.client.end()
      }
      await place.drop()
    },
  }
}

function plainOf(place: MariadbDatabase): Pick<CaptureUnderTest, 'plain' | 'byHand' | 'state'> {
  return {
    plain: async (...statements) => {
      let rows: CaptureAnswer['rows'] = []
      for (const sql of statements) rows = await place.sql(sql)
      return Array.isArray(rows) ? rows : []
    },
    byHand: async (context, ...statements) => {
      for (const sql of [
        'begin',
        contextByHand(context),
        ...statements,
        'commit',
        'set @whodunit_context = null',
      ])
        await place.sql(sql)
    },
    state: async () => String((await place.sql(mariadbState))[0]!['state']),
  }
}

function answerOf(result: unknown): CaptureAnswer {
  if (Array.isArray(result)) return { rows: result as never }
  const { affectedRows, insertId } = result as { affectedRows: number; insertId: number | bigint }
  return { rows: [], changed: affectedRows, lastId: String(insertId) }
}
