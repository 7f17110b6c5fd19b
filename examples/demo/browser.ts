// One person at a screen: sends requests, keeps the cookie, takes a moment between two.

import { setTimeout as pause } from 'node:timers/promises'

export interface Answer {
  readonly status: number
  readonly body: any
}

export interface More {
  readonly body?: object
  readonly expect?: number
  readonly reason?: string
  readonly token?: string
}

export interface Browser {
  /** Sends one request. An answer other than expected is noted as a surprise, and given all the same. */
  readonly send: (method: string, path: string, more?: More) => Promise<Answer>
}

/** What all browsers of a simulation add to. */
export interface Tally {
  requests: number
  readonly answers: Record<number, number>
  readonly surprises: string[]
}

export function createBrowser(base: string, userAgent: string, random: () => number, tally: Tally): Browser {
  let cookie = ''
  return {
    async send(method, path, { body, expect, reason, token } = {}) {
      await pause(random() * 20)
      const headers: Record<string, string> = { 'user-agent': userAgent }
      if (token) headers['authorization'] = `Bearer ${token}`
      else if (cookie) headers['cookie'] = cookie
      if (body) headers['content-type'] = 'application/json'
      if (reason) headers['x-reason'] = reason
      const response = await fetch(base + path, {
        method,
        headers,
        ...(body && { body: JSON.stringify(body) }),
      })
      cookie = response.headers.getSetCookie()[0]?.split(';')[0] ?? cookie
      const text = await response.text()
      const isJson = response.headers.get('content-type')?.startsWith('application/json')
      tally.requests++
      tally.answers[response.status] = (tally.answers[response.status] ?? 0) + 1
      if (expect ? response.status !== expect : !response.ok) {
        tally.surprises.push(`${method} ${path} answered ${response.status} ${text.slice(0, 200)}`)
      }
      return { status: response.status, body: isJson ? JSON.parse(text) : text }
    },
  }
}

/** Random numbers from 0 to 1 that are the same for the same seed (mulberry32). */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
