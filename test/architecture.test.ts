import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join, posix } from 'node:path'
import { expect, test } from 'vitest'
import { isShared } from '../scripts/entries.ts'
import { importsOf } from '../scripts/imports.ts'

/** Imports go down only; folders on one floor do not know each other. The ground floor stands first. */
const floors = [
  ['core'],
  ['capture'],
  ['dialect'],
  ['driver'],
  ['store'],
  ['database'],
  ['orm', 'security', 'admin', 'testing'],
  ['http', 'auth'],
  ['cli'],
]

/** These reach the core as a stranger's adapter would: through the front door or an interface named here. */
const frontDoor = 'index.ts'
const coreInterfaces = ['core/internal.ts']
const strangers = ['orm', 'security', 'admin', 'testing', 'http', 'auth']

/** In these, `x.ts` with its folder `x/` is an adapter of its own, which leans on no other; `base/` and `isShared` serve all. */
const foldersOfAdapters = ['driver', 'orm', 'http', 'auth']

/** Nothing below the CLI may know these. */
const leaves = ['testing', 'cli']

/** What a thing can do is asked of it, not guessed from its name; only a URL says which database it means. */
const mayCompareNames = ['cli', 'database/open.ts']
const names = {
  databases: ['postgres', 'postgresql', 'sqlite', 'mariadb', 'mysql'],
  clients: ['pg', 'postgres-js', 'pglite', 'better-sqlite3', 'node-sqlite', 'libsql', 'mysql2'],
  orms: ['drizzle', 'prisma', 'kysely', 'typeorm', 'sequelize', 'mikro-orm', 'knex'],
  frameworks: ['express', 'fastify', 'hono', 'koa', 'nest', 'trpc', 'better-auth', 'passport', 'auth-js'],
}

const maxLines = 500

const folderOf = (file: string) => (file.includes('/') ? file.split('/')[0]! : file)
const adapterOf = (file: string) => file.split('/')[1]!.replace(/\.ts$/, '')
const floorOf = (file: string) => floors.findIndex((folders) => folders.includes(folderOf(file)))

/** Why `from` may not import `to`, both relative to src; undefined if it may. */
function objection(from: string, to: string): string | undefined {
  if (to.startsWith('..')) return to === '../package.json' ? undefined : 'src knows nothing outside itself'
  if (from === frontDoor) return folderOf(to) === 'core' ? undefined : 'the front door shows the core only'
  if (to === frontDoor) {
    return [...strangers, 'cli'].includes(folderOf(from))
      ? undefined
      : 'what the front door shows lies below it'
  }
  if (folderOf(from) === folderOf(to)) {
    const apart = foldersOfAdapters.includes(folderOf(from)) && adapterOf(from) !== adapterOf(to)
    const serves = adapterOf(to) === 'base' || isShared(folderOf(to), basename(to))
    return apart && !serves ? 'an adapter leans on no sibling' : undefined
  }
  if (leaves.includes(folderOf(to))) return `nothing imports ${folderOf(to)}`
  if (floorOf(to) >= floorOf(from)) return 'imports go down only'
  if (folderOf(to) === 'core' && strangers.includes(folderOf(from)) && !coreInterfaces.includes(to)) {
    return `the core is reached through ${[frontDoor, ...coreInterfaces].join(' or ')}`
  }
  return undefined
}

const filesIn = (folder: string): string[] =>
  existsSync(folder)
    ? readdirSync(folder, { recursive: true, encoding: 'utf8' })
        .map((file) => join(folder, file).replaceAll('\\', '/'))
        .filter((file) => /\.(ts|tsx|js|mjs|css)$/.test(file) && !/(^|\/)(node_modules|dist)\//.test(file))
    : []

const sources = filesIn('src').map((path) => ({
  file: path.slice('src/'.length),
  text: readFileSync(path, 'utf8'),
}))

test('every folder of src has a floor', () => {
  const homeless = sources.map(({ file }) => file).filter((file) => file !== frontDoor && floorOf(file) < 0)
  expect(homeless).toEqual([])
})

test('imports go down only', () => {
  const broken = sources.flatMap(({ file, text }) =>
    importsOf(text)
      .filter((specifier) => specifier.startsWith('.'))
      .map((specifier) => posix.join(dirname(file), specifier))
      .map((to) => ({ to, why: objection(file, to) }))
      .flatMap(({ to, why }) => (why ? [`${file} -> ${to}: ${why}`] : [])),
  )
  expect(broken).toEqual([])
})

test('the front door only re-exports', () => {
  const text = sources.find(({ file }) => file === frontDoor)?.text ?? ''
  const rest = text
    .replaceAll(/\/\*[^]*?\*\/|\/\/.*/g, '')
    .replaceAll(/export (type )?(\{[^}]*\}|\*) from '[^']+'/g, '')
  expect(rest.trim()).toBe('')
})

test('nothing asks a database, a client or a framework for its name', () => {
  const name = `['"](?:${Object.values(names).flat().join('|')})['"]`
  const asksForName = new RegExp(`[!=]==?\\s*${name}|${name}\\s*[!=]==?|\\bcase\\s+${name}`, 'i')
  const found = sources
    .filter(({ file }) => !mayCompareNames.includes(file) && !mayCompareNames.includes(folderOf(file)))
    .filter(({ text }) => asksForName.test(text))
  expect(found.map(({ file, text }) => `${file}: ${asksForName.exec(text)?.[0]}`)).toEqual([])
})

const everything = ['src', 'test', 'examples'].flatMap(filesIn)

test(`no file is longer than ${maxLines} lines`, () => {
  const lines = (file: string) => readFileSync(file, 'utf8').trimEnd().split('\n').length
  expect(everything.filter((file) => lines(file) > maxLines)).toEqual([])
})

test('no file is named for being of use', () => {
  const catchAll = /(^|[/._-])(utils?|helpers?|managers?)([/._-]|$)/i
  expect(everything.filter((file) => catchAll.test(file))).toEqual([])
})
