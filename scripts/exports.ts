import { readFileSync, writeFileSync } from 'node:fs'
import { publicEntries } from './entries.ts'

const file = new URL('../package.json', import.meta.url)
const text = readFileSync(file, 'utf8')
const exports: Record<string, string> = {}
for (const [path, source] of Object.entries(publicEntries())) {
  exports[path] = source.replace(/^src/, './dist').replace(/\.ts$/, '.js')
}
exports['./package.json'] = './package.json'

const derived = `${JSON.stringify({ ...JSON.parse(text), exports }, null, 2)}\n`
if (derived !== text) {
  if (process.env.CI)
    throw new Error('The exports in package.json differ from src. Run `npm run build` and commit.')
  writeFileSync(file, derived)
}
