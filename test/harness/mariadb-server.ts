import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chown, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { createConnection } from 'mysql2/promise'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort, removeLeftovers } from './server.ts'

export interface MariadbServer {
  /** Of the user root, who needs no password, without a database. */
  readonly url: string
  stop(): Promise<void>
}

// Debian keeps servers out of the path of ordinary users
const env = { ...process.env, PATH: [process.env['PATH'], '/usr/sbin', '/usr/local/sbin'].join(delimiter) }

/** Whether the operating system has the server; tests that need it are skipped, loudly, where it has not. */
export const hasMariadb: boolean = spawnSync('mariadbd', ['--version'], { env }).status === 0
if (!hasMariadb) console.warn('SKIPPED: mariadb-server is not installed, so nothing is tested on MariaDB.')

const prefix = 'whodunit-mariadb-'

// Small and careless with the disk: the data is thrown away
const settings = [
  '--innodb-buffer-pool-size=64M',
  '--innodb-log-file-size=16M',
  '--innodb-flush-log-at-trx-commit=0',
  '--innodb-doublewrite=0',
  '--innodb-use-native-aio=0',
  '--skip-sync-frm',
]

/** A real, empty MariaDB server in a temporary folder, which `stop` removes. */
export async function startMariadb(extra: readonly string[] = []): Promise<MariadbServer> {
  await removeLeftovers(prefix)
  const folder = await mkdtemp(join(tmpdir(), `${prefix}${process.pid}-`))
  const data = join(folder, 'data')
  await mkdir(data, { mode: 0o700 })
  // It refuses to run as root
  const user = process.getuid?.() === 0 ? ['--user=nobody'] : []
  if (user.length > 0) for (const path of [folder, data]) await chown(path, 65_534, 65_534)

  const install = ['--no-defaults', `--datadir=${data}`, '--auth-root-authentication-method=normal']
  await run('mariadb-install-db', [...install, '--skip-test-db', ...user, ...settings])

  const port = await freePort()
  const server = spawn(
    'mariadbd',
    [
      '--no-defaults', ...user, `--datadir=${data}`, `--port=${port}`, '--bind-address=127.0.0.1',
      `--socket=${join(folder, 'socket')}`, `--pid-file=${join(folder, 'pid')}`, '--skip-name-resolve',
      '--max-connections=300', '--performance-schema=off', ...settings, ...extra,
    ], // prettier-ignore
    { env, cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] },
  )
  const killServer = () => server.kill('SIGKILL')
  process.once('exit', killServer)
  let log = ''
  server.stderr.on('data', (chunk) => (log = (log + chunk).slice(-10_000)))
  const url = `mysql://root@127.0.0.1:${port}/`
  for (let tries = 0; !(await answers(url)); tries++) {
    if (server.exitCode !== null || tries > 600) throw new Error(`MariaDB did not start:\n${log}`)
    await sleep(50)
  }
  const tellCrash = () => console.error(`MariaDB ended by itself:\n${log}`)
  server.once('exit', tellCrash)
  return {
    url,
    async stop() {
      process.off('exit', killServer)
      server.off('exit', tellCrash)
      if (killServer()) await once(server, 'exit')
      await rm(folder, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

async function answers(url: string): Promise<boolean> {
  try {
    await (await createConnection(url)).end()
    return true
  } catch {
    return false
  }
}

async function run(command: string, args: readonly string[]): Promise<void> {
  const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`${command} failed:\n${output}`)
}
