import { type CompiledQuery, type Expression, type SelectQueryBuilder, sql, type SqlBool } from 'kysely'
import {
  agentPieces,
  type AuditEntry,
  AuditError,
  type FollowBatch,
  type Page,
  type Policy,
  type Query,
  type TrailReader,
} from '../core/internal.ts'
import { parseTemplate } from '../capture/plan.ts'
import type { Dialect, EntryRow, ReadDialect, Session, Statement } from '../dialect/dialect.ts'
import { type Cursor, decodeCursor, encodeCursor } from './cursor.ts'
import { toEntry } from './row.ts'
import { summarize } from './summary.ts'

/** Reads the trail over a session and a dialect. */
export function createTrailReader(session: Session, dialect: Dialect): TrailReader {
  const { read } = dialect
  const run = async (statement: Statement): Promise<readonly EntryRow[]> => {
    try {
      return (await session.run(statement.sql, statement.parameters)) as unknown as readonly EntryRow[]
    } catch (error) {
      throw dialect.explain(error)
    }
  }
  const end = async (from: string | undefined): Promise<string> => {
    try {
      return await read.end(session, from)
    } catch (error) {
      throw dialect.explain(error)
    }
  }
  const page = (rows: readonly EntryRow[], limit: number, query: unknown): Page<AuditEntry> => {
    const last = rows[limit - 1]
    const next = rows.length > limit && last ? encodeCursor({ at: last.at, id: last.id }, query) : null
    return { entries: rows.slice(0, limit).map(toEntry), next }
  }

  return {
    async find(query, limit, after) {
      const asked = query.asked ?? query
      const before = decodeCursor(after, asked)
      return page(await run(compile(findQuery(read, query, limit + 1, before))), limit, asked)
    },
    async get(idOrRef) {
      const number = /^\d{1,18}$/.test(idOrRef)
      const byRef = sql<SqlBool>`e.ref = ${idOrRef}`
      const [row] = number ? await run(compile(entries(read).where(read.id(idOrRef)).limit(1))) : []
      const [named] = row ? [] : await run(compile(entries(read).where(byRef).limit(1)))
      const found = row ?? named
      return found && toEntry(found)
    },
    async history(model, id, limit, after) {
      const query = { history: [model, id] }
      const before = decodeCursor(after, query)
      const ids = await keysOf(model, id)
      let select = entries(read)
        .where(read.target(model, ids))
        .orderBy(sql`e.id`, 'desc')
        .limit(limit + 1)
      if (before) select = select.where(sql<SqlBool>`e.id < ${before.id}`)
      return page(await run(compile(select)), limit, query)
    },
    summary: (query) => summarize(run, read, query),
    follow,
    async end() {
      return encodePosition({ from: await end(undefined) })
    },
    async actorLabels(keys, actors) {
      return actorLabels(session, dialect, keys, actors)
    },
  }

  // A key may have been changed more than once, so look until no other key turns up
  async function keysOf(model: string, id: string): Promise<string[]> {
    const known = new Set([id])
    for (let size = 0; size < known.size && known.size < 100;) {
      size = known.size
      for (const { from, to } of (await run(read.moves(model, [...known]))) as unknown as {
        from: string
        to: string
      }[]) {
        known.add(from)
        known.add(to)
      }
    }
    return [...known]
  }

  async function follow(position: string | undefined, limit: number): Promise<FollowBatch> {
    const { from, to: open, after } = decodePosition(position)
    const to = open ?? (await end(from))
    const rows = await run(
      compile(
        entries(read)
          .where(read.between(from, to, after))
          .orderBy(sql`e.id`)
          .limit(limit + 1),
      ),
    )
    const more = rows.length > limit
    const last = rows[limit - 1]
    const next = more && last ? encodePosition({ from, to, after: last.id }) : encodePosition({ from: to })
    const behind = ({ id }: { readonly id: string }): string => encodePosition({ from, to, after: id })
    return { entries: rows.slice(0, limit).map(toEntry), position: next, behind, more }
  }
}

type Select = SelectQueryBuilder<never, never, EntryRow>

function entries(read: ReadDialect): Select {
  return read.db.selectFrom(`${read.table} as e`).select(read.columns as never)
}

function compile(select: { compile(): CompiledQuery }): Statement {
  return select.compile()
}

function findQuery(read: ReadDialect, query: Query, limit: number, before: Cursor | undefined): Select {
  let select = entries(read)
    .orderBy(sql`e.at`, 'desc')
    .orderBy(sql`e.id`, 'desc')
    .limit(limit)
  if (before) select = select.where(read.before(before.at, before.id))
  for (const condition of conditions(read, query)) select = select.where(condition)
  return select
}

/** A filter as conditions, all of which must hold. */
export function conditions(read: ReadDialect, query: Query): Expression<SqlBool>[] {
  const among = (column: string, values: readonly string[] | undefined): Expression<SqlBool>[] =>
    values ? [sql<SqlBool>`${sql.ref(column)} in (${sql.join(values.length > 0 ? values : [null])})`] : []
  const is = (column: string, value: string | undefined): Expression<SqlBool>[] =>
    value === undefined ? [] : [sql<SqlBool>`${sql.ref(column)} = ${value}`]
  const byTarget = query.targetId !== undefined && query.models
  return [
    ...(byTarget ? [read.target(query.models[0]!, [query.targetId])] : among('e.model', query.models)),
    ...among('e.kind', query.kinds),
    ...among('e.action', query.actions),
    ...among('e.actor', query.actors),
    ...is('e.subject', query.subject),
    ...is('e.request_id', query.request),
    ...is('e.tenant', query.tenant),
    ...is('e.category', query.category),
    ...(query.ip === undefined ? [] : [sql<SqlBool>`${read.contextLine('ip')} = ${query.ip}`]),
    ...(query.since ? [read.since(query.since)] : []),
    ...(query.until ? [read.until(query.until)] : []),
    ...(query.tx === undefined ? [] : [read.transaction(integer('tx', query.tx))]),
    ...(query.severities
      ? [
          sql<SqlBool>`coalesce(e.severity, 'info') in (${sql.join(query.severities.length > 0 ? [...query.severities] : [null])})`,
        ]
      : []),
    ...(query.changed === undefined ? [] : [changes(read, query.changed)]),
    ...(query.tag === undefined ? [] : [read.tag(query.tag)]),
    ...(query.text === undefined ? [] : [anywhere(read, query.text)]),
  ]
}

/** By the name at the head of its pair: a quote inside a value is escaped, so no value looks like one. */
function changes(read: ReadDialect, columns: readonly string[]): Expression<SqlBool> {
  const heads = columns
    .map((column) => JSON.stringify(column))
    .flatMap((name) => ['{', ','].map((before) => read.contains(sql`e.changes`, `${before}${name}:[`)))
  return sql<SqlBool>`(${sql.join(heads, sql` or `)})`
}

function anywhere(read: ReadDialect, text: string): Expression<SqlBool> {
  const column = (name: string): Expression<string | null> => sql.ref<string | null>(`e.${name}`)
  const context = agentPieces.reduce(
    (rest, [code, piece]) => sql<string | null>`replace(${rest}, ${code}, ${piece})`,
    column('context'),
  )
  const columns = [
    ...['label', 'actor', 'action', 'model', 'target_id', 'changes', 'details'].map(column),
    context,
  ]
  const escaped = JSON.stringify(text).slice(1, -1) // as it stands in JSON
  const inside =
    escaped === text
      ? []
      : [context, column('changes'), column('details')].map((item) => [item, escaped] as const)
  const places = [...columns.map((item) => [item, text] as const), ...inside]
  return sql<SqlBool>`(${sql.join(
    places.map(([item, part]) => read.contains(item, part)),
    sql` or `,
  )})`
}

function integer(name: string, value: string): string {
  if (/^\d{1,18}$/.test(value)) return value
  throw new AuditError(
    'AUDIT_QUERY_INVALID',
    `The filter "${name}" is ${JSON.stringify(value)}.`,
    'Give the tx of an entry.',
  )
}

interface Position {
  readonly from?: string | undefined
  readonly to?: string | undefined
  readonly after?: string | undefined
}

function encodePosition({ from, to, after }: Position): string {
  return Buffer.from(JSON.stringify([from ?? null, to ?? null, after ?? null])).toString('base64url')
}

function decodePosition(position: string | undefined): Position {
  if (position === undefined) return {}
  try {
    const parts = JSON.parse(Buffer.from(position, 'base64url').toString()) as (string | null)[]
    if (
      Array.isArray(parts) &&
      parts.length === 3 &&
      parts.every((part) => part === null || /^[\d:,]+$/.test(part))
    ) {
      return { from: parts[0] ?? undefined, to: parts[1] ?? undefined, after: parts[2] ?? undefined }
    }
  } catch {
    // falls through
  }
  throw new AuditError(
    'AUDIT_QUERY_CURSOR',
    `"${position.slice(0, 60)}" is no position of a feed.`,
    `Pass 'start', 'now', or the position of a feed.`,
  )
}

async function actorLabels(
  session: Session,
  dialect: Dialect,
  keys: readonly string[],
  actors: NonNullable<Policy['actors']>,
): Promise<Map<string, string>> {
  const labels = new Map<string, string>()
  for (const [type, { model, label }] of Object.entries(actors)) {
    // A label is a help to readers: that its table is gone, or may not be read, must not keep them from the trail
    try {
      await lookUp(type, model, label)
    } catch {
      continue
    }
  }
  return labels

  async function lookUp(type: string, model: string, label: string): Promise<void> {
    const ids = keys.filter((key) => key.startsWith(`${type}:`)).map((key) => key.slice(type.length + 1))
    if (ids.length === 0) return
    const schema = model.includes('.') ? [model.slice(0, model.indexOf('.'))] : undefined
    const { tables } = await dialect.capture.catalogue(session.run, schema)
    const table = tables.find((item) => item.model === model || `${item.schema}.${item.name}` === model)
    if (!table) return
    const statement = dialect.read.labels(table, parseTemplate(label), ids)
    for (const row of await session.run(statement.sql, statement.parameters)) {
      labels.set(`${type}:${String(row['key'])}`, String(row['label']))
    }
  }
}
