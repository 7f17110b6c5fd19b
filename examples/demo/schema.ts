// The tables as Drizzle sees them: only those, and only the columns, which the back office uses.

import { date, integer, numeric, pgTable, primaryKey, text, timestamp, varchar } from 'drizzle-orm/pg-core'

export const customer = pgTable('customer', {
  id: integer('customer_id').primaryKey().generatedByDefaultAsIdentity(),
  firstName: varchar('first_name', { length: 40 }).notNull(),
  lastName: varchar('last_name', { length: 20 }).notNull(),
  company: varchar('company', { length: 80 }),
  address: varchar('address', { length: 70 }),
  city: varchar('city', { length: 40 }),
  country: varchar('country', { length: 40 }),
  phone: varchar('phone', { length: 24 }),
  email: varchar('email', { length: 60 }).notNull(),
  supportRepId: integer('support_rep_id'),
})

export const paymentCard = pgTable('payment_card', {
  id: integer('id').primaryKey().generatedByDefaultAsIdentity(),
  customerId: integer('customer_id').notNull(),
  cardNumber: varchar('card_number', { length: 19 }).notNull(),
  cvv: varchar('cvv', { length: 4 }).notNull(),
  expires: date('expires').notNull(),
})

export const invoice = pgTable('invoice', {
  id: integer('invoice_id').primaryKey(),
  customerId: integer('customer_id').notNull(),
  invoiceDate: timestamp('invoice_date', { mode: 'string' }).notNull(),
  billingCountry: varchar('billing_country', { length: 40 }),
  total: numeric('total', { precision: 10, scale: 2 }).notNull(),
})

export const invoiceLine = pgTable('invoice_line', {
  id: integer('invoice_line_id').primaryKey(),
  invoiceId: integer('invoice_id').notNull(),
  trackId: integer('track_id').notNull(),
  unitPrice: numeric('unit_price', { precision: 10, scale: 2 }).notNull(),
  quantity: integer('quantity').notNull(),
})

export const refund = pgTable('refund', {
  id: integer('id').primaryKey().generatedByDefaultAsIdentity(),
  invoiceId: integer('invoice_id').notNull(),
  amount: numeric('amount', { precision: 10, scale: 2 }).notNull(),
  reason: text('reason').notNull(),
  createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
  createdBy: integer('created_by').notNull(),
})

export const genre = pgTable('genre', {
  id: integer('genre_id').primaryKey(),
  name: varchar('name', { length: 120 }),
})

export const track = pgTable('track', {
  id: integer('track_id').primaryKey(),
  name: varchar('name', { length: 200 }).notNull(),
  albumId: integer('album_id'),
  genreId: integer('genre_id'),
  unitPrice: numeric('unit_price', { precision: 10, scale: 2 }).notNull(),
})

export const playlist = pgTable('playlist', {
  id: integer('playlist_id').primaryKey().generatedByDefaultAsIdentity(),
  name: varchar('name', { length: 120 }),
})

export const playlistTrack = pgTable(
  'playlist_track',
  {
    playlistId: integer('playlist_id').notNull(),
    trackId: integer('track_id').notNull(),
  },
  (table) => [primaryKey({ columns: [table.playlistId, table.trackId] })],
)

export const employee = pgTable('employee', {
  id: integer('employee_id').primaryKey(),
  title: varchar('title', { length: 30 }),
})

export const users = pgTable('users', {
  id: integer('id').primaryKey().generatedByDefaultAsIdentity(),
  email: varchar('email', { length: 60 }).notNull(),
  name: varchar('name', { length: 60 }).notNull(),
  role: varchar('role', { length: 10, enum: ['admin', 'manager', 'agent', 'it'] }).notNull(),
  employeeId: integer('employee_id').notNull(),
  passwordHash: text('password_hash').notNull(),
  apiToken: text('api_token'),
})
