import { asc, countDistinct, desc, eq, sql } from 'drizzle-orm'
import { Router } from 'express'
import type { Database } from '../database.ts'
import { customer, genre, invoice, invoiceLine, track } from '../schema.ts'
import { requireUser } from '../sessions.ts'

export function reportRoutes(db: Database): Router {
  const router = Router()

  // Five tables and no index that would help: the slow one.
  router.get('/reports/sales', requireUser(), async (_req, res) => {
    const revenue = sql<string>`sum(${invoiceLine.unitPrice} * ${invoiceLine.quantity})`
    const rows = await db
      .select({
        country: invoice.billingCountry,
        genre: genre.name,
        revenue,
        customers: countDistinct(customer.id),
      })
      .from(invoiceLine)
      .innerJoin(invoice, eq(invoice.id, invoiceLine.invoiceId))
      .innerJoin(customer, eq(customer.id, invoice.customerId))
      .innerJoin(track, eq(track.id, invoiceLine.trackId))
      .innerJoin(genre, eq(genre.id, track.genreId))
      .groupBy(invoice.billingCountry, genre.name)
      .orderBy(desc(revenue))
    res.json(rows)
  })

  // A bug, kept for the show: nobody thought of a year without sales.
  router.get('/boom', requireUser(), async (_req, res) => {
    const sales = await db
      .select({ total: invoice.total })
      .from(invoice)
      .where(sql`${invoice.invoiceDate} < '1999-01-01'`)
    const best = sales.toSorted((a, b) => Number(b.total) - Number(a.total))[0] as { total: string }
    res.json({ best: best.total.padStart(10) })
  })

  return router
}

/** All customers as a CSV file. */
export async function customersCsv(db: Database): Promise<{ text: string; rows: number }> {
  const rows = await db
    .select({
      id: customer.id,
      first_name: customer.firstName,
      last_name: customer.lastName,
      email: customer.email,
      country: customer.country,
    })
    .from(customer)
    .orderBy(asc(customer.id))
  const lines = [Object.keys(rows[0] ?? {}), ...rows.map((row) => Object.values(row))]
  return { text: lines.map((line) => line.map(cell).join(',') + '\r\n').join(''), rows: rows.length }
}

function cell(value: string | number | null): string {
  const text = String(value ?? '')
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
