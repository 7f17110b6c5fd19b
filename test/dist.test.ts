import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { importsOf } from '../scripts/imports.ts'

const maxCoreGzipBytes = 25_000

/** These find the client that the application has installed, wherever that is. */
const mayRequire = ['database/open/installed.js', 'driver/postgres-js/own.js']

const { name, exports } = JSON.parse(readFileSync('package.json', 'utf8')) as {
  name: string
  exports: Record<string, string>
}
const modules = Object.keys(exports)
  .filter((path) => path !== './package.json')
  .map((path) => path.replace('.', name))

const inNode = (type: 'module' | 'commonjs', script: string) =>
  execFileSync(process.execPath, [`--input-type=${type}`, '--eval', script], { encoding: 'utf8' })

test.each(modules)('%s loads by import', (module) => {
  expect(inNode('module', `console.log(Object.keys(await import('${module}')).length > 0)`)).toBe('true\n')
})

test.each(modules)('%s loads by require', (module) => {
  expect(inNode('commonjs', `console.log(Object.keys(require('${module}')).length > 0)`)).toBe('true\n')
})

/** The file and everything it imports, however far; what is not a file is left as it was named. */
function loadedBy(file: string, seen = new Set<string>()): Set<string> {
  if (seen.has(file)) return seen
  seen.add(file)
  for (const specifier of importsOf(readFileSync(file, 'utf8'))) {
    if (specifier.startsWith('.')) loadedBy(join(dirname(file), specifier), seen)
    else seen.add(specifier)
  }
  return seen
}

test('the core loads no npm package', () => {
  const packages = [...loadedBy('dist/index.js')].filter(
    (loaded) => !loaded.startsWith('dist') && !isBuiltin(loaded),
  )
  expect(packages).toEqual([])
})

test('the core is small', () => {
  const files = [...loadedBy('dist/index.js')].filter((loaded) => loaded.startsWith('dist'))
  const bytes = gzipSync(files.map((file) => readFileSync(file, 'utf8')).join('')).length
  expect(bytes).toBeLessThanOrEqual(maxCoreGzipBytes)
})

test('nothing built needs createRequire', () => {
  const built = readdirSync('dist', { recursive: true, encoding: 'utf8' })
    .map((file) => file.replaceAll('\\', '/'))
    .filter((file) => file.endsWith('.js') && !mayRequire.includes(file))
  expect(built.filter((file) => readFileSync(join('dist', file), 'utf8').includes('createRequire'))).toEqual(
    [],
  )
})
