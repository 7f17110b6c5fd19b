import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { findConfig, loadConfig } from '../../src/cli/config.ts'
import { type Project, project } from './command-line.ts'

let files: Project
beforeEach(() => {
  files = project()
})
afterEach(() => files.remove())

describe('finding the configuration', () => {
  it('takes the nearest one, upwards from the folder', () => {
    const inner = join(files.folder, 'a', 'b')
    mkdirSync(inner, { recursive: true })
    const outer = files.write('whodunit.config.mjs', '')
    expect(findConfig(inner)).toBe(outer)
    const nearer = files.write('a/whodunit.config.json', '{}')
    expect(findConfig(inner)).toBe(nearer)
  })

  it('prefers TypeScript, then JavaScript, then JSON, in one folder', () => {
    for (const name of [
      'whodunit.config.json',
      'whodunit.config.mjs',
      'whodunit.config.js',
      'whodunit.config.ts',
    ]) {
      const file = files.write(name, '')
      expect(findConfig(files.folder)).toBe(file)
    }
  })

  it('finds none where there is none', async () => {
    expect(await loadConfig(undefined, files.folder)).toBeUndefined()
  })

  it('says so when a named file is not there', async () => {
    await expect(loadConfig('nope.ts', files.folder)).rejects.toMatchObject({
      code: 'AUDIT_CONFIG_NOT_FOUND',
    })
  })
})

describe('loading the configuration', () => {
  it('runs TypeScript with types, imports, import.meta.url, the environment, and without whodunit installed', async () => {
    process.env['CLI_TEST_URL'] = 'postgres://somewhere/x'
    onTestFinished(() => void delete process.env['CLI_TEST_URL'])
    files.write('names.ts', `export const skipped: string = 'sessions'`)
    const file = files.write(
      'whodunit.config.ts',
      `import { defineAudit, type AuditConfig } from 'whodunit'
       import { skipped } from './names.ts'
       enum Level { High = 'high' }
       export default defineAudit({
         url: process.env['CLI_TEST_URL']!,
         skipModels: [skipped, import.meta.url],
         models: { a: { severity: Level.High } },
       }) satisfies AuditConfig`,
    )
    expect(await loadConfig(undefined, files.folder)).toEqual({
      file,
      config: {
        url: 'postgres://somewhere/x',
        skipModels: ['sessions', pathToFileURL(file).href],
        models: { a: { severity: 'high' } },
      },
    })
  })

  it.each([
    ['whodunit.config.js', 'export default { redact: ["a"] }'],
    ['whodunit.config.js', 'module.exports = { redact: ["a"] }'],
    ['whodunit.config.mjs', 'export default await Promise.resolve({ redact: ["a"] })'],
    ['whodunit.config.json', '{ "redact": ["a"] }'],
  ])('reads %s: %s', async (name, content) => {
    files.write(name, content)
    expect((await loadConfig(undefined, files.folder))?.config).toEqual({ redact: ['a'] })
  })

  it.each([
    ['a syntax error', 'export default {\n  url: = 1\n}', /Unexpected token.*config\.ts:2:\d/],
    ['a throw', 'const a = 1\n\nthrow new Error("no\\nsecret")', /no secret at .*config\.ts:3:7/],
    ['an import that fails', 'import { x } from "./gone.ts"\nexport default { url: x }', /gone\.ts/],
    ['no default export', 'export const url = "x"', /exports no configuration/],
    ['a default export that is no object', 'export default "x"', /exports no configuration/],
  ])('tells of %s, and where', async (_what, content, message) => {
    files.write('whodunit.config.ts', content)
    await expect(loadConfig(undefined, files.folder)).rejects.toMatchObject({
      code: 'AUDIT_CONFIG_UNREADABLE',
      message: expect.stringMatching(message),
    })
  })

  it('tells of malformed JSON, and where', async () => {
    files.write('whodunit.config.json', '{ "url": }')
    await expect(loadConfig(undefined, files.folder)).rejects.toMatchObject({
      code: 'AUDIT_CONFIG_UNREADABLE',
      message: expect.stringMatching(/json could not be loaded: .*not valid JSON/),
    })
  })

  it('refuses an unknown key with the nearest name, whether the file calls defineAudit or not', async () => {
    files.write('whodunit.config.json', '{ "modles": {} }')
    const refused = { code: 'AUDIT_POLICY_UNKNOWN_KEY', message: expect.stringContaining('"models"') }
    await expect(loadConfig(undefined, files.folder)).rejects.toMatchObject(refused)
    files.write(
      'whodunit.config.ts',
      `import { defineAudit } from 'whodunit'\nexport default defineAudit({ modles: {} } as never)`,
    )
    await expect(loadConfig(undefined, files.folder)).rejects.toMatchObject(refused)
  })
})
