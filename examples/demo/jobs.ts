// What runs at night, without anybody's request.

import { asc, count, eq, inArray, isNull, sql } from 'drizzle-orm'
import type { Database } from './database.ts'
import { customer, employee, invoice, invoiceLine, refund } from './schema.ts'

/** Gives customers without a support agent to the agent who has the fewest. Returns how many. */
async function assignSupportAgents(db: Database): Promise<number> {
  return db.transaction(async (tx) => {
    const [agent] = await tx
      .select({ id: employee.id })
      .from(employee)
      .leftJoin(customer, eq(customer.supportRepId, employee.id))
      .where(eq(employee.title, 'Sales Support Agent'))
      .groupBy(employee.id)
      .orderBy(asc(count(customer.id)), asc(employee.id))
      .limit(1)
    if (!agent) return 0
    const waiting = tx.select({ id: customer.id }).from(customer).where(isNull(customer.supportRepId))
    return (
      await tx
        .update(customer)
        .set({ supportRepId: agent.id })
        .where(inArray(customer.id, waiting))
        .returning()
    ).length
  })
}

/** Sets right the invoices whose total is not their lines less their refunds. Returns how many. */
async function recomputeTotals(db: Database): Promise<number> {
  const lines = sql`(SELECT sum(${invoiceLine.unitPrice} * ${invoiceLine.quantity}) FROM ${invoiceLine} WHERE ${invoiceLine.invoiceId} = ${invoice.id})`
  const refunds = sql`(SELECT coalesce(sum(${refund.amount}), 0) FROM ${refund} WHERE ${refund.invoiceId} = ${invoice.id})`
  const changed = await db
    .update(invoice)
    .set({ total: sql`${lines} - ${refunds}` })
    .where(sql`${invoice.total} <> ${lines} - ${refunds}`)
    .returning({ id: invoice.id })
  return changed.length
}

export async function nightly(db: Database): Promise<{ assigned: number; corrected: number }> {
  return { assigned: await assignSupportAgents(db), corrected: await recomputeTotals(db) }
}
