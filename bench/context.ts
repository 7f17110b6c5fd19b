/** Who did it, as an application has it at hand: about 230 bytes. */
export const context = {
  actor: { type: 'user', id: '1001', label: 'alice@example.com' },
  request: {
    id: '3f8b6c1e-7d5a-4f0e-9b3c-2a1d4e5f6a7b',
    ip: '203.0.113.42',
    userAgent:
      'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36',
    sessionId: 'b6c1e7d5a4f0e9b3c2a1d4e5f6a7b8c9',
  },
  tenant: 'acme',
} as const
