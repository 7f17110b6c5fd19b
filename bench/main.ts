import { printFigures } from './figures.ts'
import { singleUpdate } from './postgres/single.ts'
import { openWorld } from './postgres/world.ts'

const world = await openWorld()
try {
  printFigures(await singleUpdate(world, 9))
} finally {
  await world.close()
}
