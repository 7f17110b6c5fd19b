// region: start
import express from 'express'
import pg from 'pg'
import { createAudit } from 'whodunit'
import { auditErrors, auditMiddleware } from 'whodunit/express'
import { fromPg } from 'whodunit/postgres'

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL })
const audit = createAudit({
  database: fromPg(pool),
  app: { name: 'shop', release: '1.4.2' },
  models: { invoices: { label: '{number}', subject: 'customer_id' }, sessions: false },
})
await audit.migrate() // or, in the deployment: `npx whodunit run -- npx drizzle-kit migrate`
await audit.check() // throws if the database stores what this policy hides

const app = express()
app.use(auditMiddleware(audit, { actor: (req) => req.user && { id: req.user.id, label: req.user.email } }))
app.post('/invoices/:id/pay', async (req, res) => {
  await pool.query(`update invoices set status = 'paid' where id = $1`, [req.params.id])
  res.sendStatus(204)
})
app.use(auditErrors(audit))
// endregion

export { app, audit, pool }
