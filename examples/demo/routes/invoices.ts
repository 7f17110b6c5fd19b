import { eq, sql } from 'drizzle-orm'
import { Router } from 'express'
import type { Database } from '../database.ts'
import { found, HttpError, idOf, numberOf, textOf } from '../http.ts'
import { invoice, refund } from '../schema.ts'
import { requireUser, userOf } from '../sessions.ts'

export function invoiceRoutes(db: Database): Router {
  const router = Router()

  // Writes first and pays then: a refund that the bank refuses has been written, and is rolled back.
  router.post('/invoices/:id/refund', requireUser('agent', 'manager'), async (req, res) => {
    const invoiceId = idOf(req)
    const amount = numberOf(req, 'amount', 0.01, 99_999).toFixed(2)
    const reason = textOf(req, 'reason')
    const result = await db.transaction(async (tx) => {
      const [before] = await tx
        .select({ id: invoice.id })
        .from(invoice)
        .where(eq(invoice.id, invoiceId))
        .for('update')
      found(before, 'invoice')
      const [made] = await tx
        .insert(refund)
        .values({ invoiceId, amount, reason, createdBy: userOf(req).id })
        .returning()
      const [left] = await tx
        .update(invoice)
        .set({ total: sql`${invoice.total} - ${amount}::numeric` })
        .where(eq(invoice.id, invoiceId))
        .returning({ total: invoice.total })
      payOut(Number(amount), Number(left?.total))
      return { refund: made, total: left?.total }
    })
    res.status(201).json(result)
  })

  return router
}

/** Stands for the bank, which pays back no more than was paid. */
function payOut(amount: number, left: number): void {
  if (left < 0)
    throw new HttpError(502, `The bank refused to pay out ${amount.toFixed(2)}: more than was paid`)
}
