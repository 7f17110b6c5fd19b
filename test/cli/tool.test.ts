import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { describe, expect, it, onTestFinished } from 'vitest'
import { markedEnvironment } from '../../src/cli/environment.ts'
import { filterHints } from '../../src/cli/schema-tools.ts'
import { commandLine, toolName } from '../../src/cli/tool.ts'
import { mark } from '../../src/dialect/postgres/tool.ts'

describe('a command', () => {
  it.each([
    ['npx prisma migrate deploy', 'prisma'],
    ['npm run db:migrate', 'db:migrate'],
    ['node --env-file=.env node_modules/.bin/drizzle-kit migrate', 'drizzle-kit'],
    ['node node_modules/drizzle-kit/bin.cjs push', 'drizzle-kit'],
    ['node node_modules/@mikro-orm/cli/esm.js up', '@mikro-orm/cli'],
    ['env A=1 psql -f x.sql', 'psql'],
    ['npm --version', 'npm'],
  ])('is named after what it runs: %s', (line, name) => {
    expect(toolName(line.split(' '))).toBe(name)
  })

  it.each([
    ['psql postgres://ann:s3cret@host/db -p5432', 'psql postgres://ann:***@host/db -p5432'],
    ['tool --password s3cret --force', 'tool --password *** --force'],
    ['tool --api-key=s3cret --user ann', 'tool --api-key=*** --user ann'],
    ['mysql -ps3cret shop', 'mysql -p*** shop'],
    ['env PGPASSWORD=s3cret psql', 'env PGPASSWORD=*** psql'],
  ])('is shown without its secrets: %s', (line, shown) => {
    expect(commandLine(line.split(' '))).toBe(shown)
  })
})

describe('the variables of a tool', () => {
  const context = `-job:x\u001er1\u001e\u001e\n\n\n\nit's a \\ "100%" reason & more +1 ü\nmigration\n{"a":1}`
  const url = 'postgres://owner:p%40ss@db.host:5432/shop'
  /** What node-postgres would tell the server, taken apart as the server does. */
  const arrives = (of: string): string => {
    const { connectionParameters } = new pg.Client(of) as unknown as {
      connectionParameters: { options: string }
    }
    return connectionParameters.options.replace(/\\([^])/g, '$1').replace(/^.*-c whodunit\.context=/s, '')
  }

  it('holds the mark in every URL of the database, whoever signs in, and in no other', () => {
    const marked = markedEnvironment(
      {
        DATABASE_URL: url,
        DIRECT_URL: 'postgresql://another@DB.host:5432/shop?schema=public',
        OTHER_URL: 'postgres://owner@db.host:5432/other',
        BROKEN_URL: 'postgres://owner:100%@db.host:5432/shop',
        HOME: '/root',
      },
      url,
      context,
      mark,
    )
    expect(Object.keys(marked).toSorted()).toEqual(['DATABASE_URL', 'DIRECT_URL', 'PGOPTIONS'])
    expect(arrives(marked['DATABASE_URL']!)).toBe(context)
    expect(arrives(marked['DIRECT_URL']!)).toBe(context)
    expect(new URL(marked['DIRECT_URL']!).searchParams.get('schema')).toBe('public')
  })

  it('keeps the options that are there already', () => {
    const given = { PGOPTIONS: '-c lock_timeout=5s', DATABASE_URL: `${url}?options=-c%20search_path%3Dshop` }
    const marked = markedEnvironment(given, url, context, mark)
    expect(marked['PGOPTIONS']).toMatch(/^-c lock_timeout=5s -c whodunit\.context=-job:x/)
    expect(marked['DATABASE_URL']).toMatch(/\?options=-c%20search_path%3Dshop%20-c%20whodunit\.context%3D/)
    expect(arrives(marked['DATABASE_URL']!)).toBe(context)
  })
})

describe('tools that make a database like their schema', () => {
  const folder = mkdtempSync(join(tmpdir(), 'whodunit-tools-'))
  const trail = ['whodunit_entry', 'whodunit_trail']

  it('are told how to leave the trail alone, where its tables stand among theirs', () => {
    onTestFinished(() => rmSync(folder, { recursive: true }))
    expect(filterHints(folder, trail)).toEqual([])
    writeFileSync(join(folder, 'drizzle.config.ts'), '')
    expect(filterHints(folder, trail)).toEqual([
      expect.stringContaining(`tablesFilter: ['!whodunit_entry', '!whodunit_trail']`),
    ])
    writeFileSync(join(folder, 'prisma.config.ts'), '')
    expect(filterHints(folder, trail)[1]).toContain(`external: ['whodunit_entry', 'whodunit_trail']`) // prettier-ignore
    expect(filterHints(folder, [])).toEqual([])
  })
})
