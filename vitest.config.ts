import { existsSync, readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { publicEntries } from './scripts/entries.ts'

/** Earlier versions of PostgreSQL, once `npm run test:servers` has installed them: `--project postgres-14` and so on. */
const servers = fileURLToPath(new URL('test/servers/node_modules', import.meta.url))
const postgresVersions = existsSync(servers)
  ? readdirSync(servers).filter((name) => /^postgres-\d+$/.test(name))
  : []

// 'whodunit' means the sources here, so that tests need no build and share one copy of every module.
const alias = Object.entries(publicEntries()).map(([path, source]) => ({
  find: new RegExp(`^${path.replace('.', 'whodunit')}$`),
  replacement: fileURLToPath(new URL(source, import.meta.url)),
}))

export default defineConfig({
  resolve: { alias },
  test: {
    // The first to ask waits until a database server, or PGlite, has made its files.
    testTimeout: 30_000,
    // Not fewer where cores are few: most of the time is spent waiting, for a server or for another process.
    maxWorkers: 2,
    hookTimeout: 120_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/**/*.db.test.ts', 'test/dist.test.ts'],
          typecheck: {
            enabled: true,
            include: ['test/**/*.test-d.ts'],
            ignoreSourceErrors: true,
          },
        },
      },
      {
        extends: true,
        test: {
          name: 'database',
          include: ['test/**/*.db.test.ts'],
          globalSetup: 'test/harness/setup.ts',
        },
      },
      ...postgresVersions.map((name) => ({
        extends: true as const,
        test: {
          name,
          // drivers and reading on the oldest alone; on those between it and the newest, what catalogues and triggers differ in
          include:
            name === 'postgres-14'
              ? ['test/{capture,driver,store}/*.db.test.ts']
              : [
                  'test/capture/{suite.pg,types,drift,partitions,relations,shapes,bulk,dump}.db.test.ts',
                  'test/capture/{replication,migrations,failures}.db.test.ts',
                ],
          // no other database, nothing inside the process; neither how the disk is written nor who waits for whom is a matter of versions
          exclude: [
            'test/**/*{pglite,sqlite,libsql,mariadb,mysql2}*.db.test.ts',
            'test/capture/{faults,backfill-replay,migrate}.db.test.ts',
          ],
          globalSetup: 'test/harness/setup.ts',
          env: { POSTGRES_VERSION: name.replace('postgres-', '') },
        },
      })),
      {
        extends: true,
        test: { name: 'dist', include: ['test/dist.test.ts'] },
      },
    ],
  },
})
