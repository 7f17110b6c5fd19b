import { once } from 'node:events'
import {
  createServer,
  type IncomingMessage,
  request,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import pg from 'pg'
import { fromPg } from '../../src/database/postgres.ts'
import {
  type Audit,
  type AuditConfig,
  type AuditEntry,
  createAudit,
  type EntryFilter,
} from '../../src/index.ts'
import { freshDatabase } from '../harness/postgres.ts'

declare global {
  namespace Express {
    interface Request {
      account?: { readonly id: number; readonly email: string }
    }
  }
}

export interface Trail {
  readonly pool: pg.Pool
  readonly audit: Audit
  /** What is in the trail, oldest first, once everything logged so far is stored. */
  entries(filter?: EntryFilter): Promise<readonly AuditEntry[]>
  note(body: string): Promise<unknown>
  drop(): Promise<void>
}

/** A database of its own with one audited table, on a pool of three. */
export async function openTrail(config: AuditConfig = {}): Promise<Trail> {
  const database = await freshDatabase()
  const pool = new pg.Pool({ connectionString: database.url, max: 3 })
  pool.on('error', () => {}) // the database may be dropped before the last connection has ended
  await pool.query('create table note (id serial primary key, body text)')
  const audit = createAudit({ ...config, database: fromPg(pool), app: { name: 'notes' } })
  await audit.migrate()
  return {
    pool,
    audit,
    async entries(filter) {
      await audit.flush()
      const entries: AuditEntry[] = []
      for await (const entry of audit.entries.stream(filter))
        if (entry.action !== 'MIGRATE') entries.unshift(entry)
      return entries
    },
    note: (body) => pool.query('insert into note (body) values ($1)', [body]),
    async drop() {
      await audit.close()
      await pool.end()
      await database.drop()
    },
  }
}

export interface Served {
  readonly url: string
  readonly server: Server
  close(): Promise<void>
}

export async function serve(
  handler: (req: IncomingMessage, res: ServerResponse) => unknown,
  options: ServerOptions = {},
): Promise<Served> {
  const server = createServer(options, (req, res) => void handler(req, res)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    server,
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

/** Sends what `fetch` would refuse to: odd header values. Answers the status. */
export async function send(url: string, headers: Record<string, string>): Promise<number | undefined> {
  const [res] = (await once(request(url, { headers, agent: false }).end(), 'response')) as [IncomingMessage]
  res.resume()
  await once(res, 'end')
  return res.statusCode
}
