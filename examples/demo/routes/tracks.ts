import { eq, sql } from 'drizzle-orm'
import { Router } from 'express'
import type { Database } from '../database.ts'
import { numberOf } from '../http.ts'
import { track } from '../schema.ts'
import { requireUser } from '../sessions.ts'

export function trackRoutes(db: Database): Router {
  const router = Router()

  // A whole genre by one statement: hundreds of rows.
  router.post('/tracks/reprice', requireUser('manager'), async (req, res) => {
    const genreId = numberOf(req, 'genreId', 1, 1000)
    const percent = numberOf(req, 'percent', -50, 100)
    const repriced = await db
      .update(track)
      .set({ unitPrice: sql`round(${track.unitPrice} * (1 + ${percent}::numeric / 100), 2)` })
      .where(eq(track.genreId, Math.trunc(genreId)))
      .returning({ id: track.id })
    res.json({ repriced: repriced.length })
  })

  return router
}
