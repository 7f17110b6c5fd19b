import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Client, createClient, type InArgs, type Transaction } from '@libsql/client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fromLibsql } from '../../src/database/sqlite.ts'
import { createAudit } from '../../src/index.ts'
import { driverSuite, type DriverUnderTest, type StatementsUnderTest } from '../../src/testing/index.ts'

const folder = mkdtempSync(join(tmpdir(), 'whodunit-'))
afterAll(() => rmSync(folder, { recursive: true }))

async function underTest(url: string): Promise<DriverUnderTest> {
  const original = createClient({ url })
  await original.execute('pragma synchronous = off')
  const audit = createAudit({ database: fromLibsql(original) })
  const client = audit.client
  const on = (target: Client | Transaction): StatementsUnderTest => ({
    query: async (sql, parameters = []) => target.execute({ sql, args: parameters as InArgs }),
    text: async (sql) => target.executeMultiple(sql),
  })
  // one transaction writes at a time, and the client does not wait for another
  let last: Promise<unknown> = Promise.resolve()
  const inTurn = async <T>(work: () => Promise<T>): Promise<T> => {
    const turn = last.then(work)
    last = turn.catch(() => {})
    return turn
  }
  const alone = on(client)
  return {
    query: async (sql, parameters) => inTurn(async () => alone.query(sql, parameters)),
    text: async (sql) => inTurn(async () => alone.text!(sql)),
    audit,
    takesTurns: true,
    placeholder: () => '?',
    setUp: async (sql) => original.execute(sql),
    transaction: async (fn) =>
      inTurn(async () => {
        const transaction = await client.transaction('write')
        try {
          const result = await fn({ ...on(transaction), handle: transaction })
          await new Promise((resolve) => setImmediate(resolve))
          await transaction.commit()
          return result
        } finally {
          transaction.close()
        }
      }),
    leftovers: async () => {
      const { rows } = await original.execute(
        'select coalesce(skip, actor, request_id, tenant, context, tx) as value from whodunit_context',
      )
      return rows.map(({ value }) => value)
    },
    close: async () => original.close(),
  }
}

const api = { describe, it, expect, beforeAll, afterAll }
driverSuite(api, '@libsql/client, in a file', async () => underTest(`file:${join(folder, 'libsql.db')}`))
driverSuite(api, '@libsql/client, in memory', async () => underTest(':memory:'))
