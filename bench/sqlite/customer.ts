/** Fourteen columns, about 300 bytes a row, as on PostgreSQL. */
export const customerColumns = `
  id integer primary key, ref text not null, name text not null, email text, status text not null,
  balance numeric not null, version integer not null, active boolean not null, tags text not null, profile json,
  notes text, country text, created_at text not null, updated_at text not null`

export const columnNames: readonly string[] = customerColumns
  .split(',')
  .map((column) => column.trim().split(' ')[0]!)

/** The rows 1 to `count`. */
export function fillCustomers(count: number): string {
  return `with recursive n(i) as (select 1 union all select i + 1 from n where i < ${count})
    insert into customer select i, '3f8b6c1e-7d5a-4f0e-9b3c-2a1d4e5f6a7b', 'Customer number ' || i,
      'customer' || i || '@example.com', 'active', (i % 1000) + 0.5, 1, true, '["a","b"]',
      '{"city":"Springfield","level":' || (i % 5) || '}',
      'note note note note note note note note note note note note note note note ', 'DE',
      '2026-01-01 00:00:00', '2026-01-01 00:00:00' from n`
}

/** Three of fourteen columns. */
export const threeColumns = `balance = balance + 1, version = version + 1, updated_at = strftime('%Y-%m-%d %H:%M:%f')`

/** What the trail holds of such a change. */
export const threeColumnChange = `{"balance":[123.5,124.5],"version":[1,2],"updated_at":["2026-01-01 00:00:00","2026-11-24 07:12:45.123"]}`

/** An image of a whole customer: `[null,v]` of fourteen columns. */
export const customerImage = `{"id":[null,1],"ref":[null,"3f8b6c1e-7d5a-4f0e-9b3c-2a1d4e5f6a7b"],"name":[null,"Customer number 1"],"email":[null,"customer1@example.com"],"status":[null,"active"],"balance":[null,1.5],"version":[null,1],"active":[null,1],"tags":[null,"[\\"a\\",\\"b\\"]"],"profile":[null,"{\\"city\\":\\"Springfield\\",\\"level\\":1}"],"notes":[null,"note note note note note note note note note note note note note note note "],"country":[null,"DE"],"created_at":[null,"2026-01-01 00:00:00"],"updated_at":[null,"2026-01-01 00:00:00"]}`
