import { type AuditDatabase, AuditError } from '../core/internal.ts'
import { fromMariadb, fromMysql2 } from './mariadb.ts'
import { fromPg, fromPglite } from './postgres.ts'
import { fromBetterSqlite3, fromLibsql, fromNodeSqlite } from './sqlite.ts'

type Shape = Readonly<Record<string, unknown>>

/** What tells the clients apart, by members that they need in any case. */
const known: readonly { is(client: Shape): boolean; from(client: never): AuditDatabase<unknown, never> }[] = [
  {
    is: (client) => has(client, 'connect', 'query') && typeof client['totalCount'] === 'number',
    from: fromPg,
  },
  {
    is: (client) => has(client, 'connect', 'query') && has(client['connection'], 'parse', 'bind'),
    from: fromPg,
  },
  { is: (client) => has(client, 'prepare', 'exec', 'transaction', 'pragma'), from: fromBetterSqlite3 },
  { is: (client) => has(client, 'prepare', 'exec', 'location'), from: fromNodeSqlite },
  { is: (client) => has(client, 'execute', 'batch', 'transaction', 'sync'), from: fromLibsql },
  { is: (client) => has(client, 'query', 'exec', 'transaction'), from: fromPglite },
  { is: (client) => [client, client['pool'], client['connection']].some(isMysql2), from: fromMysql2 },
  { is: (client) => has(client, 'query', 'batch'), from: fromMariadb },
]

function isMysql2(client: unknown): boolean {
  return (
    has(client, 'addCommand') || (has(client, 'getConnection') && '_allConnections' in (client as object))
  )
}

function has(client: unknown, ...methods: readonly string[]): client is Shape {
  return methods.every((method) => typeof (client as Shape | null | undefined)?.[method] === 'function')
}

/**
 * The database over a client whose kind is told by its shape, for what finds clients inside of something else.
 *
 * @throws AUDIT_CLIENT_UNKNOWN where no supported client has this shape; `where` says where it was found
 */
export function databaseOver(client: unknown, where: string): AuditDatabase<unknown, never> {
  const kind =
    typeof client === 'object' || typeof client === 'function'
      ? known.find(({ is }) => client !== null && is(client as Shape))
      : undefined
  if (kind) return kind.from(client as never)
  throw new AuditError(
    'AUDIT_CLIENT_UNKNOWN',
    `${where} is no client that can carry the context.`,
    'Use one of those that docs/orms.md lists.',
  )
}
