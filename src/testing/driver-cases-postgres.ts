import { suiteTable } from './driver-ledger.ts'
import { rejects } from './driver-cases.ts'
import type { DefineCase, DriverUnderTest, TestApi } from './driver-suite.ts'

const postgres = (driver: DriverUnderTest): unknown => driver.postgres
const texts = (driver: DriverUnderTest): unknown => driver.postgres && driver.text
const connections = (driver: DriverUnderTest): unknown => driver.postgres && driver.connection

/** What only PostgreSQL has: transactions in a text, procedures, session statements, isolation levels. */
export function postgresCases(test: DefineCase, expect: TestApi['expect']): void {
  test('begin, insert and commit in one text carry it', texts, async ({ driver, race, ledger }) =>
    race(async (writer) => {
      const [a, b, c] = [ledger.note(writer), ledger.note(writer), ledger.note(writer)]
      await driver.text!(`begin; ${insertSql(ledger.id(), a)}; commit`)
      await driver.text!(
        `${insertSql(ledger.id(), b)}; commit; begin; set transaction isolation level serializable; ${insertSql(ledger.id(), c)}; end`,
      )
      ledger.committed(a, b, c)
    }),
  )

  test(
    'a text that rolls back to a savepoint and goes on carries it',
    (driver) => driver.text,
    async (given) => {
      const { driver, race, ledger, insert, as } = given
      await race(async (writer) => {
        const inner = `${writer ?? 'job'}-inner-${ledger.id()}`
        const notes = await driver.transaction(async (tx) => {
          const first = await insert(tx, writer)
          await tx.query('savepoint a')
          const later = ledger.note(inner)
          await as(inner, async () => {
            await insert(tx, inner)
            await tx.text!(`rollback to savepoint a; ${insertSql(ledger.id(), later)}`)
          })
          return [first, later, await insert(tx, writer)]
        })
        ledger.committed(...notes)
      })
    },
  )

  test(
    'an isolation level set by the second statement is allowed',
    postgres,
    async ({ driver, race, ledger, insert }) =>
      race(async (writer) => {
        const notes = await driver.transaction(async (tx) => {
          await tx.query('set transaction isolation level repeatable read')
          return [await insert(tx, writer)]
        })
        ledger.committed(...notes)
      }),
  )

  test(
    'resetting the session in between does not lose it',
    connections,
    async ({ driver, race, ledger, insert }) =>
      race(async (writer) => {
        await driver.connection!(async (connection) => {
          for (const reset of [
            'discard all',
            'reset all',
            `set application_name = 'suite'`,
            'reset session authorization',
          ]) {
            ledger.committed(await insert(connection, writer))
            await connection.query(reset)
          }
          await connection.query('begin')
          const notes = [await insert(connection, writer)]
          for (const reset of [
            'reset all',
            'reset whodunit.context',
            `set local application_name = 'suite'`,
            'set constraints all deferred',
          ]) {
            await connection.query(reset)
            notes.push(await insert(connection, writer))
          }
          await connection.query('commit')
          ledger.committed(...notes)
        })
      }),
  )

  test('a DO block carries it', postgres, async ({ driver, race, ledger }) =>
    race(async (writer) => {
      const [a, b] = [ledger.note(writer), ledger.note(writer)]
      await driver.query(`do $$ begin ${insertSql(ledger.id(), a)}; end $$`)
      await driver.transaction(async (tx) => tx.query(`do $$ begin ${insertSql(ledger.id(), b)}; end $$`))
      ledger.committed(a, b)
    }),
  )

  test(
    'a procedure that commits inside carries it before and after',
    (driver) => postgres(driver) && !driver.pooled,
    async ({ driver, race, ledger }) => {
      await driver.setUp(`create or replace procedure driver_suite_call(a int, b text, c int, d text) language plpgsql as
      $$ begin insert into ${suiteTable} values (a, b); commit; insert into ${suiteTable} values (c, d); end $$`)
      await race(async (writer) => {
        const [a, b] = [ledger.note(writer), ledger.note(writer)]
        await driver.query('call driver_suite_call($1, $2, $3, $4)', [ledger.id(), a, ledger.id(), b])
        ledger.committed(a, b)
        if (writer !== null && !writer.endsWith('1')) return
        const [kept, lost] = [ledger.note(writer), ledger.note(writer)]
        await rejects(
          driver.query(
            `do $$ begin ${insertSql(ledger.id(), kept)}; commit; ${insertSql(ledger.id(), lost)}; raise 'stop'; end $$`,
          ),
        )
        ledger.committed(kept)
      })
    },
  )

  test('statements sent without waiting keep their order', connections, async ({ driver, race, ledger }) => {
    await driver.setUp(`create or replace procedure driver_suite_one(a int, b text) language plpgsql as
      $$ begin insert into ${suiteTable} values (a, b); commit; end $$`)
    await race(async (writer) =>
      driver.connection!(async (connection) => {
        const [id, note, later] = [ledger.id(), ledger.note(writer), ledger.note(writer)]
        await Promise.all([
          connection.query('call driver_suite_one($1, $2)', [id, note]),
          connection.query(`update ${suiteTable} set note = $2 where id = $1`, [id, later]),
        ])
        ledger.committed(note, later)
      }),
    )
  })

  test('an error says where in the text it is, as without the wrapper', texts, async ({ driver, as }) => {
    const at = async (writer: string | null, sql: string): Promise<unknown> =>
      as(writer, async () =>
        driver.text!(sql).then(
          () => 'no error',
          (error: { position?: string }) => error.position,
        ),
      )
    for (const sql of [
      'insert into nowhere values (1)',
      "select '\u{1f600}é', nowhere",
      'begin; select 1; commit; select nowhere',
      'selec 1',
    ]) {
      expect(await at('somebody', sql)).toEqual(await at(null, sql))
      await driver.text!('rollback')
    }
  })

  test('what may not run in a transaction still runs', postgres, async ({ driver, as }) =>
    as('somebody', async () => {
      await driver.text?.(
        `create index concurrently suite_index on ${suiteTable} (note) where note <> 'a;b' -- once`,
      )
      await driver.query('drop index concurrently suite_index')
      await driver.text?.(`vacuum ${suiteTable}; -- done`)
    }),
  )
}

function insertSql(id: number, note: string): string {
  return `insert into ${suiteTable} values (${id}, '${note}')`
}
