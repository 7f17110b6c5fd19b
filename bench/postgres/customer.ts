/** Fourteen columns of mixed types, about 300 bytes a row. */
export const customerColumns = `
  id bigint primary key, ref uuid not null, name text not null, email text, status customer_status not null,
  balance numeric(12, 2) not null, version int not null, active boolean not null, tags text[] not null, profile jsonb,
  notes text, country varchar(2), created_at timestamptz not null, updated_at timestamptz not null`

export const customerTypes = `create type customer_status as enum ('new', 'active', 'closed')`

/** Rows `from` to `to`. */
export function customers(from: number, to: number): string {
  return `select i, gen_random_uuid(), 'Customer number ' || i, 'customer' || i || '@example.com', 'active'::customer_status,
    (i % 1000) + 0.5, 1, true, array['a', 'b'], jsonb_build_object('level', i % 5, 'city', 'Springfield'),
    repeat('note ', 15), 'DE', '2026-01-01'::timestamptz, '2026-01-01'::timestamptz from generate_series(${from}, ${to}) i`
}

/** Three of fourteen columns. */
export const threeColumns = `balance = balance + 1, version = version + 1, updated_at = clock_timestamp()`

/** What the trail holds of such a change. */
export const threeColumnChange = `{"balance":["123.50","124.50"],"version":[1,2],"updated_at":["2026-01-01 00:00:00+00","2026-11-24 07:12:45.123456+00"]}`
