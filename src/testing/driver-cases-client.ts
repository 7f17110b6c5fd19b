import { suiteTable } from './driver-ledger.ts'
import type { DefineCase } from './driver-suite.ts'

/** What some clients have: texts of several statements, prepared statements, connections of their own, callbacks. */
export function clientCases(test: DefineCase): void {
  test(
    'a text of several statements carries it in each',
    (driver) => driver.text,
    async ({ driver, race, ledger }) =>
      race(async (writer) => {
        const [a, b] = [ledger.note(writer), ledger.note(writer)]
        await driver.text!(`${insertSql(ledger.id(), a)}; /* ; */ ${insertSql(ledger.id(), b)};`)
        ledger.committed(a, b)
      }),
  )

  test(
    'a prepared statement has the context of each call',
    (driver) => driver.prepared,
    async ({ driver, race, ledger, at }) =>
      race(async (writer) => {
        for (let n = 0; n < 3; n++) {
          const note = ledger.note(writer)
          await driver.prepared!('suite_insert', `insert into ${suiteTable} values (${at(1)}, ${at(2)})`, [
            ledger.id(),
            note,
          ])
          ledger.committed(note)
        }
      }),
  )

  test(
    'a commit that chains the next transaction does not lose it',
    (driver) => driver.chains && driver.connection,
    async ({ driver, race, ledger, insert }) =>
      race(async (writer) => {
        await driver.connection!(async (connection) => {
          await connection.query('begin')
          const first = await insert(connection, writer)
          await connection.query('commit and chain')
          const second = await insert(connection, writer)
          await connection.query('rollback and chain')
          const third = await insert(connection, writer)
          await connection.query('commit')
          ledger.committed(first, third)
          void second
        })
      }),
  )

  test(
    'statements sent without waiting keep their order, and each its own',
    (driver) => driver.connection,
    async ({ driver, race, ledger, as, at }) =>
      race(async (writer) =>
        driver.connection!(async (connection) => {
          const [id, note, later, inner] = [
            ledger.id(),
            ledger.note(writer),
            ledger.note(writer),
            `inner-${ledger.id()}`,
          ]
          const [other, own] = [ledger.id(), ledger.note(inner)]
          const insert = `insert into ${suiteTable} (id, note) values (${at(1)}, ${at(2)})`
          await Promise.all([
            connection.query(insert, [id, note]),
            as(inner, async () => connection.query(insert, [other, own])),
            connection.query('select 1'),
            connection.query(`update ${suiteTable} set note = ${at(1)} where id = ${at(2)}`, [later, id]),
          ])
          ledger.committed(note, own, later)
        }),
      ),
  )

  test(
    'a callback runs in the context of the code that passed it',
    (driver) => driver.callbacks?.length,
    async (given) => {
      const { driver, race, ledger, at } = given
      const sql = `insert into ${suiteTable} values (${at(1)}, ${at(2)})`
      await race(async (writer) => {
        for (const call of driver.callbacks!) {
          const notes = [ledger.note(writer), ledger.note(writer)]
          await new Promise<void>((resolve, reject) => {
            call(sql, [ledger.id(), notes[0]], (error) => {
              if (error) return reject(error)
              // written by the callback itself, in whatever context it was called
              return call(sql, [ledger.id(), notes[1]], (again) => (again ? reject(again) : resolve()))
            })
          })
          ledger.committed(...notes)
        }
      })
    },
  )
}

function insertSql(id: number, note: string): string {
  return `insert into ${suiteTable} values (${id}, '${note}')`
}
