import { randomBytes } from 'node:crypto'
import { asc, eq } from 'drizzle-orm'
import { Router } from 'express'
import type { Request } from 'express'
import type { Database } from '../database.ts'
import { found, HttpError, idOf, textOf } from '../http.ts'
import { hashPassword } from '../passwords.ts'
import { users } from '../schema.ts'
import { requireUser, userOf } from '../sessions.ts'

export function userRoutes(db: Database): Router {
  const router = Router()

  router.get('/users', requireUser('it', 'manager'), async (_req, res) => {
    res.json(
      await db
        .select({ id: users.id, email: users.email, name: users.name, role: users.role })
        .from(users)
        .orderBy(asc(users.id)),
    )
  })

  router.post('/users/:id/password', requireUser(), async (req, res) => {
    const id = idOfOneself(req)
    const password = textOf(req, 'password')
    if (password.length < 10) throw new HttpError(400, 'password must have 10 characters at least')
    const passwordHash = await hashPassword(password)
    const [changed] = await db
      .update(users)
      .set({ passwordHash })
      .where(eq(users.id, id))
      .returning({ id: users.id })
    res.json(found(changed, 'user'))
  })

  // The token is shown this once.
  router.post('/users/:id/token', requireUser(), async (req, res) => {
    const apiToken = `chk_${randomBytes(24).toString('base64url')}`
    const [changed] = await db
      .update(users)
      .set({ apiToken })
      .where(eq(users.id, idOfOneself(req)))
      .returning({ id: users.id })
    res.status(201).json({ ...found(changed, 'user'), apiToken })
  })

  return router
}

/** One's own id; IT and admins may name anybody's. */
function idOfOneself(req: Request): number {
  const id = idOf(req)
  const { id: own, role } = userOf(req)
  if (id !== own && role !== 'it' && role !== 'admin') throw new HttpError(403, 'Not for your role')
  return id
}
