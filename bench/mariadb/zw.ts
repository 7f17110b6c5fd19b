import mysql, { type Connection, type Pool } from 'mysql2/promise'
import { encodeParts } from '../../src/core/wire.ts'
import { fromMysql2 } from '../../src/database/mariadb.ts'
import { createAudit } from '../../src/index.ts'
import { startMariadb } from '../../test/harness/mariadb-server.ts'
import { context } from '../context.ts'
import { type Meter, threadCpu } from '../measure.ts'
import { customerColumns, fillCustomers } from './customer.ts'
import { peerTable, peerTriggers } from './peers.ts'

export const customers = 10_000
export const hand = { without: 'hand', within: 'hand_in_context' } as const
export const ours = { without: 'ours', within: 'ours_in_context' } as const
export const names: readonly string[] = [
  'plain',
  ...Object.values(hand),
  ...Object.values(ours),
  'full_image',
  'diff',
]

/** A table of a server whose changes are recorded in one way, and a pool of one connection that writes to it. */
export interface Place {
  readonly name: string
  readonly pool: Pool
  /** Of the server's thread for this connection. */
  readonly meter: Meter
  /** Runs in the context, or without one. */
  within(fn: () => Promise<void>): Promise<void>
  /** Where entries are written by hand: the statement, whose rows come from `from`. */
  byHand(target: string, action: string, changes: string, from: string): string | undefined
}

export interface World {
  readonly places: readonly Place[]
  /** Not measured. */
  readonly owner: Connection
  /** Entries of all tables, by table. */
  entries(): Promise<Readonly<Record<string, number>>>
  close(): Promise<void>
}

export async function openWorld(): Promise<World> {
  const server = await startMariadb(['--innodb-buffer-pool-size=512M', '--innodb-log-file-size=512M'])
  const owner = await mysql.createConnection(server.url)
  await owner.query('create database bench character set utf8mb4')
  await owner.query('use bench')
  const uri = `${server.url}bench`
  for (const name of names) {
    await owner.query(`create table ${name} (${customerColumns})`)
    await owner.query(fillCustomers(name, customers))
  }
  const policy = {
    models: { '*': false, ours: { redact: { profile: 'keep' } }, ours_in_context: {} },
  } as const
  const pools = new Map(names.map((name) => [name, mysql.createPool({ uri, connectionLimit: 1 })]))
  const audits = new Map(
    Object.values(ours).map((name) => [
      name as string,
      createAudit({ ...policy, database: fromMysql2(pools.get(name)!) }),
    ]),
  )
  await audits.get(ours.without)!.migrate()
  await owner.query('create table floor like whodunit_entry')
  await owner.query(peerTable)
  for (const how of ['full image', 'diff'] as const)
    for (const text of peerTriggers(how.replace(' ', '_'), how)) await owner.query(text)

  const place = async (name: string): Promise<Place> => {
    const pool = pools.get(name)!
    const isHand = Object.values<string>(hand).includes(name)
    return {
      name,
      pool,
      meter: await meterOf(pool),
      within: async (fn) => (name === ours.within ? audits.get(name)!.withContext(context, fn) : fn()),
      byHand: (...given) => (isHand ? byHand(name, ...given) : undefined),
    }
  }
  return {
    places: await Promise.all(names.map(place)),
    owner,
    async entries() {
      const [rows] = await owner.query(
        `select model as name, count(*) as n from whodunit_entry group by model union all
         select model, count(*) from floor group by model union all
         select table_name, count(*) from peer_entry group by table_name`,
      )
      return Object.fromEntries((rows as { name: string; n: number }[]).map(({ name, n }) => [name, n]))
    },
    async close() {
      for (const audit of audits.values()) await audit.close()
      for (const pool of pools.values()) await pool.end()
      await owner.end()
      await server.stop()
    },
  }
}

async function meterOf(pool: Pool): Promise<Meter> {
  const [rows] = await pool.query(`select tid from information_schema.processlist where id = connection_id()`)
  const { tid } = (rows as { tid: number }[])[0]!
  // the id of a thread is one of all processes
  return threadCpu(tid, tid)
}

function byHand(model: string, target: string, action: string, changes: string, from: string): string {
  const { actor, request, tenant, rest } = encodeParts(context)
  const by = model === hand.within ? [actor, request, tenant, rest].map((text) => `'${text}'`) : ['null', 'null', 'null', 'null'] // prettier-ignore
  const facts = ['sysdate(6)', `'change'`, `'${action}'`, `'${model}'`, target, `'${changes}'`, ...by, `'root'`] // prettier-ignore
  return `insert into floor (at, kind, action, model, target_id, changes, actor, request_id, tenant, context, role) select ${facts.join(', ')} ${from}`
}
