// A working day of the shop in a few seconds: five members of staff and one stranger, all at once, over real HTTP.
// Everyone has their own seeded random numbers, so that two runs do the same however they interleave.

import { type Browser, createBrowser, createRandom, type Tally } from './browser.ts'
import { admin, agent, chores, it, manager, type Desk, type Task } from './tasks.ts'

const firefox = 'Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0'
const chrome =
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36'
const safari =
  'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15'
const phone =
  'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36'

const staff: readonly { name: string; userAgent: string; tasks: readonly Task[] }[] = [
  { name: 'nancy', userAgent: safari, tasks: manager },
  { name: 'jane', userAgent: firefox, tasks: agent.jane },
  { name: 'margaret', userAgent: chrome, tasks: agent.margaret },
  { name: 'steve', userAgent: phone, tasks: agent.steve },
  { name: 'michael', userAgent: firefox, tasks: it },
]

/** Plays the day, and `job` once in the middle of it. Resolves when everyone has gone home. */
export async function simulate(
  base: string,
  job: () => Promise<unknown>,
  seed: number,
): Promise<Tally & { readonly ms: number }> {
  const tally: Tally = { requests: 0, answers: {}, surprises: [] }
  const begun = performance.now()
  const people = staff.map(({ name, userAgent, tasks }, index) => {
    const random = createRandom(seed * 1000 + index)
    return work(
      { browser: createBrowser(base, userAgent, random, tally), random, customers: [], playlists: [] },
      name,
      tasks,
    )
  })
  const stranger = visit(createBrowser(base, 'curl/8.14.1', createRandom(seed * 1000 + 999), tally)).then(job)
  await Promise.all([...people, stranger])
  return { ...tally, ms: performance.now() - begun }
}

/** Signs in, does some fifty chores with the person's own tasks among them, signs out. */
async function work(desk: Desk, name: string, tasks: readonly Task[]): Promise<void> {
  const { send } = desk.browser
  await send('POST', '/login', { body: { email: `${name}@chinookcorp.com`, password: `chinook-${name}` } })
  const agenda = Array.from({ length: 47 }, () => chores[Math.floor(desk.random() * chores.length)] as Task)
  tasks.forEach((task, index) =>
    agenda.splice(Math.round(((index + 1) * agenda.length) / (tasks.length + 1)), 0, task),
  )
  for (const task of agenda) await task(desk)
  await send('POST', '/logout')
}

/** Nobody we know: tries doors, guesses a password until the account is blocked, then signs up like anybody. */
async function visit({ send }: Browser): Promise<void> {
  await send('GET', '/customers', { expect: 401 })
  await send('GET', '/exports/customers.csv', { expect: 401 })
  await send('POST', '/login', { body: { email: 'root@chinookcorp.com', password: 'toor' }, expect: 401 })
  for (const password of ['andrew', 'chinook', 'Chinook1', 'chinook1962', 'letmein']) {
    await send('POST', '/login', { body: { email: admin, password }, expect: 401 })
  }
  await send('POST', '/login', { body: { email: admin, password: 'hunter2' }, expect: 429 })
  await send('POST', '/customers', {
    body: { firstName: 'Grace', lastName: 'Nakamura', email: 'grace@example.com' },
    expect: 201,
  })
  await send('POST', '/customers', {
    body: { firstName: 'Søren', lastName: "O'Brien", email: 'soren@example.com' },
    expect: 201,
  })
}
