import { and, eq, inArray } from 'drizzle-orm'
import { Router } from 'express'
import type { Database } from '../database.ts'
import { found, idOf, idsOf, textOf } from '../http.ts'
import { playlist, playlistTrack } from '../schema.ts'
import { requireUser } from '../sessions.ts'

export function playlistRoutes(db: Database): Router {
  const router = Router()

  router.post('/playlists', requireUser(), async (req, res) => {
    const [created] = await db
      .insert(playlist)
      .values({ name: textOf(req, 'name', 120) })
      .returning()
    res.status(201).json(created)
  })

  // A track that is on the playlist already is left alone.
  router.post('/playlists/:id/tracks', requireUser(), async (req, res) => {
    const playlistId = idOf(req)
    const rows = idsOf(req, 'trackIds').map((trackId) => ({ playlistId, trackId }))
    const added = await db.insert(playlistTrack).values(rows).onConflictDoNothing().returning()
    res.status(201).json({ added: added.length })
  })

  router.delete('/playlists/:id/tracks', requireUser(), async (req, res) => {
    const removed = await db
      .delete(playlistTrack)
      .where(
        and(eq(playlistTrack.playlistId, idOf(req)), inArray(playlistTrack.trackId, idsOf(req, 'trackIds'))),
      )
      .returning()
    res.json({ removed: removed.length })
  })

  // Chinook's foreign key does not cascade, so the code does.
  router.delete('/playlists/:id', requireUser(), async (req, res) => {
    const id = idOf(req)
    const gone = await db.transaction(async (tx) => {
      await tx.delete(playlistTrack).where(eq(playlistTrack.playlistId, id))
      return tx.delete(playlist).where(eq(playlist.id, id)).returning()
    })
    res.json(found(gone[0], 'playlist'))
  })

  return router
}
