import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { node, type Project, project } from './command-line.ts'
import { config, tables } from './shop.ts'

let folder: Project
/** Another folder, without a configuration. */
let elsewhere: Project
const sql = async (text: string): Promise<unknown[]> => {
  const pglite = await PGlite.create(join(folder.folder, 'data'))
  try {
    return (await pglite.exec(text)).at(-1)!.rows
  } finally {
    await pglite.close()
  }
}

beforeAll(async () => {
  folder = project({ SHOP_URL: 'pglite:./data' })
  folder.write('whodunit.config.ts', config)
  elsewhere = project({ SHOP_URL: 'pglite:./data' })
  await sql(tables)
})
afterAll(() => {
  folder.remove()
  elsewhere.remove()
})

describe('the command line on a folder of PGlite', () => {
  it(
    'sets up, masks with and without the configuration, reads, exports and uninstalls',
    { timeout: 240_000 },
    async () => {
      expect(await folder.run('migrate')).toMatchObject({
        code: 0,
        stdout: expect.stringContaining('put capture on customer'),
      })
      await sql(
        `insert into customer values (1, 'Ann', 1.10, 'a secret'); alter table customer add column fax text`,
      )
      expect(await folder.run('status')).toMatchObject({
        code: 1,
        stdout: expect.stringContaining('drifted   customer'),
      })
      expect(
        await elsewhere.run('migrate', '--database', `pglite:${join(folder.folder, 'data')}`),
      ).toMatchObject({ code: 0 })
      await sql(`insert into customer values (2, 'Bob', 0, 'a secret', '1')`)

      const { stdout } = await folder.run('log', 'customer', '--json')
      expect(stdout).not.toContain('secret')
      const changes = { notes: [null, { $: 'masked' }] }
      expect(JSON.parse(stdout)).toMatchObject([
        { target: { id: '2', label: 'Bob' }, changes },
        { target: { id: '1', label: 'Ann' }, changes },
      ])
      expect(
        (await folder.run('export', '--format', 'csv', '--kind', 'change')).stdout.trimEnd().split('\n'),
      ).toHaveLength(3)
      expect(JSON.parse((await folder.run('summary', '--json')).stdout)).toMatchObject({
        byKind: { change: 2, export: 2 },
        exports: 1,
      })

      // a tool has the folder to itself; rows that nobody recorded get a first entry
      folder.write(
        'tool.mjs',
        `
        import { PGlite } from ${JSON.stringify(import.meta.resolve('@electric-sql/pglite'))}
        const pglite = await PGlite.create('data')
        await pglite.exec("create table invoice (id int primary key); insert into invoice values (1), (2)")
        await pglite.close()
        process.exit(5)`,
      )
      expect(await folder.run('run', '--', node, 'tool.mjs')).toMatchObject({
        code: 5,
        stderr: expect.stringContaining('put capture on invoice'),
      })
      expect((await folder.run('migrate', '--backfill')).stdout).toContain('gave 2 rows of invoice a first entry') // prettier-ignore
      expect(await folder.run('uninstall', '--trail', '--yes')).toMatchObject({ code: 0 })
      expect(await sql(`select to_regclass('whodunit.entry') as trail`)).toEqual([{ trail: null }])
    },
  )

  it('takes a folder in the configuration from where the configuration is', async () => {
    expect((await elsewhere.run('status', '--config', join(folder.folder, 'whodunit.config.ts'))).code).toBe(
      1,
    )
  })

  it('makes no new database where there is none', async () => {
    expect(await folder.run('migrate', '--database', 'pglite:./nowhere')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^AUDIT_DATABASE_URL: .*nowhere does not exist/),
    })
    mkdirSync(join(folder.folder, 'empty'))
    expect(await folder.run('log', '--database', 'pglite:empty')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^AUDIT_DATABASE_URL: .*no data folder of PGlite/),
    })
  })

  it('will not follow what nobody else can write', async () => {
    expect(await folder.run('tail', '--follow')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^AUDIT_DATABASE_UNSUPPORTED: /),
    })
  })

  it.runIf(process.platform === 'linux')(
    'refuses a folder that a running process has open, and takes it once that was killed',
    async () => {
      const open = `import { PGlite } from ${JSON.stringify(import.meta.resolve('@electric-sql/pglite'))}
      await (await PGlite.create('./data')).query('select 1'); console.log('open'); setInterval(() => {}, 1000)`
      const holder = spawn(node, ['--input-type=module', '-e', open], { cwd: folder.folder })
      await once(holder.stdout, 'data')
      const { code, stderr } = await folder.run('status')
      expect([code, stderr]).toEqual([
        2,
        expect.stringMatching(new RegExp(`^AUDIT_DATABASE_LOCKED: Process ${holder.pid} has .*data open`)),
      ])
      holder.kill('SIGKILL')
      await once(holder, 'close')
      expect((await folder.run('status')).code).toBe(1)
    },
  )
})
