import { defineConfig } from 'tsdown'
import { publicEntries } from './scripts/entries.ts'

export default defineConfig({
  entry: [...Object.values(publicEntries()), 'src/cli/main.ts'],
  root: 'src',
  format: 'esm',
  platform: 'node',
  unbundle: true,
  fixedExtension: false,
  sourcemap: true,
  dts: { oxc: true, sourcemap: true },
  tsconfig: 'tsconfig.build.json',
})
