import { createServer } from 'node:net'
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freshDatabase, type TestDatabase } from '../harness/postgres.ts'
import { type Project, project } from './command-line.ts'

let folder: Project
let database: TestDatabase
beforeAll(async () => {
  folder = project()
  database = await freshDatabase()
})
afterAll(async () => {
  await database.drop()
  folder.remove()
})

/** It could not run: exit 2, nothing on stdout, one line on stderr without the password. */
async function refusal(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await folder.run(...args)
  expect([code, stdout]).toEqual([2, ''])
  expect(stderr).toMatch(/^AUDIT_[A-Z_]+: [^\n]+\n$/)
  expect(stderr).not.toContain('s3cret')
  return stderr
}

describe('a command that cannot run', () => {
  it('names the known forms for a URL of another scheme', async () => {
    expect(await refusal('log', '--database', 'mongodb://u:s3cret@h/d')).toMatch(
      /^AUDIT_DATABASE_URL: .*"mongodb:".*postgres:\/\/.*pglite:DIR/,
    )
    expect(await refusal('log', '--database', 's3cret')).toMatch(/^AUDIT_DATABASE_URL: /)
    expect(await refusal('log', '--database', 'postgres://u:s3cret/x@h/d')).toMatch(
      /^AUDIT_DATABASE_URL: .*%XX/,
    )
  })

  it.each(['libsql://h/d'])('says that %s is not supported yet', async (url) => {
    expect(await refusal('status', '--database', url)).toMatch(
      /^AUDIT_DATABASE_UNSUPPORTED: .*not supported by this release/,
    )
  })

  it('tells of a wrong password without showing it', async () => {
    const role = await database.createRole(`password 'other'`)
    const { rows } = await database.pool.query(
      `select current_setting('hba_file') as file, pg_read_file(current_setting('hba_file')) as text`,
    )
    const { file, text } = rows[0] as { file: string; text: string }
    const write = async (content: string): Promise<void> => {
      await database.pool.query(
        `copy (select unnest(string_to_array($$${content.trim()}$$, e'\\n'))) to '${file}' with (format text)`,
      )
      await database.pool.query('select pg_reload_conf()')
    }
    await write(`host all ${role.name} 127.0.0.1/32 scram-sha-256\n${text.replaceAll('\t', ' ')}`)
    try {
      await expect
        .poll(() => refusal('log', '--database', role.url.replace('@', ':s3cret@')), { timeout: 20_000 })
        .toMatch(/^AUDIT_DATABASE_UNREACHABLE: .*password authentication failed/)
    } finally {
      await write(text)
    }
  })

  it('tells of a server that is down, and of a database that is not there', async () => {
    const probe = createServer().listen(0, '127.0.0.1')
    await once(probe, 'listening')
    const { port } = probe.address() as { port: number }
    probe.close()
    expect(await refusal('log', '--database', `postgres://u:s3cret@127.0.0.1:${port}/x`)).toMatch(
      /^AUDIT_DATABASE_UNREACHABLE: .*ECONNREFUSED/,
    )
    expect(await refusal('log', '--database', `${database.url}_gone`)).toMatch(
      /^AUDIT_DATABASE_UNREACHABLE: .*does not exist/,
    )
  })

  it.each(['log', 'summary', 'export --format csv'])(
    'says of %s that there is no trail yet, and what to run',
    async (command) => {
      expect(await refusal(...command.split(' '), '--database', database.url)).toMatch(
        /^AUDIT_TRAIL_MISSING: .*whodunit migrate/,
      )
    },
  )

  it('suggests the nearest option, command and filter value', async () => {
    expect(await refusal('log', '--modle', 'x')).toMatch(
      /^AUDIT_CLI_USAGE: .*'--modle'.*Did you mean --model\?/,
    )
    expect(await refusal('lgo')).toMatch(/^AUDIT_CLI_USAGE: .*'lgo'.*Did you mean log\?/)
    expect(await refusal('log', '--database', database.url, '--kind', 'logon')).toMatch(
      /^AUDIT_QUERY_INVALID: .*"logon".*Did you mean "login"\?/,
    )
    expect(await refusal('log', '--database', database.url, '--since', 'yesterday')).toMatch(
      /^AUDIT_QUERY_INVALID: .*"yesterday"/,
    )
  })

  it('refuses values that no option takes', async () => {
    expect(await refusal('log', '--limit', '0')).toMatch(/^AUDIT_CLI_USAGE: .*'--limit <N>'.*'0'/)
  })

  it('asks for a database or a configuration where there is neither', async () => {
    expect(await refusal('status')).toMatch(/^AUDIT_CONFIG_NOT_FOUND: .*--database URL/)
    const empty = project()
    empty.write('whodunit.config.ts', 'export default { url: process.env.NOT_SET }')
    const { code, stderr } = await empty.run('status')
    expect([code, stderr]).toEqual([2, expect.stringMatching(/^AUDIT_CONFIG_NOT_FOUND: .*has no url/)])
    empty.remove()
  })

  it('tells of a configuration with a syntax error, and where', async () => {
    folder.write('broken.ts', 'export default {\n  url: =\n}')
    expect(await refusal('status', '--config', 'broken.ts')).toMatch(
      /^AUDIT_CONFIG_UNREADABLE: .*broken\.ts:2:/,
    )
  })

  it('prints its stack only when asked to', async () => {
    const debugged = project({ WHODUNIT_DEBUG: '1' })
    const { stderr } = await debugged.run('log', '--database', 'postgres://u:s3cret@127.0.0.1:1/x')
    expect(stderr).toContain('caused by: ')
    expect(stderr).not.toContain('s3cret')
    debugged.remove()
  })

  it('prints its help and its version', async () => {
    expect(await folder.run('--version')).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+/),
    })
    expect(await folder.run('log', '--help')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('--severity'),
    })
    expect((await folder.run()).code).toBe(2)
  })
})
