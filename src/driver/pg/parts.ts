/** What is used of a client's connection. */
export interface ConnectionLike {
  readonly stream: { cork?(): void; uncork?(): void; destroy?(): void }
  parse(query: unknown, more?: unknown): void
  bind(config: unknown, more?: unknown): void
  execute(config: unknown, more?: unknown): void
  sync(): void
  query(text: string): void
  emit(event: string, ...message: unknown[]): boolean
}

export interface QueryLike {
  text?: string
  callback?: ((error: unknown, result?: unknown) => void) | undefined
  query_timeout?: unknown
  submit(connection: ConnectionLike): unknown
}
export type QueryClass = new (config: unknown, values?: unknown, callback?: unknown) => QueryLike

export interface ClientLike {
  readonly connection: ConnectionLike
  readonly constructor: unknown
  query(config: unknown, values?: unknown, callback?: unknown): unknown
  readonly processID?: number | null
  readonly _txStatus?: string | null
  readonly pipeline?: boolean
}
