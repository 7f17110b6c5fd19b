import { isAuditError } from '../../core/internal.ts'
import { fromPg, type PgPoolLike } from '../postgres.ts'
import { unreachable, unreadable } from './failure.ts'
import { loadInstalled } from './installed.ts'
import { connectTimeout, type OpenDatabase } from './opened.ts'

type Pool = PgPoolLike & { on(event: 'error', listener: () => void): unknown }

export async function openPostgres(url: string, clientsFrom: readonly string[]): Promise<OpenDatabase> {
  const { Pool } = (await loadInstalled('pg', clientsFrom)) as { Pool: new (options: object) => Pool }
  const pool = new Pool({
    connectionString: url,
    max: 2,
    connectionTimeoutMillis: connectTimeout,
    application_name: 'whodunit',
  })
  pool.on('error', () => {}) // an idle connection that breaks shows at its next use
  try {
    const database = fromPg(pool)
    const client = await pool.connect()
    client.release(true)
    return { database, shared: true, close: () => pool.end() }
  } catch (error) {
    await pool.end()
    if (isAuditError(error)) throw error
    if ((error as NodeJS.ErrnoException).code === 'ERR_INVALID_URL') {
      throw unreadable('The postgres: URL cannot be read.')
    }
    throw unreachable(error)
  }
}
