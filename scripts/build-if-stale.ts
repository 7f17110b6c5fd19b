import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'

const built = 'dist/index.js'
const sources = ['package.json', 'tsdown.config.ts', ...filesIn('src')]
const changedAt = (file: string) => statSync(file).mtimeMs

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((file) => `${folder}/${file}`)
}

if (!existsSync(built) || sources.some((file) => changedAt(file) > changedAt(built))) {
  const build = spawnSync('npm run --silent build', { shell: true, stdio: ['ignore', 'ignore', 'inherit'] })
  process.exitCode = build.status ?? 1
}
