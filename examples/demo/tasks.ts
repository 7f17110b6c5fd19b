// What the simulated staff do: chores that come up all day, and the tasks of each person's own.

import type { Browser } from './browser.ts'

/** Someone's desk: the screen, their dice, and what they made today. */
export interface Desk {
  readonly browser: Browser
  readonly random: () => number
  readonly customers: number[]
  readonly playlists: number[]
}

export type Task = (desk: Desk) => Promise<unknown>

export const admin = 'andrew@chinookcorp.com'

const metal = 3
const cities = ['Calgary', 'Lyon', 'Kraków', 'São Paulo', 'Delhi', 'Oslo', '東京', 'Dublin'] as const
const streets = ['Harbour Street', 'Rue de la Paix', '"The Mews"', "King's Road", 'Ulica Długa'] as const
const words = ['man', 'ar', 'Go', 'Luís', 'inc', 'son', 'e'] as const
const mixes = ['Friday evening', 'Rainy Sunday', 'In-store loop', 'Roadtrip', 'Closing time'] as const

function pick<Item>(desk: Desk, items: readonly Item[]): Item {
  return items[Math.floor(desk.random() * items.length)] as Item
}

/** A customer who came with Chinook: 1 to 59, all with invoices, so that none of them ever goes away. */
const anyCustomer = (desk: Desk): number => 1 + Math.floor(desk.random() * 59)
const anyTrack = (desk: Desk): number => 1 + Math.floor(desk.random() * 3503)

const look: Task = (desk) => desk.browser.send('GET', `/customers/${anyCustomer(desk)}`)
const search: Task = (desk) =>
  desk.browser.send('GET', `/customers?q=${encodeURIComponent(pick(desk, words))}`)

const correctPhone: Task = (desk) =>
  desk.browser.send('PATCH', `/customers/${anyCustomer(desk)}`, {
    body: {
      phone: `+1 (${200 + Math.floor(desk.random() * 800)}) 555-01${10 + Math.floor(desk.random() * 90)}`,
    },
    reason: 'customer called',
  })

const correctAddress: Task = (desk) =>
  desk.browser.send('PATCH', `/customers/${anyCustomer(desk)}`, {
    body: {
      address: `${1 + Math.floor(desk.random() * 200)} ${pick(desk, streets)}`,
      city: pick(desk, cities),
    },
    reason: 'moved house',
  })

const mix: Task = async (desk) => {
  const { body } = await desk.browser.send('POST', '/playlists', {
    body: { name: pick(desk, mixes) },
    expect: 201,
  })
  desk.playlists.push(body.id)
  const trackIds = Array.from({ length: 4 }, () => anyTrack(desk))
  await desk.browser.send('POST', `/playlists/${body.id}/tracks`, { body: { trackIds }, expect: 201 })
  await desk.browser.send('DELETE', `/playlists/${body.id}/tracks`, {
    body: { trackIds: trackIds.slice(0, 1) },
  })
}

const dropMix: Task = async (desk) => {
  const id = desk.playlists.pop()
  if (id !== undefined) await desk.browser.send('DELETE', `/playlists/${id}`)
}

/** What comes up all day, as often as it stands here. */
export const chores: readonly Task[] = [
  look,
  look,
  look,
  look,
  look,
  search,
  search,
  search,
  correctPhone,
  correctPhone,
  correctAddress,
  correctAddress,
  mix,
  dropMix,
]

const signUp: Task = async (desk) => {
  const person = {
    firstName: pick(desk, ['Ada', 'Noor', 'Tomás']),
    lastName: pick(desk, ['Lindqvist', 'Adeyemi']),
    email: 'new@example.com',
  }
  const { body } = await desk.browser.send('POST', '/customers', { body: person, expect: 201 })
  desk.customers.push(body.id)
  await addCard(desk, body.id, 201)
}

/** Test numbers of the card companies. None may ever be found in the trail. */
function addCard(desk: Desk, customer: number, expect: number): Promise<unknown> {
  const card = {
    cardNumber: pick(desk, ['4111111111111111', '5555555555554444', '378282246310005']),
    cvv: '737',
    expires: '2029-08-01',
  }
  return desk.browser.send('POST', `/customers/${customer}/card`, { body: card, expect })
}

const removeOwnCustomer: Task = async (desk) => {
  const id = desk.customers.pop()
  if (id !== undefined) await desk.browser.send('DELETE', `/customers/${id}`, { reason: 'signed up twice' })
}

/** Pays back a quarter of a unit; or, with `tooMuch`, more than there is, which the shop undoes. */
const refund =
  (tooMuch: boolean): Task =>
  async (desk) => {
    const { body } = await desk.browser.send('GET', `/customers/${anyCustomer(desk)}`)
    const largest = body.invoices.toSorted(
      (a: { total: string }, b: { total: string }) => Number(b.total) - Number(a.total),
    )[0]
    const amount = tooMuch ? Number(largest.total) + 100 : 0.25
    await desk.browser.send('POST', `/invoices/${largest.id}/refund`, {
      body: { amount, reason: 'track would not play' },
      expect: tooMuch ? 502 : 201,
      reason: 'complaint by telephone',
    })
  }

const reprice =
  (percent: number, expect: number, reason: string): Task =>
  (desk) =>
    desk.browser.send('POST', '/tracks/reprice', { body: { genreId: metal, percent }, expect, reason })

const salesReport: Task = (desk) => desk.browser.send('GET', '/reports/sales')
const brokenReport: Task = (desk) => desk.browser.send('GET', '/boom', { expect: 500 })
const removeInvoiced: Task = (desk) =>
  desk.browser.send('DELETE', `/customers/${anyCustomer(desk)}`, { expect: 409 })
const cardForNobody: Task = (desk) => addCard(desk, 999_999, 409)
const cardForSomebody: Task = (desk) => addCard(desk, anyCustomer(desk), 201)

/** The prices go up by a tenth, and down again: the next run finds them as this one did. */
export const manager: readonly Task[] = [
  salesReport,
  reprice(10, 200, 'spring price list'),
  refund(false),
  reprice(-9.09, 200, 'spring price list withdrawn'),
]

export const agent: Record<'jane' | 'margaret' | 'steve', readonly Task[]> = {
  jane: [refund(false), signUp, removeOwnCustomer],
  margaret: [cardForSomebody, signUp, salesReport],
  steve: [refund(true), reprice(50, 403, 'why not'), removeInvoiced, cardForNobody],
}

const resetPassword: Task = async (desk) => {
  const { body } = await desk.browser.send('GET', '/users')
  const { id } = body.find(({ email }: { email: string }) => email === admin)
  const password = `correct-horse-${Math.floor(desk.random() * 1e9)}`
  await desk.browser.send('POST', `/users/${id}/password`, {
    body: { password },
    reason: 'someone tries to guess it',
  })
}

const exportByToken: Task = async (desk) => {
  const me = await desk.browser.send('GET', '/me')
  const { body } = await desk.browser.send('POST', `/users/${me.body.id}/token`, { expect: 201 })
  await desk.browser.send('GET', '/exports/customers.csv', { token: body.apiToken, reason: 'monthly letter' })
}

export const it: readonly Task[] = [resetPassword, brokenReport, exportByToken]
