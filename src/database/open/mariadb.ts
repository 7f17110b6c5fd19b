import { type AuditDatabase, isAuditError } from '../../core/internal.ts'
import { fromMariadb, fromMysql2 } from '../mariadb.ts'
import { unreachable, unreadable } from './failure.ts'
import { loadInstalled } from './installed.ts'
import { connectTimeout, type OpenDatabase } from './opened.ts'

interface MariadbPool {
  query(sql: string): Promise<unknown>
  end(): Promise<void>
}

export async function openMariadb(url: string, clientsFrom: readonly string[]): Promise<OpenDatabase> {
  if (!URL.canParse(url)) {
    throw unreadable('The database URL cannot be read.')
  }
  const { pool, database } = await mariadbPool(new URL(url), clientsFrom)
  try {
    await pool.query('select 1')
    return { database, shared: true, close: () => pool.end() }
  } catch (error) {
    await pool.end()
    throw unreachable(error)
  }
}

/** By `mysql2`, or by the connector of MariaDB where that is what is installed. */
async function mariadbPool(
  url: URL,
  clientsFrom: readonly string[],
): Promise<{ pool: MariadbPool; database: AuditDatabase }> {
  const options = {
    host: url.hostname,
    port: Number(url.port || 3306),
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    database: decodeURIComponent(url.pathname.slice(1)),
    ...Object.fromEntries(url.searchParams),
    connectionLimit: 2,
    connectTimeout,
  }
  let missing: unknown
  try {
    const mysql2 = (await loadInstalled('mysql2', clientsFrom)) as {
      createPool(given: object): { promise(): MariadbPool & Parameters<typeof fromMysql2>[0] }
    }
    const pool = mysql2.createPool(options).promise()
    return { pool, database: fromMysql2(pool) }
  } catch (error) {
    if (!isAuditError(error, 'AUDIT_CLIENT_MISSING')) throw error
    missing = error
  }
  const connector = await loadInstalled('mariadb', clientsFrom).catch(() => {
    throw missing
  })
  const pool = (
    connector as { createPool(given: object): MariadbPool & Parameters<typeof fromMariadb>[0] }
  ).createPool({ ...options, acquireTimeout: connectTimeout })
  return { pool, database: fromMariadb(pool) }
}
