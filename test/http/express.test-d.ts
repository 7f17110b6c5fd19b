import express, { type Request, type RequestHandler, Router } from 'express'
import pg from 'pg'
import { expectTypeOf, test } from 'vitest'
import { fromPg } from '../../src/database/postgres.ts'
import { auditErrors, auditMiddleware } from '../../src/http/express.ts'
import { createAudit } from '../../src/index.ts'

// `account` is what served.ts adds to Express's request
const audit = createAudit({ database: fromPg(new pg.Pool()) })
const app = express()

test("callbacks see Express's own request, with what the application adds to it", () => {
  app.use(
    auditMiddleware(audit, {
      actor: (req) => {
        expectTypeOf(req).toEqualTypeOf<Request>()
        return req.account && { id: req.account.id, label: req.account.email }
      },
      tenant: (req) => req.params['tenant'] as string | undefined,
      reason: (req) => req.get('x-reason'),
      session: (req) => req.signedCookies['sid'] as string,
      skip: (req) => req.path === '/health',
      trustProxy: ['loopback', '10.0.0.0/8'],
      requestIdHeader: false,
      echoRequestId: true,
      requests: 'all',
      slow: Number.POSITIVE_INFINITY,
      address: false,
    }),
  )
})

test('the middleware fits wherever Express takes one', () => {
  app.use(auditMiddleware(audit))
  app.use('/api', auditMiddleware(audit, { actor: (req) => (req.account ? { id: req.account.id } : null) }))
  app.get(
    '/one',
    auditMiddleware(audit, { actor: (req) => req.account?.id === 1 && { id: 1 } }),
    (_req, res) => {
      res.end()
    },
  )
  Router().use(auditMiddleware(audit, { actor: (req) => req.account }))
  app.use(auditErrors(audit))
  app.use('/api', auditErrors(audit))
})

test('outside of `app.use` the request is the annotated one, or has what the application adds', () => {
  const annotated: RequestHandler = auditMiddleware(audit, { tenant: (req: Request) => req.hostname })
  const plain = auditMiddleware(audit, { actor: (req) => req.account, reason: (req) => req.get('x-reason') })
  app.use(annotated, plain)
})

test('what cannot work is refused', () => {
  // @ts-expect-error an actor cannot be awaited
  app.use(auditMiddleware(audit, { actor: async () => ({ id: 1 }) }))
  // @ts-expect-error there is no such member
  app.use(auditMiddleware(audit, { actor: (req) => req.acount }))
  // @ts-expect-error everybody could name any address
  app.use(auditMiddleware(audit, { trustProxy: true }))
  // @ts-expect-error there is no such option
  app.use(auditMiddleware(audit, { actors: () => null }))
})
