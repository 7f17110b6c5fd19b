// The trail of this shop. Nothing is connected here: `createAudit` only holds the client it is given.

import { type Audit, createAudit } from 'whodunit'
import { fromPg, fromPglite } from 'whodunit/postgres'
import { type Client, isPool } from './database.ts'
import config from './whodunit.config.ts'

export function createShopAudit(client: Client): Audit<Client> {
  return createAudit<Client, unknown>({
    ...config,
    database: isPool(client) ? fromPg(client) : fromPglite(client),
    app: { name: 'chinook-backoffice', release: '1.0.0' },
  })
}
