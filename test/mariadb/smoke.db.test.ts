import { expect, test } from 'vitest'
import { world } from './fixture.ts'

test('smoke', async () => {
  const { sql, recorded, audit, entries } = await world('create table item (id int primary key, name varchar(50), note text)')
  await sql(`insert into item values (1, 'a', 'x')`)
  await sql(`update item set name = 'A'`)
  await sql(`update item set name = 'A'`)
  await sql(`delete from item`)
  expect(await recorded()).toEqual([
    ['CREATE', 'item', '1', { id: [null, 1], name: [null, 'a'], note: [null, 'x'] }],
    ['UPDATE', 'item', '1', { name: ['a', 'A'] }],
    ['DELETE', 'item', '1', { id: [1, null], name: ['A', null], note: ['x', null] }],
  ])
  await audit.withContext({ actor: { id: 'u', label: 'Ü' }, reason: 'because' }, async () => {
    await audit.client.promise().query(`insert into item values (2, 'b', 'y')`)
    await audit.client.promise().execute(`update item set name = ?`, ['z'])
  })
  await audit.logAuditEvent({ action: 'paid', target: { model: 'item', id: 1 } })
  await audit.flush()
  console.log((await audit.status()).tables, await audit.check(), (await audit.migrate()).done)
  console.dir((await entries()).slice(-3), { depth: 5 })
  console.dir(await sql('select * from whodunit_entries'), { depth: 5 })
})
