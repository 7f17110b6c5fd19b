import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { driverSuite } from '../../src/testing/index.ts'
import { freshMariadb, hasMariadb, type MariadbDatabase } from '../harness/mariadb.ts'
import {
  mariadbCallbackUnderTest,
  mariadbPoolUnderTest,
  mysql2ConnectionUnderTest,
  mysql2PoolUnderTest,
} from './under-test-mariadb.ts'

describe.skipIf(!hasMariadb)('on MariaDB', () => {
  const places: MariadbDatabase[] = []
  const place = async (): Promise<MariadbDatabase> => {
    places.push(await freshMariadb())
    return places.at(-1)!
  }
  afterAll(async () => {
    for (const each of places) await each.drop()
  })

  const api = { describe, it, expect, beforeAll, afterAll }
  for (const max of [5, 1])
    driverSuite(api, `a pool of ${max} of mysql2/promise`, async () =>
      mysql2PoolUnderTest(await place(), max, 'promise'),
    )
  driverSuite(api, 'a pool of 3 of mysql2', async () => mysql2PoolUnderTest(await place(), 3, 'callback'))
  driverSuite(api, 'a pool of mysql2 with compression', async () =>
    mysql2PoolUnderTest(await place(), 3, 'promise', { compress: true }),
  )
  driverSuite(api, 'a connection of mysql2', async () => mysql2ConnectionUnderTest(await place()))
  for (const max of [5, 1])
    driverSuite(api, `a pool of ${max} of mariadb`, async () => mariadbPoolUnderTest(await place(), max))
  driverSuite(api, 'a pool of mariadb without pipelining', async () =>
    mariadbPoolUnderTest(await place(), 3, { pipelining: false }),
  )
  driverSuite(api, 'a pool of mariadb/callback', async () => mariadbCallbackUnderTest(await place(), 3))
})
