import type { AuditConfig } from '../index.ts'
import type { CaptureSql, CaptureUnderTest } from './capture-suite.ts'
import type { TestApi } from './driver-suite.ts'
import { findCases } from './store-cases-find.ts'
import { logCases } from './store-cases-log.ts'
import { pageCases } from './store-cases-page.ts'

/** What the contract needs of a place; one for `captureSuite` has it all. */
export type StoreUnderTest = Pick<CaptureUnderTest, 'audit' | 'query' | 'plain' | 'close'>

/** What a case works with: one place for all of them, with tables that the cases share. */
export interface StoreWorld extends StoreUnderTest {
  readonly sql: CaptureSql
  /** The placeholder of the nth parameter. */
  at(index: number): string
  /** The name of a public view, by that of `entries`. */
  view(name: string): string
}

export interface StoreCases {
  /** Of the place in which the cases run; to be called inside of one. */
  world(): StoreWorld
  test(title: string, run: (world: StoreWorld) => Promise<void>): void
  expect(value: unknown): { toEqual(expected: unknown): unknown }
}

const tables = [
  'create table customer (id integer primary key, name varchar(50), city varchar(50))',
  'create table invoice (id integer primary key, customer_id integer, total integer)',
  'create table link (a integer, b varchar(20), primary key (a, b))',
  'create table item (id varchar(50) primary key, name varchar(200))',
  'create table users (id integer primary key, email varchar(50), api_token varchar(50))',
]

const policy: AuditConfig = {
  models: {
    customer: { label: '{name}', subject: 'id' },
    invoice: { subject: 'customer_id', category: 'billing', severity: 'high', tags: ['money', 'tax'] },
    item: { tags: ['pii'] },
    users: { redact: { email: 'hash' } },
  },
  actors: { user: { model: 'users', label: '{email}' } },
  skipActions: ['VIEW'],
}

/**
 * The contract of the store: what was recorded and logged is found by every filter, in pages, histories, summaries and
 * feeds, whatever the database. `open` gives an empty place, as for `captureSuite`.
 */
export function storeSuite(
  { describe, it, expect, beforeAll, afterAll }: TestApi,
  name: string,
  open: (policy: AuditConfig) => Promise<StoreUnderTest>,
  sql: CaptureSql,
): void {
  describe(name, () => {
    let place: StoreWorld
    beforeAll(async () => {
      place = {
        ...(await open(policy)),
        sql,
        at: sql.placeholder ?? ((index) => `$${index}`),
        view: (of) => sql.view.replace(/entries$/, of),
      }
      await place.plain(...tables)
      await place.audit.migrate()
    })
    afterAll(async () => place?.close())
    const cases: StoreCases = {
      world: () => place,
      expect,
      test: (title, run) => it(title, async () => run(place)),
    }
    findCases(cases)
    pageCases(cases)
    logCases(cases)
  })
}
