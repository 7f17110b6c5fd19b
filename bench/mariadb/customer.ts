/** Fourteen columns of mixed types, about 300 bytes a row, as on PostgreSQL. */
export const customerColumns = `
  id bigint primary key, ref char(36) not null, name varchar(200) not null, email varchar(200),
  status enum('new', 'active', 'closed') not null, balance decimal(12, 2) not null, version int not null,
  active boolean not null, tags varchar(200) not null, profile json, notes text, country varchar(2),
  created_at datetime(6) not null, updated_at datetime(6) not null`

export const columnNames = [
  'id', 'ref', 'name', 'email', 'status', 'balance', 'version', 'active', 'tags', 'profile', 'notes', 'country', 'created_at',
  'updated_at',
] as const // prettier-ignore

/** The rows 1 to `count`. */
export function fillCustomers(table: string, count: number): string {
  return `insert into ${table} select seq, '3f8b6c1e-7d5a-4f0e-9b3c-2a1d4e5f6a7b', concat('Customer number ', seq),
    concat('customer', seq, '@example.com'), 'active', (seq % 1000) + 0.5, 1, true, '["a","b"]',
    concat('{"city":"Springfield","level":', seq % 5, '}'), repeat('note ', 15), 'DE',
    '2026-01-01', '2026-01-01' from seq_1_to_${count}`
}

/** Three of fourteen columns. */
export const threeColumns = `balance = balance + 1, version = version + 1, updated_at = sysdate(6)`

/** What the trail holds of such a change. */
export const threeColumnChange = `{"balance":["123.50","124.50"],"version":[1,2],"updated_at":["2026-01-01 00:00:00.000000","2026-11-24 07:12:45.123456"]}`
