import { expect, test } from 'vitest'
import { agentPieces, fullAgent, shortAgent } from '../../src/core/agent.ts'
import { decodeParts, encodeParts } from '../../src/core/wire.ts'

const agents = [
  'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36',
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0',
  'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15',
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1',
  'Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
]

test.each(agents)(
  'a browser takes less than half of its length in the trail, and reads as it was: %s',
  (agent) => {
    expect(shortAgent(agent).length).toBeLessThanOrEqual(agent.length / 2)
    expect(fullAgent(shortAgent(agent))).toBe(agent)
  },
)

test('any other user agent is stored as it is', () => {
  for (const agent of ['curl/8.5.0', 'Mozilla/5.0', '', 'a bot.0.0', 'é 😀']) {
    expect(shortAgent(agent)).toBe(agent)
    expect(fullAgent(agent)).toBe(agent)
  }
})

test('a user agent with control characters cannot be taken for another', () => {
  const userAgent = `x ${agentPieces.map(([code]) => code).join('')}`
  const stored = encodeParts({ request: { id: 'r', userAgent } })
  expect(decodeParts(stored).request?.userAgent).not.toContain('Mozilla')
})
