import { afterAll, test } from 'vitest'
import { holds, timeout } from './check.ts'
import { postgres } from './engine-postgres.ts'

const engine = postgres()
afterAll(async () => engine.close())

test('whatever is done, the tables of PostgreSQL can be rebuilt from the trail', { timeout }, async () => {
  await holds(engine, 16)
})

test('so they can when all connections write at once', { timeout }, async () => {
  await holds(engine, 6, true)
})
