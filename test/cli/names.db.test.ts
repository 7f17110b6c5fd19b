import { join } from 'node:path'
import Database from 'better-sqlite3'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { finished, type Project, project } from './command-line.ts'

const names = { Invoice: { table: 'invoices', fields: { id: 'id', amountDue: 'amount_due' } } }
const config = (models: object): string => JSON.stringify({ url: 'sqlite:shop.db', names, models })
let shop: Project
let database: Database.Database

beforeAll(() => {
  shop = project()
  database = new Database(join(shop.folder, 'shop.db'))
  database.exec(
    'pragma journal_mode = wal; create table invoices (id integer primary key, amount_due integer)',
  )
  shop.write('whodunit.config.json', config({ Invoice: { label: 'no. {id}', ignore: ['amountDue'] } }))
})
afterAll(() => {
  database.close()
  shop.remove()
})

test('the command line speaks the names of the configuration', async () => {
  expect(await shop.run('migrate')).toMatchObject({ code: 0 })
  database.exec(
    'insert into invoices values (7, 1); update invoices set amount_due = 2; delete from invoices',
  )
  for (const asked of ['Invoice/7', 'invoices/7']) {
    const { stdout, stderr } = await shop.run('log', asked, '--json')
    const entries = JSON.parse(stdout) as object[]
    expect(stderr).toBe('')
    expect(entries).toMatchObject([
      {
        action: 'DELETE',
        target: { model: 'Invoice', id: '7', label: 'no. 7' },
        changes: { amountDue: [2, null] },
      },
      { action: 'CREATE', target: { model: 'Invoice' }, changes: { amountDue: [null, 1] } },
    ])
  }
  const { stdout } = await shop.run('log', '--changed', 'amountDue', '--model', 'Invoice', '--json')
  expect(JSON.parse(stdout)).toHaveLength(2)
})

test('a feed is filtered in either names', async () => {
  for (const model of ['Invoice', 'invoices']) {
    const child = shop.start(
      'tail',
      '--follow',
      '--model',
      model,
      '--changed',
      'amount_due',
      '--json',
      '--limit',
      '1',
    )
    const seen = new Promise<void>((resolve) => {
      child.stdout?.on('data', (text: Buffer) => String(text).includes('"CREATE"') && resolve())
      const again = setInterval(() => {
        database.exec('insert into invoices values (8, 1); delete from invoices')
      }, 200)
      child.on('close', () => clearInterval(again))
    })
    const end = finished(child)
    await seen
    child.kill('SIGINT')
    expect((await end).code).toBe(0)
  }
})

test('a name that does not exist is an error with the nearest of the configuration', async () => {
  shop.write('other.json', config({ Invoise: {} }))
  const { code, stderr } = await shop.run('migrate', '--config', 'other.json')
  expect([code, stderr]).toEqual([2, expect.stringContaining('Did you mean "Invoice"?')])
})
