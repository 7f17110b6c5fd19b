import { existsSync, readdirSync } from 'node:fs'

const root = new URL('../', import.meta.url)
const foldersOfDoors = ['database', 'http', 'orm', 'auth']
const foldersThatAreOneDoor = ['security', 'admin', 'testing']

/** A file that its siblings share, such as driver/driver.ts: never a public path. */
export function isShared(folder: string, file: string): boolean {
  return /^(_.*|base|database|open)\.ts$/.test(file) || file === `${folder}.ts`
}

/** Every public path of the package with the source file behind it: `{ './express': 'src/http/express.ts' }`. */
export function publicEntries(): Record<string, string> {
  const found = [['.', 'src/index.ts']]
  for (const folder of foldersOfDoors) {
    if (!existsSync(new URL(`src/${folder}`, root))) continue
    for (const file of readdirSync(new URL(`src/${folder}`, root)).toSorted()) {
      if (/^[^.]+\.ts$/.test(file) && !isShared(folder, file)) {
        found.push([`./${file.slice(0, -3)}`, `src/${folder}/${file}`])
      }
    }
  }
  for (const folder of foldersThatAreOneDoor) {
    if (existsSync(new URL(`src/${folder}/index.ts`, root)))
      found.push([`./${folder}`, `src/${folder}/index.ts`])
  }
  const entries = Object.fromEntries(found) as Record<string, string>
  if (Object.keys(entries).length < found.length) {
    throw new Error(`Two source files claim one public path: ${found.map(([path]) => path).join(' ')}`)
  }
  return entries
}
