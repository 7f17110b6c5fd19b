/** The kinds of actor. `anonymous` means nobody signed in, on purpose; an unknown actor is `null` in an entry. */
export const actorTypes = ['user', 'service', 'job', 'agent', 'system', 'anonymous'] as const
export type ActorType = (typeof actorTypes)[number]

/** Who did it. */
export interface Actor {
  readonly type: ActorType
  /** The actor's key as text; `null` only for `anonymous`. */
  readonly id: string | null
  /** A name people recognise, as it was when the entry was written. */
  readonly label?: string
  /** For whom the actor acted: an administrator as a user, an agent for a user, a job for who queued it. */
  readonly onBehalfOf?: Actor
}

/** What an application may give as an actor: `type` defaults to `user`, a number or bigint id becomes its text. */
export interface ActorInput {
  readonly type?: ActorType
  readonly id?: string | number | bigint | null
  readonly label?: string | null
  readonly onBehalfOf?: ActorInput | null
}

/** A half-built or invalid actor is no actor: attribution is never guessed and never breaks the application. */
export function toActor(input: unknown, depth = 0): Actor | undefined {
  if (typeof input !== 'object' || input === null || depth > 4) return undefined
  const { type = 'user', id, label, onBehalfOf } = input as Record<string, unknown>
  if (!actorTypes.includes(type as ActorType)) return undefined
  const known = toId(id)
  if (known === undefined && type !== 'anonymous') return undefined
  const other = toActor(onBehalfOf, depth + 1)
  return {
    type: type as ActorType,
    id: known ?? null,
    ...(typeof label === 'string' && label !== '' ? { label } : {}),
    ...(other ? { onBehalfOf: other } : {}),
  }
}

function toId(id: unknown): string | undefined {
  if (typeof id === 'string' && id !== '') return id
  if (typeof id === 'bigint' || (typeof id === 'number' && Number.isFinite(id))) return String(id)
  return undefined
}

/** The form in which an actor is stored and searched: `user:42`. */
export function actorKey(actor: Actor): string {
  return `${actor.type}:${actor.id ?? ''}`
}

/** The inverse of {@link actorKey}. Text of another form (set by hand in SQL) names no actor: nobody is guessed. */
export function fromActorKey(key: string): { type: ActorType; id: string | null } | undefined {
  const colon = key.indexOf(':')
  const type = key.slice(0, colon) as ActorType
  if (colon < 0 || !actorTypes.includes(type)) return undefined
  return { type, id: key.slice(colon + 1) || null }
}
