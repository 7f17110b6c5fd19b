import Database from 'better-sqlite3'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { encodeParts } from '../../src/core/wire.ts'
import { fromBetterSqlite3 } from '../../src/database/sqlite.ts'
import { type Audit, createAudit } from '../../src/index.ts'
import { context } from '../context.ts'
import { customerColumns, fillCustomers } from './customer.ts'
import { peers } from './peers.ts'

export const customers = 10_000

/** A database file of its own, with one table `customer`, whose changes are recorded in one way. */
export interface Place {
  readonly name: string
  readonly client: Database.Database
  /** Runs in the context, or without one; both are the same but for ours. */
  within(fn: () => void): Promise<void>
  /** Where entries are written by hand: the statement, whose rows come from `from`. */
  byHand(target: string, action: string, changes: string, from: string): string | undefined
  /** Entries there are. */
  entries(): number
}

export const hand = { without: 'hand', within: 'hand in context' } as const
export const ours = { without: 'ours', within: 'ours in context', byFunction: 'ours by function' } as const

export interface World {
  readonly places: readonly Place[]
  close(): Promise<void>
}

export async function openWorld(): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), 'whodunit-bench-'))
  const audits: ReturnType<typeof auditOf>[] = []
  const open = async (name: string): Promise<Place> => {
    const client = opened(join(folder, name))
    client.exec(`create table customer (${customerColumns}); ${fillCustomers(customers)}`)
    const isOurs = Object.values<string>(ours).includes(name)
    const isHand = Object.values<string>(hand).includes(name)
    const audit = isOurs || isHand ? auditOf(client, name === ours.byFunction) : undefined
    if (audit) {
      await audit.migrate()
      audits.push(audit)
    }
    if (isHand) toFloor(client)
    if (name in peers) client.exec(peers[name as keyof typeof peers])
    const table = isOurs ? 'whodunit_entry' : isHand ? 'floor' : name in peers ? 'peer_entry' : null
    const scoped = name === ours.within || name === ours.byFunction
    // what writes by hand has the client as it was
    const used = isHand ? (client.close(), opened(join(folder, name))) : client
    return {
      name,
      client: used,
      within: async (fn) => (scoped ? audit!.withContext(context, async () => fn()) : fn()),
      byHand: (target, action, changes, rows) =>
        isHand ? byHand(name === hand.within, target, action, changes, rows) : undefined,
      entries: () => (table ? (used.prepare(`select count(*) from ${table}`).pluck().get() as number) : 0),
    }
  }
  const names = ['plain', ...Object.values(hand), ...Object.values(ours), ...Object.keys(peers)]
  const places: Place[] = []
  for (const name of names) places.push(await open(name))
  return {
    places,
    async close() {
      for (const audit of audits) await audit.close()
      for (const place of places) place.client.close()
      await rm(folder, { recursive: true })
    },
  }
}

function auditOf(
  client: Database.Database,
  byFunction: boolean,
): Audit<Database.Database, Database.Database> {
  const database = fromBetterSqlite3(client, { context: byFunction ? 'function' : 'row' })
  return createAudit({ models: { '*': false, customer: {} }, database })
}

function opened(file: string): Database.Database {
  const client = new Database(file)
  client.pragma('journal_mode = wal')
  client.pragma('synchronous = off')
  return client
}

/** The table of the trail again, with the same columns, defaults and indexes, but without triggers. */
function toFloor(client: Database.Database): void {
  const texts = client
    .prepare(
      `select sql from sqlite_master where tbl_name = 'whodunit_entry' and type in ('table', 'index') and sql is not null`,
    ) // prettier-ignore
    .pluck()
    .all() as string[]
  const triggers = client.prepare(`select name from sqlite_master where type = 'trigger' and tbl_name = 'customer'`) // prettier-ignore
  for (const name of triggers.pluck().all()) client.exec(`drop trigger "${name as string}"`)
  for (const text of texts) client.exec(text.replaceAll('whodunit_entry', 'floor'))
}

function byHand(inContext: boolean, target: string, action: string, changes: string, rows: string): string {
  const { actor, request, tenant, rest } = encodeParts(context)
  const by = inContext ? [actor, request, tenant, rest].map((text) => `'${text}'`) : ['null', 'null', 'null', 'null'] // prettier-ignore
  const values = ['1', `'${action}'`, `'customer'`, target, `'${changes}'`, ...by]
  return `insert into floor (tx, action, model, target_id, changes, actor, request_id, tenant, context) select ${values.join(', ')} ${rows}`
}
