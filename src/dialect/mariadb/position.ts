import { type Expression, sql, type SqlBool } from 'kysely'
import type { RunSql, Session } from '../dialect.ts'

/*
 * A position of a feed is the greatest id that anybody has written, and the gaps below it: ids that were given to a
 * transaction, and are not committed. What is committed between two positions is then exactly what the later one has and
 * the earlier had not, in whatever order the transactions commit, and the writers pay nothing for it.
 *
 *   LAST, then for each gap: FIRST, COUNT, the second at which it was first seen
 *
 * A gap in which not even a dirty read finds a row was rolled back, or its row is about to be written. Where that does
 * not come for a minute, the gap is given up.
 */
interface Gap {
  readonly first: bigint
  readonly last: bigint
  readonly seen: number
}

interface Position {
  readonly last: bigint
  readonly gaps: readonly Gap[]
}

const patience = 60

function decode(text: string | undefined): Position {
  const [last = 0n, ...rest] = (text ?? '').split(/[:,]/).filter(Boolean).map(BigInt)
  const gaps: Gap[] = []
  for (let n = 0; n + 2 < rest.length; n += 3) {
    gaps.push({ first: rest[n]!, last: rest[n]! + rest[n + 1]! - 1n, seen: Number(rest[n + 2]) })
  }
  return { last, gaps }
}

function encode({ last, gaps }: Position): string {
  return `${last}:${gaps.map((gap) => `${gap.first},${gap.last - gap.first + 1n},${gap.seen}`).join(':')}`
}

/** The position after everything that is committed now. */
export async function endPosition(session: Session, from: string | undefined): Promise<string> {
  const before = decode(from)
  return session.connection(async (run) => {
    const dirty = reading(run, 'read uncommitted')
    const committed = reading(run, 'read committed')
    const [edge] = await dirty(
      `select cast(ifnull(min(id), 1) as char) as first, cast(ifnull(max(id), 0) as char) as last, cast(unix_timestamp() as char) as now
       from whodunit_entry where id > ${before.last}`,
    )
    const now = Number(edge!['now'])
    const first = from === undefined ? BigInt(String(edge!['first'])) - 1n : before.last
    const last = BigInt(String(edge!['last']))
    const open: Gap[] = []
    if (before.gaps.length > 0) {
      const gone = await idsIn(committed, before.gaps)
      const left = before.gaps.flatMap((gap) => without(gap, gone))
      const living = await idsIn(dirty, left)
      open.push(...left.flatMap((gap) => pick(gap, living, now - gap.seen < patience)))
    }
    if (last > before.last) {
      const gaps = await gapsBetween(committed, first, last, now)
      const empty = gaps.length > 0 ? await gapsBetween(dirty, first, last, now) : []
      // at the very beginning, gaps are as old as the entries behind them
      const isOld = from === undefined && empty.length > 0 ? await oldBefore(committed) : 0n
      const dead = empty.filter((gap) => gap.last < isOld)
      const deadIds = new Set(dead.map((gap) => `${gap.first}-${gap.last}`))
      open.push(
        ...gaps.flatMap((gap) => {
          if (deadIds.has(`${gap.first}-${gap.last}`)) return []
          return dead
            .filter((item) => item.first >= gap.first && item.last <= gap.last)
            .reduce<Gap[]>((parts, item) => parts.flatMap((part) => cut(part, item)), [gap])
        }),
      )
    }
    return encode({ last: last > before.last ? last : before.last, gaps: open })
  })
}

type Reading = (sql: string) => ReturnType<RunSql>

/** Reads at an isolation level, which holds for the next statement only. */
function reading(run: RunSql, level: string): Reading {
  return async (text) => {
    await run(`set transaction isolation level ${level}`)
    return run(text)
  }
}

async function gapsBetween(read: Reading, after: bigint, last: bigint, seen: number): Promise<Gap[]> {
  const rows = await read(
    `select cast(id + 1 as char) as first, cast(next - 1 as char) as last from (
       select id, ifnull(lead(id) over (order by id), ${last + 1n}) as next from (
         select ${after} as id union all select id from whodunit_entry where id > ${after} and id <= ${last}) ids) pairs
     where next > id + 1`,
  )
  return rows.map((row) => ({ first: BigInt(String(row['first'])), last: BigInt(String(row['last'])), seen }))
}

/** Below the first entry of the last minute. */
async function oldBefore(read: Reading): Promise<bigint> {
  const [row] = await read(
    `select cast(ifnull(max(id), 0) as char) as id from whodunit_entry where at < utc_timestamp(6) - interval ${patience} second`,
  )
  return BigInt(String(row!['id']))
}

async function idsIn(read: Reading, gaps: readonly Gap[]): Promise<ReadonlySet<bigint>> {
  if (gaps.length === 0) return new Set()
  const where = gaps.map(({ first, last }) => `id between ${first} and ${last}`).join(' or ')
  const rows = await read(`select cast(id as char) as id from whodunit_entry where ${where}`)
  return new Set(rows.map((row) => BigInt(String(row['id']))))
}

/** What is left of a gap besides these ids. */
function without(gap: Gap, ids: ReadonlySet<bigint>): Gap[] {
  return [...ids].reduce<Gap[]>(
    (parts, id) => parts.flatMap((part) => cut(part, { first: id, last: id })),
    [gap],
  )
}

function cut(gap: Gap, { first, last }: Pick<Gap, 'first' | 'last'>): Gap[] {
  if (last < gap.first || first > gap.last) return [gap]
  return [
    ...(gap.first < first ? [{ ...gap, last: first - 1n }] : []),
    ...(gap.last > last ? [{ ...gap, first: last + 1n }] : []),
  ]
}

/** A gap as it is while it is young; later, only those of its ids that somebody has written and not committed. */
function pick(gap: Gap, written: ReadonlySet<bigint>, young: boolean): Gap[] {
  if (young) return [gap]
  return [...written]
    .filter((id) => id >= gap.first && id <= gap.last)
    .map((id) => ({ first: id, last: id, seen: gap.seen }))
}

/** What is committed between two positions. */
export function betweenPositions(
  from: string | undefined,
  to: string,
  afterId: string | undefined,
): Expression<SqlBool> {
  const [a, b] = [decode(from), decode(to)]
  const range = (gap: Gap) => sql`e.id between ${sql.lit(String(gap.first))} and ${sql.lit(String(gap.last))}`
  const fresh = sql`(e.id > ${sql.lit(String(a.last))} and e.id <= ${sql.lit(String(b.last))})`
  const some = sql.join([fresh, ...a.gaps.map(range)], sql` or `)
  const none = b.gaps.length > 0 ? sql` and not (${sql.join(b.gaps.map(range), sql` or `)})` : sql``
  const after = afterId === undefined ? sql`` : sql` and e.id > ${afterId}`
  return sql<SqlBool>`((${some})${none}${after})`
}
