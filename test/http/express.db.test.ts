import { AsyncResource } from 'node:async_hooks'
import { request as httpRequest } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import express, { type Express } from 'express'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { auditErrors, auditMiddleware } from '../../src/http/express.ts'
import { openTrail, send, serve, type Served, type Trail } from './served.ts'

let trail: Trail
let served: Served | undefined

beforeAll(async () => {
  trail = await openTrail()
})
afterAll(() => trail.drop())
afterEach(async () => {
  await served?.close()
  served = undefined
})

type Options = Parameters<typeof auditMiddleware<express.Request>>[1]

async function start(options: Options, routes: (app: Express) => void): Promise<string> {
  const app = express()
  app.use(auditMiddleware(trail.audit, options))
  routes(app)
  served = await serve(app)
  return served.url
}

const byUser: Options = { actor: (req) => req.account && { id: req.account.id, label: req.account.email } }

describe('the context of a request through Express', () => {
  it('is on each of its entries and on no other, under 50 concurrent users on a pool of 3 [E1, D4]', async () => {
    const options: Options = { ...byUser, trustProxy: 'loopback' }
    const url = await start(options, (app) => {
      app.use(async (req, _res, next) => {
        await sleep(Math.random() * 10)
        const id = Number(req.get('x-user'))
        req.account = { id, email: `user${id}@shop.test` }
        next()
      })
      app.post('/notes', async (req, res) => {
        const body = String(req.account?.id)
        await trail.note(body)
        await sleep(Math.random() * 10)
        const client = await trail.pool.connect()
        await client.query('begin')
        await client.query('insert into note (body) values ($1)', [body])
        await sleep(Math.random() * 10)
        await client.query('update note set body = body || $2 where body = $1', [body, '!'])
        await client.query('commit')
        client.release()
        await Promise.all([
          trail.note(body),
          trail.audit.logAuditEvent({ action: 'note.done', target: { model: 'note', id: body } }),
        ])
        await new Promise<void>((resolve, reject) => {
          trail.pool.query('delete from note where body = $1', [`${body}!`], (error) =>
            error ? reject(error) : resolve(),
          )
        })
        res.sendStatus(201)
      })
    })
    const users = Array.from({ length: 50 }, (_, index) => index + 1)
    await Promise.all(
      users.map(async (user) => {
        const headers = {
          'x-user': `${user}`,
          'x-request-id': `many-${user}`,
          'x-forwarded-for': `198.51.100.66, 203.0.113.${user}`,
        }
        const res = await fetch(`${url}/notes`, { method: 'POST', headers })
        expect(res.status).toBe(201)
      }),
    )
    for (const user of users) {
      const entries = await trail.entries({ request: `many-${user}` })
      expect(entries.map(({ action }) => action).toSorted()).toEqual(
        ['CREATE', 'CREATE', 'CREATE', 'DELETE', 'DELETE', 'REQUEST', 'UPDATE', 'UPDATE', 'note.done'],
      ) // prettier-ignore
      for (const entry of entries) {
        expect(entry.actor).toEqual({ type: 'user', id: `${user}`, label: `user${user}@shop.test` })
        expect(entry.request).toMatchObject({ ip: `203.0.113.${user}`, method: 'POST', path: '/notes' })
        expect(entry.origin).toBe('http')
        const body = entry.changes?.['body']?.findLast((value) => value !== null)
        if (body !== undefined) expect(String(body).replace('!', '')).toBe(`${user}`)
      }
    }
    expect(await trail.entries({ kind: 'change' })).toHaveLength(50 * 7)
  })

  it('knows who signs in during the request, and not before', async () => {
    const url = await start(byUser, (app) => {
      app.post('/login', async (req, res) => {
        await trail.note('before')
        req.account = { id: 7, email: 'ann@shop.test' }
        await trail.audit.logLoginAttempt({ username: 'ann', status: 'SUCCESS' })
        await trail.note('after')
        res.sendStatus(204)
      })
    })
    await fetch(`${url}/login`, { method: 'POST', headers: { 'x-request-id': 'login' } })
    const entries = await trail.entries({ request: 'login' })
    const actors = Object.fromEntries(
      entries.map((entry) => [entry.changes?.['body']?.[1] ?? entry.action, entry.actor?.id]),
    )
    expect(actors).toEqual({ before: undefined, LOGIN: '7', after: '7', REQUEST: '7' })
  })

  it('keeps the entries of an anonymous request, with nobody as actor [E1]', async () => {
    const url = await start(byUser, (app) => {
      app.post('/notes', async (_req, res) => {
        await trail.note('nobody')
        res.end()
      })
    })
    await fetch(`${url}/notes`, { method: 'POST', headers: { 'x-request-id': 'anonymous' } })
    const entries = await trail.entries({ request: 'anonymous' })
    expect(entries.map(({ kind }) => kind).toSorted()).toEqual(['change', 'request'])
    expect(entries.map(({ actor }) => actor)).toEqual([null, null])
  })

  it('has an id of its own where the one given is forged [E11]', async () => {
    const app = express()
    app.use(auditMiddleware(trail.audit))
    app.get('/', async (req, res) => {
      await trail.note(`id ${req.get('x-case')}`)
      res.end()
    })
    served = await serve(app, { maxHeaderSize: 4_000_000 })
    const forged = [
      'a b',
      'x'.repeat(1_000_000),
      `a"b`,
      `a'; drop table note; --`,
      'tab\there',
      'a\u009bb',
      '<i>',
    ]
    for (const [index, id] of forged.entries()) {
      expect(await send(served.url, { 'x-request-id': id, 'x-case': `${index}` })).toBe(200)
    }
    const changes = (await trail.entries({ kind: 'change', text: 'id ' })).filter(({ changes: pair }) =>
      /^id \d/.test(String(pair?.['body']?.[1])),
    )
    expect(changes).toHaveLength(forged.length)
    for (const { request } of changes) expect(request?.id).toMatch(/^[\da-f-]{36}$/)
    expect(new Set(changes.map(({ request }) => request?.id)).size).toBe(forged.length)
  })

  it('sends the id back only if asked to', async () => {
    const routes = (app: Express): void => void app.get('/', (_req, res) => void res.end())
    const headers = { 'x-request-id': 'echo', 'x-trace': 'trace' }
    const silent = await fetch(await start({}, routes), { headers })
    expect(silent.headers.get('x-request-id')).toBeNull()
    await served?.close()
    const answered = await fetch(await start({ echoRequestId: true }, routes), { headers })
    expect(answered.headers.get('x-request-id')).toBe('echo')
    await served?.close()
    const renamed = await fetch(await start({ echoRequestId: true, requestIdHeader: 'X-Trace' }, routes), {
      headers,
    })
    expect(renamed.headers.get('x-trace')).toBe('trace')
  })

  it('believes x-forwarded-for from trusted proxies only', async () => {
    const ipOf = async (options: Options, id: string): Promise<string | undefined> => {
      const url = await start({ ...options, requests: 'all' }, () => {})
      await fetch(url, { headers: { 'x-request-id': id, 'x-forwarded-for': '198.51.100.66, 203.0.113.9' } })
      await served?.close()
      return (await trail.entries({ request: id }))[0]?.request?.ip
    }
    expect(await ipOf({}, 'ip-default')).toBe('127.0.0.1')
    expect(await ipOf({ trustProxy: '10.0.0.0/8' }, 'ip-other')).toBe('127.0.0.1')
    expect(await ipOf({ trustProxy: 'loopback' }, 'ip-loopback')).toBe('203.0.113.9')
    expect(await ipOf({ trustProxy: 1 }, 'ip-hop')).toBe('203.0.113.9')
    expect(await ipOf({ trustProxy: 2 }, 'ip-hops')).toBe('198.51.100.66')
    expect(await ipOf({ trustProxy: 1, address: false }, 'ip-none')).toBeUndefined()
  })

  it('cuts and escapes a user agent of 10 kB with control characters', async () => {
    const url = await start({ requests: 'all' }, () => {})
    await send(url, {
      'x-request-id': 'agent',
      'user-agent': `Mozilla\u009b31m\t\u0085${'x'.repeat(10_000)}`,
    })
    const [entry] = await trail.entries({ request: 'agent' })
    const agent = entry?.request?.userAgent ?? ''
    expect(agent).toMatch(/^Mozilla\\u009b31m\\u0009\\u0085x+…$/)
    expect(agent.length).toBeLessThanOrEqual(512)
    expect(await trail.entries({ request: 'agent' })).toHaveLength(1)
  })

  it('is over when a handler throws, and nothing of it is left for the next request', async () => {
    const around: unknown[] = []
    const app = express()
    app.use(auditMiddleware(trail.audit, byUser))
    app.get('/sync', (req) => {
      req.account = { id: 1, email: 'a' }
      throw new Error('sync')
    })
    app.get('/async', async (req) => {
      req.account = { id: 2, email: 'b' }
      await trail.note('then throws')
      throw new Error('async')
    })
    app.use(auditErrors(trail.audit))
    app.use(((_error, _req, res, _next) => void res.status(500).end()) as express.ErrorRequestHandler)
    served = await serve((req, res) => {
      around.push(trail.audit.context())
      app(req, res)
      around.push(trail.audit.context())
    })
    for (const path of ['/sync', '/async']) {
      const res = await fetch(served.url + path, {
        headers: { 'x-request-id': `throws${path.replace('/', '-')}` },
      })
      expect(res.status).toBe(500)
    }
    expect(around).toEqual([{}, {}, {}, {}])
    expect(trail.audit.context()).toEqual({})
    for (const [id, user] of [
      ['throws-sync', '1'],
      ['throws-async', '2'],
    ] as const) {
      const entries = await trail.entries({ request: id, kind: ['system', 'request'] })
      expect(entries.map(({ action }) => action).toSorted()).toEqual(['ERROR', 'REQUEST'])
      expect(entries.map(({ actor }) => actor?.id)).toEqual([user, user])
      expect(entries.find(({ kind }) => kind === 'request')?.details).toMatchObject({ status: 500 })
    }
  })

  it('stays on work that goes on in the background after the answer', async () => {
    const url = await start(byUser, (app) => {
      app.post('/import', (req, res) => {
        req.account = { id: 9, email: 'i@shop.test' }
        void sleep(30).then(() => trail.note('background'))
        setTimeout(() => void trail.audit.logAuditEvent({ action: 'import.done' }), 40)
        res.sendStatus(202)
      })
    })
    await fetch(`${url}/import`, { method: 'POST', headers: { 'x-request-id': 'background' } })
    await vi.waitFor(async () => expect(await trail.entries({ request: 'background' })).toHaveLength(2))
    for (const { actor } of await trail.entries({ request: 'background' })) expect(actor?.id).toBe('9')
  })

  it('reaches what listens to a body that comes in pieces, and to the end of a request', async () => {
    const closed = Promise.withResolvers<void>()
    const url = await trail.audit.withContext({ actor: { type: 'system', id: 'boot' } }, () =>
      start(byUser, (app) => {
        app.post('/upload', (req, res) => {
          req.account = { id: 8, email: 'up@shop.test' }
          req.on('data', () => {})
          req.on('end', () => void trail.note('uploaded').then(() => res.end()))
          res.on('close', () => void trail.note('closed').then(() => closed.resolve()))
        })
      }),
    )
    const upload = httpRequest(`${url}/upload`, { method: 'POST', headers: { 'x-request-id': 'upload' } })
    upload.write('one')
    await sleep(30)
    upload.end('two')
    await closed.promise
    const changes = await trail.entries({ request: 'upload', kind: 'change' })
    expect(changes.map(({ actor }) => actor?.id)).toEqual(['8', '8'])
  })

  it('is found again by a second middleware, behind a library that lost it', async () => {
    const elsewhere = new AsyncResource('library')
    const url = await start(byUser, (app) => {
      app.use((req, _res, next) => {
        req.account = { id: 4, email: 'lost@shop.test' }
        elsewhere.runInAsyncScope(next)
      })
      app.use('/again', auditMiddleware(trail.audit))
      app.post(['/lost', '/again'], async (req, res) => {
        await trail.note(`found${req.path}`)
        res.end()
      })
    })
    for (const path of ['/lost', '/again']) {
      await fetch(url + path, {
        method: 'POST',
        headers: { 'x-request-id': `found${path.replace('/', '-')}` },
      })
    }
    expect(await trail.entries({ request: 'found-lost' })).toEqual([])
    const found = await trail.entries({ request: 'found-again' })
    expect(found.map(({ kind }) => kind).toSorted()).toEqual(['change', 'request'])
    expect(found.map(({ actor }) => actor?.id)).toEqual(['4', '4'])
  })

  it('takes nothing from the context in which the server was started', async () => {
    const url = await trail.audit.withContext({ actor: { type: 'system', id: 'boot' }, reason: 'boot' }, () =>
      start({}, (app) => {
        app.post('/', async (_req, res) => {
          await trail.note('started inside')
          res.end()
        })
      }),
    )
    await fetch(url, { method: 'POST', headers: { 'x-request-id': 'inside' } })
    const entries = await trail.entries({ request: 'inside' })
    expect(entries).toHaveLength(2)
    for (const entry of entries)
      expect(entry).toMatchObject({ actor: null, reason: null, origin: 'http', app: 'notes' })
  })

  it('carries tenant, reason and a hash of the session, as they are at each write', async () => {
    const options: Options = {
      tenant: (req) => req.get('x-tenant'),
      reason: (req) => (req.body as { why?: string } | undefined)?.why,
      session: (req) => req.get('x-session'),
    }
    const url = await start(options, (app) => {
      app.use(express.json())
      app.post('/', async (_req, res) => {
        await trail.note('why')
        res.end()
      })
    })
    const headers = {
      'x-request-id': 'late',
      'x-tenant': 'acme',
      'x-session': 's3cret',
      'content-type': 'application/json',
    }
    await fetch(url, { method: 'POST', headers, body: JSON.stringify({ why: 'ticket 7' }) })
    const entries = await trail.entries({ request: 'late' })
    expect(entries).toHaveLength(2)
    for (const entry of entries) {
      expect(entry).toMatchObject({ tenant: 'acme', reason: 'ticket 7' })
      expect(entry.request?.sessionId).toMatch(/^[\da-f]{16}$/)
    }
    expect(JSON.stringify(entries)).not.toContain('s3cret')
  })
})
