// Signing in by password, and knowing who sends a request: by cookie for people, by token for programs.

import { randomBytes } from 'node:crypto'
import { eq } from 'drizzle-orm'
import type { Request, RequestHandler, Response } from 'express'
import type { Database } from './database.ts'
import { HttpError } from './http.ts'
import { isPassword } from './passwords.ts'
import { users } from './schema.ts'

export interface User {
  readonly id: number
  readonly email: string
  readonly name: string
  readonly role: 'admin' | 'manager' | 'agent' | 'it'
  readonly employeeId: number
}

declare global {
  namespace Express {
    interface Request {
      user?: User
    }
  }
}

export type SignIn =
  | { readonly status: 'SUCCESS'; readonly user: User }
  | { readonly status: 'FAILED' | 'BLOCKED'; readonly reason: string }

const sessions = new Map<string, User>()
const failures = new Map<string, number>()
const someHash = `${'A'.repeat(22)}:${'A'.repeat(43)}`
const publicColumns = {
  id: users.id,
  email: users.email,
  name: users.name,
  role: users.role,
  employeeId: users.employeeId,
}

/** Checks a password. Five wrong ones in a row block the account until the application starts again. */
export async function signIn(db: Database, email: string, password: string): Promise<SignIn> {
  const failed = failures.get(email) ?? 0
  if (failed >= 5) return { status: 'BLOCKED', reason: 'too many failed attempts' }
  const [row] = await db
    .select({ ...publicColumns, hash: users.passwordHash })
    .from(users)
    .where(eq(users.email, email))
  // An unknown address takes as long as a known one, so that the time tells nothing.
  if (!(await isPassword(password, row?.hash ?? someHash)) || !row) {
    failures.set(email, failed + 1)
    return { status: 'FAILED', reason: row ? 'wrong password' : 'unknown user' }
  }
  failures.delete(email)
  const { hash: _, ...user } = row
  return { status: 'SUCCESS', user }
}

export function startSession(res: Response, user: User): void {
  const id = randomBytes(24).toString('base64url')
  sessions.set(id, user)
  res.cookie('sid', id, { httpOnly: true, sameSite: 'lax', path: '/' })
}

export function endSession(req: Request, res: Response): void {
  sessions.delete(cookieOf(req))
  res.clearCookie('sid', { path: '/' })
}

/** Sets `req.user`, if there is one. */
export function loadUser(db: Database): RequestHandler {
  return async (req, _res, next) => {
    const session = sessions.get(cookieOf(req))
    const token = /^Bearer (\S+)$/.exec(req.get('authorization') ?? '')?.[1]
    const user =
      session ?? (token && (await db.select(publicColumns).from(users).where(eq(users.apiToken, token)))[0])
    if (user) req.user = user
    next()
  }
}

/** Lets staff pass; with roles, only those (an admin always). */
export function requireUser(...roles: readonly User['role'][]): RequestHandler {
  return (req, _res, next) => {
    const { role } = userOf(req)
    if (roles.length > 0 && role !== 'admin' && !roles.includes(role))
      throw new HttpError(403, 'Not for your role')
    next()
  }
}

export function userOf(req: Request): User {
  if (!req.user) throw new HttpError(401, 'Sign in first')
  return req.user
}

function cookieOf(req: Request): string {
  return /(?:^|;\s*)sid=([\w-]+)/.exec(req.get('cookie') ?? '')?.[1] ?? ''
}
