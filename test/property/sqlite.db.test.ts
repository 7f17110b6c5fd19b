import { test } from 'vitest'
import { holds, timeout } from './check.ts'
import { sqlite } from './engine-sqlite.ts'

test('whatever is done, the tables of SQLite can be rebuilt from the trail', { timeout }, async () => {
  await holds(sqlite, 60)
})
