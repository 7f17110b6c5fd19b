import { describe, test } from 'vitest'
import { hasMariadb } from '../harness/mariadb.ts'
import { holds, timeout } from './check.ts'
import { mariadb } from './engine-mariadb.ts'

describe.skipIf(!hasMariadb)('whatever is done, the tables of MariaDB can be rebuilt from the trail', () => {
  test('statement by statement', { timeout }, async () => holds(mariadb, 12))
  test('when all connections write at once', { timeout }, async () => holds(mariadb, 5, true))
})
