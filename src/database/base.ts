import { type AuditDatabase, AuditError } from '../core/internal.ts'
import { instrument as adoptMysql2 } from '../driver/mysql2/connection.ts'
import { instrument as adoptPg } from '../driver/pg/client.ts'
import { fromMariadb, fromMysql2 } from './mariadb.ts'
import { fromPg, fromPglite, fromPostgresJs } from './postgres.ts'
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
  { is: (client) => has(client, 'begin', 'unsafe'), from: fromPostgresJs },
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

/** A database whose connections for the application are made by somebody else's pool. */
export interface AdoptedDatabase {
  readonly database: AuditDatabase<unknown, never>
  /** Makes a connection carry the context. Doing it twice has no effect. */
  adopt(connection: unknown): void
}

type ClientModule = Readonly<Record<string, unknown>> & {
  readonly Pool: new (settings: object) => object
  createPool(settings: object): object
}

/** How a pool of the client's own is made, which does not connect before it is used, and what its connections are told by. */
const modules: readonly {
  is(module: ClientModule): boolean
  pool(module: ClientModule, settings: object): object
  adopt(connection: never): void
}[] = [
  {
    is: (module) => has(module, 'Pool', 'Client'),
    pool: (module, settings) => new module.Pool(settings),
    adopt: adoptPg,
  },
  {
    is: (module) => has(module, 'createPool', 'createConnection', 'createPoolCluster'),
    pool: (module, settings) => module.createPool(settings),
    adopt: adoptMysql2,
  },
]

/**
 * The database over connections that another pool makes with a client's module. The library's own connections are made
 * with `settings`, or copied from the pool `own`; none is made here.
 *
 * @throws AUDIT_CLIENT_UNKNOWN where no supported client has a module of this shape
 */
export function databaseOfModule(
  module: unknown,
  settings: object | undefined,
  own: object | undefined,
  where: string,
): AdoptedDatabase {
  const kind = modules.find(({ is }) => module !== null && is((module ?? {}) as ClientModule))
  if (!kind) {
    throw new AuditError(
      'AUDIT_CLIENT_UNKNOWN',
      `${where} is no client that can carry the context.`,
      'Use one of those that docs/orms.md lists.',
    )
  }
  if (!own && !settings) {
    throw new AuditError(
      'AUDIT_CLIENT_UNKNOWN',
      `${where} has no settings that connections of the library's own could be made with.`,
      'Pass a pool of the client for them: { own: new pg.Pool(...) }.',
    )
  }
  const pool = own ?? kind.pool(module as ClientModule, settings!)
  return { database: databaseOver(pool, where), adopt: (connection) => kind.adopt(connection as never) }
}
