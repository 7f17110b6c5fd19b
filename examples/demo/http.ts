// The few things every route needs: errors with a status, and checked input.

import type { ErrorRequestHandler, Request } from 'express'

/** An answer other than 2xx: 4xx blames the caller, 502 a service the shop depends on. */
export class HttpError extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.name = 'HttpError'
    this.status = status
  }
}

/** The number at `:id` of the path. */
export function idOf(req: Request): number {
  const id = Number(req.params['id'])
  if (!Number.isInteger(id) || id < 1 || id > 2_147_483_647) throw new HttpError(404, 'No such id')
  return id
}

/** A text of the JSON body, from 1 to `max` characters. */
export function textOf(req: Request, field: string, max = 200): string {
  const value: unknown = req.body?.[field]
  if (typeof value !== 'string' || value === '' || value.length > max) {
    throw new HttpError(400, `${field} must be a text of 1 to ${max} characters`)
  }
  return value
}

/** A number of the JSON body, within bounds. */
export function numberOf(req: Request, field: string, min: number, max: number): number {
  const value: unknown = req.body?.[field]
  if (typeof value !== 'number' || !(value >= min && value <= max)) {
    throw new HttpError(400, `${field} must be a number from ${min} to ${max}`)
  }
  return value
}

/** A list of ids of the JSON body. */
export function idsOf(req: Request, field: string): number[] {
  const value: unknown = req.body?.[field]
  if (
    !Array.isArray(value) ||
    value.length === 0 ||
    !value.every((id) => Number.isInteger(id) && id > 0 && id < 2 ** 31)
  ) {
    throw new HttpError(400, `${field} must be a list of ids`)
  }
  return value
}

/** Found, or 404. */
export function found<Row>(row: Row | undefined, what: string): Row {
  if (row === undefined) throw new HttpError(404, `No such ${what}`)
  return row
}

/** Turns whatever was thrown into JSON. The texts of a database's errors hold values, so they stay in here. */
export const answerErrors: ErrorRequestHandler = (error, _req, res, next) => {
  if (res.headersSent) return next(error)
  const code: unknown = error?.cause?.code // SQLSTATE, behind Drizzle's own error
  if (code === '23503')
    return void res.status(409).json({ error: 'Something refers to this, or this refers to nothing' })
  if (code === '23505') return void res.status(409).json({ error: 'There is one already' })
  const status = Number(error?.status)
  if (status >= 400 && status < 600) return void res.status(status).json({ error: error.message })
  res.status(500).json({ error: 'Something went wrong' })
}
