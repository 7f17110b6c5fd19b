import { asc, desc, eq, ilike, or, sql } from 'drizzle-orm'
import { Router } from 'express'
import type { Database } from '../database.ts'
import { found, HttpError, idOf, textOf } from '../http.ts'
import { customer, invoice, paymentCard } from '../schema.ts'
import { requireUser } from '../sessions.ts'

const editable = {
  firstName: 40,
  lastName: 20,
  company: 80,
  address: 70,
  city: 40,
  country: 40,
  phone: 24,
  email: 60,
}

export function customerRoutes(db: Database): Router {
  const router = Router()

  router.get('/customers', requireUser(), async (req, res) => {
    const query = typeof req.query['q'] === 'string' ? req.query['q'] : ''
    const like = `%${query.replace(/[\\%_]/g, '\\$&')}%`
    const rows = await db
      .select()
      .from(customer)
      .where(
        or(ilike(customer.firstName, like), ilike(customer.lastName, like), ilike(customer.company, like)),
      )
      .orderBy(asc(customer.lastName))
      .limit(20)
    res.json(rows)
  })

  // The shop's public sign-up form posts here as well, so nobody need be signed in.
  router.post('/customers', async (req, res) => {
    const [created] = await db
      .insert(customer)
      .values({
        firstName: textOf(req, 'firstName', editable.firstName),
        lastName: textOf(req, 'lastName', editable.lastName),
        email: textOf(req, 'email', editable.email),
        supportRepId: req.user?.role === 'agent' ? req.user.employeeId : null,
      })
      .returning()
    res.status(201).json(created)
  })

  router.patch('/customers/:id', requireUser(), async (req, res) => {
    const changes: Partial<typeof customer.$inferInsert> = {}
    for (const [field, max] of Object.entries(editable)) {
      if (req.body?.[field] !== undefined) Object.assign(changes, { [field]: textOf(req, field, max) })
    }
    if (Object.keys(changes).length === 0) throw new HttpError(400, 'Nothing to change')
    const [changed] = await db
      .update(customer)
      .set(changes)
      .where(eq(customer.id, idOf(req)))
      .returning()
    res.json(found(changed, 'customer'))
  })

  // Invoices keep their customer: the foreign key turns that into 409. Cards go with theirs.
  router.delete('/customers/:id', requireUser(), async (req, res) => {
    const [gone] = await db
      .delete(customer)
      .where(eq(customer.id, idOf(req)))
      .returning({ id: customer.id })
    res.json(found(gone, 'customer'))
  })

  router.post('/customers/:id/card', requireUser(), async (req, res) => {
    const cardNumber = textOf(req, 'cardNumber', 19)
    if (!/^\d{12,19}$/.test(cardNumber)) throw new HttpError(400, 'cardNumber must be 12 to 19 digits')
    const expires = textOf(req, 'expires', 10)
    if (!/^\d{4}-(0[1-9]|1[0-2])-01$/.test(expires))
      throw new HttpError(400, 'expires must be like 2029-08-01')
    const [card] = await db
      .insert(paymentCard)
      .values({ customerId: idOf(req), cardNumber, cvv: textOf(req, 'cvv', 4), expires })
      .returning({ id: paymentCard.id, last4: sql<string>`right(${paymentCard.cardNumber}, 4)` })
    res.status(201).json(card)
  })

  return router
}

/** A customer's page: the row, and the latest invoices. */
export async function customerPage(db: Database, id: number): Promise<object> {
  const [row] = await db.select().from(customer).where(eq(customer.id, id))
  const invoices = await db
    .select()
    .from(invoice)
    .where(eq(invoice.customerId, id))
    .orderBy(desc(invoice.invoiceDate))
    .limit(20)
  return { ...found(row, 'customer'), invoices }
}
