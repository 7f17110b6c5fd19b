// The application. Row changes reach the trail by themselves; what is no row change is told to it here:
// signing in and out, looking at a customer, exporting, errors.

import express, { type Express } from 'express'
import type { Audit } from 'whodunit'
import { auditErrors, auditMiddleware } from 'whodunit/express'
import type { Client, Database } from './database.ts'
import { answerErrors, HttpError, idOf, textOf } from './http.ts'
import { customerPage, customerRoutes } from './routes/customers.ts'
import { invoiceRoutes } from './routes/invoices.ts'
import { playlistRoutes } from './routes/playlists.ts'
import { customersCsv, reportRoutes } from './routes/reports.ts'
import { trackRoutes } from './routes/tracks.ts'
import { userRoutes } from './routes/users.ts'
import { endSession, loadUser, requireUser, signIn, startSession, userOf } from './sessions.ts'

export function createApp(db: Database, audit: Audit<Client>): Express {
  const app = express()
  app.disable('x-powered-by')
  app.use(
    // First of all, so that everything below runs in the request's context. The actor is asked for late, at each entry.
    auditMiddleware(audit, {
      actor: (req) => (req.user ? { id: String(req.user.id), label: req.user.email } : { type: 'anonymous' }),
      reason: (req) => req.get('x-reason'),
    }),
  )
  app.use(express.json({ limit: '20kb' }))
  app.use(loadUser(db))

  app.post('/login', async (req, res) => {
    const email = textOf(req, 'email', 60)
    const result = await signIn(db, email, textOf(req, 'password'))
    if (result.status !== 'SUCCESS') {
      await audit.logLoginAttempt({ username: email, status: result.status, reason: result.reason })
      throw new HttpError(result.status === 'BLOCKED' ? 429 : 401, 'Wrong address or password')
    }
    req.user = result.user
    startSession(res, result.user)
    await audit.logLoginAttempt({ username: email, status: 'SUCCESS' })
    res.json(result.user)
  })

  app.post('/logout', requireUser(), async (req, res) => {
    await audit.logLogout()
    endSession(req, res)
    res.status(204).end()
  })

  app.get('/me', (req, res) => void res.json(userOf(req)))

  app.get('/customers/:id', requireUser(), async (req, res) => {
    const id = idOf(req)
    const page = await customerPage(db, id)
    await audit.logViewAccess({ model: 'customer', id: String(id) })
    res.json(page)
  })

  app.get('/exports/customers.csv', requireUser(), async (_req, res) => {
    const file = await audit.logDataExport({ exportType: 'customers', fileFormat: 'csv' })
    const csv = await customersCsv(db)
    await file.finish({ recordCount: csv.rows, fileSize: Buffer.byteLength(csv.text) })
    res.type('csv').attachment('customers.csv').send(csv.text)
  })

  app.use(
    customerRoutes(db),
    invoiceRoutes(db),
    playlistRoutes(db),
    trackRoutes(db),
    userRoutes(db),
    reportRoutes(db),
  )
  app.use((req) => {
    throw new HttpError(404, `Nothing at ${req.method} ${req.path}`)
  })
  app.use(auditErrors(audit)) // sees every error, answers none
  app.use(answerErrors)
  return app
}
