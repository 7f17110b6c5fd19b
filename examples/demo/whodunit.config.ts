// What the trail keeps of this shop, and what it must not. Read by the application and by `npx whodunit`.

import { fileURLToPath } from 'node:url'
import { defineAudit } from 'whodunit'

export default defineAudit({
  url: process.env.DATABASE_URL || `pglite:${fileURLToPath(new URL('./data/pglite', import.meta.url))}`,
  models: {
    artist: { label: '{name}' },
    album: { label: '{title}' },
    track: { label: '{name}' },
    playlist: { label: '{name}' },
    employee: { label: '{first_name} {last_name}' },
    customer: { label: '{first_name} {last_name}', subject: 'customer_id' },
    invoice: { label: 'invoice {invoice_id}', subject: 'customer_id', category: 'billing' },
    refund: { label: 'refund of {amount}', category: 'billing' },
    payment_card: {
      subject: 'customer_id',
      category: 'billing',
      severity: 'high',
      redact: { card_number: 'mask', cvv: 'mask' },
    },
    users: { label: '{email}', severity: 'high' }, // password_hash and api_token are masked without being named
  },
  actors: { user: { model: 'users', label: '{email}' } },
  retention: { '*': '400d', login: '2y' },
})
