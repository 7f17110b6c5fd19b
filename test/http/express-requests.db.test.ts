import { request as httpRequest } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import express, { type ErrorRequestHandler, type Express } from 'express'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { auditErrors, auditMiddleware } from '../../src/http/express.ts'
import type { AuditEntry } from '../../src/index.ts'
import { openTrail, serve, type Served, type Trail } from './served.ts'

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

async function start(routes: (app: Express) => void, options: Options = {}): Promise<string> {
  const app = express()
  app.use(auditMiddleware(trail.audit, options))
  routes(app)
  served = await serve(app)
  return served.url
}

let sent = 0
/** Sends a request and gives what it left in the trail. */
async function left(url: string, init: RequestInit = {}): Promise<readonly AuditEntry[]> {
  const id = `sent-${++sent}`
  const res = await fetch(url, { ...init, headers: { 'x-request-id': id } })
  await res.text()
  return trail.entries({ request: id })
}
const kinds = (entries: readonly AuditEntry[]): string[] => entries.map(({ kind }) => kind).toSorted()
const requestOf = (entries: readonly AuditEntry[]): AuditEntry | undefined =>
  entries.find(({ kind }) => kind === 'request')
const answerError: ErrorRequestHandler = (_error, _req, res, _next) => void res.status(500).end()

describe('a request through Express', () => {
  it('that changes rows leaves an entry with status, duration and route', async () => {
    const url = await start((app) => {
      app.put('/notes/:id', async (_req, res) => {
        await trail.note('changed')
        res.sendStatus(204)
      })
    })
    const entries = await left(`${url}/notes/7?token=s3cret`, { method: 'PUT' })
    expect(kinds(entries)).toEqual(['change', 'request'])
    expect(requestOf(entries)).toMatchObject({
      action: 'REQUEST',
      severity: 'info',
      request: { method: 'PUT', path: '/notes/7', ip: '127.0.0.1', userAgent: 'node' },
      details: { status: 204, route: '/notes/:id', duration: expect.any(Number) },
    })
    expect(JSON.stringify(entries)).not.toContain('s3cret')
  })

  it('that only logs an event leaves an entry too', async () => {
    const url = await start((app) => {
      app.get('/', async (_req, res) => {
        await trail.audit.logViewAccess({ model: 'note', id: 1 })
        res.end()
      })
    })
    expect(kinds(await left(url))).toEqual(['event', 'request'])
  })

  it('that only reads leaves nothing, and neither does one that finds nothing [H6]', async () => {
    const url = await start((app) => {
      app.get(
        '/notes',
        async (_req, res) => void res.json((await trail.pool.query('select * from note')).rows),
      )
      app.post('/notes', async (_req, res) => {
        await trail.pool.query('update note set body = body where false')
        res.end()
      })
    })
    expect(await left(`${url}/notes`)).toEqual([])
    expect(await left(`${url}/notes`, { method: 'POST' })).toEqual([])
    expect(await left(`${url}/nowhere`)).toEqual([])
  })

  it('that fails or is slow leaves an entry, even if it did nothing', async () => {
    const routes = (app: Express): void => {
      app.get('/unavailable', (_req, res) => void res.sendStatus(503))
      app.get('/slow', (_req, res) => void setTimeout(() => res.end(), 60))
    }
    const url = await start(routes, { slow: 50 })
    expect(requestOf(await left(`${url}/unavailable`))).toMatchObject({
      severity: 'medium',
      details: { status: 503, route: '/unavailable' },
    })
    const slow = requestOf(await left(`${url}/slow`))
    expect(slow?.kind === 'request' && slow.details.duration).toBeGreaterThanOrEqual(50)
  })

  it('leaves an entry always, never, or not for some paths, as the options say', async () => {
    const routes = (app: Express): void => {
      app.get('/', (_req, res) => void res.end())
      app.post(['/', '/health'], async (_req, res) => {
        await trail.note('x')
        res.end()
      })
    }
    const all = await start(routes, { requests: 'all' })
    expect(kinds(await left(all))).toEqual(['request'])
    expect(requestOf(await left(`${all}/nowhere`))?.details).toEqual({
      status: 404,
      duration: expect.any(Number),
    })
    await served?.close()
    const none = await start(routes, { requests: 'none' })
    expect(kinds(await left(none, { method: 'POST' }))).toEqual(['change'])
    await served?.close()
    const skipping = await start(routes, { skip: (req) => req.path === '/health' })
    expect(kinds(await left(`${skipping}/health`, { method: 'POST' }))).toEqual(['change'])
    expect(kinds(await left(skipping, { method: 'POST' }))).toEqual(['change', 'request'])
  })

  it('that the client leaves before the answer is recorded as aborted, with what it did', async () => {
    const finished = Promise.withResolvers<void>()
    const url = await start((app) => {
      app.post('/long', async (_req, res) => {
        await trail.note('before')
        res.once('close', () => void trail.note('after').then(() => finished.resolve()))
      })
    })
    const client = httpRequest(`${url}/long`, { method: 'POST', headers: { 'x-request-id': 'aborted' } })
    client.on('error', () => {})
    client.end()
    await vi.waitFor(async () => expect(await trail.entries({ request: 'aborted' })).toHaveLength(1))
    client.destroy()
    await finished.promise
    const entries = await trail.entries({ request: 'aborted' })
    expect(kinds(entries)).toEqual(['change', 'change', 'request'])
    expect(requestOf(entries)?.details).toEqual({
      aborted: true,
      route: '/long',
      duration: expect.any(Number),
    })
  })

  it('with a streamed answer leaves one entry, when the stream has ended', async () => {
    const url = await start((app) => {
      app.get('/stream', async (_req, res) => {
        for (const part of ['a', 'b', 'c']) {
          res.write(part)
          await trail.note(part)
          await sleep(10)
        }
        res.end()
      })
    })
    const entries = await left(`${url}/stream`)
    expect(kinds(entries)).toEqual(['change', 'change', 'change', 'request'])
    const entry = requestOf(entries)
    expect(entry?.details).toMatchObject({ status: 200, route: '/stream' })
    expect(entry?.kind === 'request' && entry.details.duration).toBeGreaterThanOrEqual(28)
  })

  it('through nested routers has the whole template as its route, also when it fails', async () => {
    const url = await start((app) => {
      const inner = express.Router()
      inner.post('/:id', async (_req, res) => {
        await trail.note('nested')
        res.end()
      })
      inner.post('/', async () => {
        throw new Error('nested')
      })
      const outer = express.Router()
      outer.use('/items', inner)
      app.use('/api', outer)
      app.use(auditErrors(trail.audit), answerError)
    })
    expect(requestOf(await left(`${url}/api/items/7`, { method: 'POST' }))?.details).toMatchObject({
      route: '/api/items/:id',
    })
    const failed = await left(`${url}/api/items`, { method: 'POST' })
    expect(requestOf(failed)?.details).toMatchObject({ route: '/api/items', status: 500 })
    expect(failed.find(({ kind }) => kind === 'system')?.details).toMatchObject({ title: 'POST /api/items' })
  })

  it('through two middlewares of one audit leaves one entry', async () => {
    const url = await start((app) => {
      app.use(auditMiddleware(trail.audit, { reason: () => 'inner', requests: 'all' }))
      app.post('/', async (_req, res) => {
        await trail.note('twice')
        res.end()
      })
    })
    const entries = await left(url, { method: 'POST' })
    expect(kinds(entries)).toEqual(['change', 'request'])
    expect(entries.find(({ kind }) => kind === 'change')?.reason).toBe('inner')
    expect(requestOf(entries)?.details).toMatchObject({ route: '/' })
  })

  it('is attributed in each of two applications, and two audits, of one process', async () => {
    const other = await openTrail()
    try {
      const app = express()
      app.use(auditMiddleware(other.audit, { actor: () => ({ type: 'service', id: 'other' }) }))
      app.post('/both', async (_req, res) => {
        await Promise.all([trail.note('both'), other.note('both')])
        res.end()
      })
      const url = await start(
        (outer) => {
          outer.post('/own', async (_req, res) => {
            await trail.note('own')
            res.end()
          })
          outer.use(app)
        },
        { actor: () => ({ id: 'own' }) },
      )
      const second = await serve(app)
      await Promise.all([
        ...Array.from({ length: 10 }, () => left(`${second.url}/both`, { method: 'POST' })),
        ...Array.from({ length: 10 }, () => left(`${url}/own`, { method: 'POST' })),
      ])
      await second.close()
      const changes = await other.entries({ kind: 'change' })
      expect(changes).toHaveLength(10)
      for (const { actor } of changes) expect(actor).toEqual({ type: 'service', id: 'other' })
      for (const { actor } of await trail.entries({ text: 'own', kind: 'change' }))
        expect(actor?.id).toBe('own')

      const entries = await left(`${url}/both`, { method: 'POST' })
      expect(kinds(entries)).toEqual(['change', 'request'])
      expect(kinds(await other.entries({ request: entries[0]!.request!.id }))).toEqual(['change', 'request'])
    } finally {
      await other.drop()
    }
  })
})

describe('an error in a handler of Express', () => {
  const failing =
    (error: unknown, answer: ErrorRequestHandler = answerError) =>
    (app: Express): void => {
      app.get('/fail', async () => {
        throw error
      })
      app.use(auditErrors(trail.audit), auditErrors(trail.audit), answer)
    }

  it('is recorded once, with where and what, and reaches the handlers behind', async () => {
    const handled: unknown[] = []
    const error = new TypeError('cannot read')
    const url = await start(failing(error, (given, _req, res, _next) => {
      handled.push(given)
      res.status(500).end()
    })) // prettier-ignore
    const entries = await left(`${url}/fail?q=1`)
    expect(kinds(entries)).toEqual(['request', 'system'])
    expect(entries.find(({ kind }) => kind === 'system')).toMatchObject({
      action: 'ERROR',
      severity: 'high',
      details: {
        title: 'GET /fail',
        error: { name: 'TypeError', message: 'cannot read', stack: expect.stringContaining('at ') },
      },
    })
    expect(handled).toEqual([error])
  })

  it('is recorded where Express itself answers, and where the answer had begun', async () => {
    const url = await start((app) => {
      app.set('env', 'test')
      app.get('/own', () => {
        throw new Error('own')
      })
      app.get('/begun', async (_req, res) => {
        res.write('x')
        throw new Error('begun')
      })
      app.use(auditErrors(trail.audit))
    })
    expect(kinds(await left(`${url}/own`))).toEqual(['request', 'system'])
    await fetch(`${url}/begun`, { headers: { 'x-request-id': 'begun' } })
      .then((res) => res.text())
      .catch(() => {})
    await vi.waitFor(async () =>
      expect(kinds(await trail.entries({ request: 'begun' }))).toEqual(['request', 'system']),
    )
    expect(requestOf(await trail.entries({ request: 'begun' }))?.details).toMatchObject({ aborted: true })
  })

  it("is not recorded if it is the client's mistake, by its own status or by that of the answer", async () => {
    const mistakes = [
      Object.assign(new Error('gone'), { status: 410 }),
      Object.assign(new Error('bad'), { statusCode: 400 }),
    ]
    for (const error of mistakes) {
      expect(await left(`${await start(failing(error))}/fail`), error.message).not.toContainEqual(
        expect.objectContaining({ kind: 'system' }),
      )
      await served?.close()
    }
    const conflict: ErrorRequestHandler = (_error, _req, res, _next) => void res.status(409).end()
    expect(await left(`${await start(failing(new Error('duplicate'), conflict))}/fail`)).toEqual([])
  })

  it('may be anything that can be thrown', async () => {
    const thrown = [
      'text',
      7,
      Object.create(null),
      { message: 1 },
      Object.assign(new Error('x'), { stack: 7, message: 8 }),
    ]
    for (const error of thrown) {
      const entries = await left(`${await start(failing(error))}/fail`)
      expect(kinds(entries)).toEqual(['request', 'system'])
      await served?.close()
    }
  })

  it('is recorded without a middleware too, then without a context', async () => {
    const app = express()
    failing(new Error('alone'))(app)
    served = await serve(app)
    await fetch(`${served.url}/fail`)
    const alone = (await trail.entries({ kind: 'system' })).filter(({ request }) => request === null)
    expect(alone.length).toBeGreaterThan(0)
    expect(alone[0]?.details).toMatchObject({ title: 'GET /fail', error: { message: 'alone' } })
  })
})

describe('the audit of requests', () => {
  it('holds up no answer when the trail is out of reach', async () => {
    const lost = await openTrail()
    const app = express()
    app.use(auditMiddleware(lost.audit, { requests: 'all' }))
    app.get('/', (_req, res) => void res.end('fine'))
    served = await serve(app)
    await lost.drop()
    const res = await fetch(served.url)
    expect(await res.text()).toBe('fine')
  })
})
