import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chown, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { freePort } from '../harness/server.ts'

/** PgBouncer in transaction mode in front of a server: each transaction may get another of two sessions. */
export interface Bouncer {
  /** The same database, through the pooler. */
  url(direct: string): string
  stop(): Promise<void>
}

export const hasPgbouncer: boolean = spawnSync('pgbouncer', ['--version']).status === 0
if (!hasPgbouncer)
  console.warn('SKIPPED: pgbouncer is not installed, so nothing is tested behind a transaction pooler.')

export async function startPgbouncer(direct: string): Promise<Bouncer> {
  const { hostname, port } = new URL(direct)
  const folder = await mkdtemp(join(tmpdir(), 'whodunit-pgbouncer-'))
  const listen = await freePort()
  const config = join(folder, 'pgbouncer.ini')
  await writeFile(
    config,
    [
      '[databases]',
      `* = host=${hostname} port=${port} user=postgres`,
      '[pgbouncer]',
      'listen_addr = 127.0.0.1',
      `listen_port = ${listen}`,
      'unix_socket_dir =',
      'auth_type = any',
      'pool_mode = transaction',
      'default_pool_size = 2',
      'max_client_conn = 500',
      'ignore_startup_parameters = extra_float_digits',
      'server_lifetime = 600',
    ].join('\n'),
  )
  // it refuses to run as root
  const asNobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {}
  if (asNobody.uid !== undefined) await chown(folder, asNobody.uid, asNobody.gid)
  const child = spawn('pgbouncer', [config], { ...asNobody, cwd: '/', stdio: ['ignore', 'ignore', 'pipe'] })
  let log = ''
  child.stderr?.on('data', (chunk) => (log = (log + chunk).slice(-5_000)))
  process.once('exit', () => child.kill('SIGKILL'))
  const url = (of: string): string => {
    const through = new URL(of)
    through.port = String(listen)
    return through.href
  }
  await untilReady(url(direct), child, () => log)
  return {
    url,
    async stop() {
      child.kill('SIGINT')
      if (child.exitCode === null) await Promise.race([once(child, 'exit'), sleep(2_000)])
      child.kill('SIGKILL')
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function untilReady(url: string, child: ChildProcess, log: () => string): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    if (child.exitCode !== null) break
    const client = new pg.Client({ connectionString: url })
    const ready = await client.connect().then(() => true, () => false) // prettier-ignore
    await client.end().catch(() => {})
    if (ready) return
    await sleep(50)
  }
  throw new Error(`pgbouncer did not start:\n${log()}`)
}
