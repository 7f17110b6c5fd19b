import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
export const node: string = here('../../node_modules/.bin/node')
const main = here('../../src/cli/main.ts')
/** Starting from the sources takes twice as long without it. */
const compiled = join(tmpdir(), 'whodunit-compile-cache')

export interface Finished {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** A folder of a project, with the real command line to run in it. */
export interface Project {
  readonly folder: string
  write(name: string, content: string): string
  run(...args: string[]): Promise<Finished>
  /** Started, and not waited for. */
  start(...args: string[]): ChildProcess
  remove(): void
}

export function project(env: Readonly<Record<string, string>> = {}): Project {
  const folder = mkdtempSync(join(tmpdir(), 'whodunit-cli-'))
  const start = (...args: string[]): ChildProcess =>
    spawn(node, [main, ...args], {
      cwd: folder,
      env: { NODE_COMPILE_CACHE: compiled, ...process.env, ...env, NO_COLOR: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  return {
    folder,
    start,
    write(name, content) {
      writeFileSync(join(folder, name), content)
      return join(folder, name)
    },
    run: (...args) => finished(start(...args)),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}

export function finished(child: ChildProcess): Promise<Finished> {
  const texts = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (text: string) => {
      texts[name] += text
    })
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject).on('close', (code) => resolve({ code, ...texts }))
  })
}
