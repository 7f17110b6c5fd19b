import type { ServerNotice } from '../../dialect/dialect.ts'

export type NoticeListener = (notice: ServerNotice) => void

/** Who is told what the server notes beside its answers. */
export interface Listeners {
  /** Answers how to end it. */
  add(listener: NoticeListener): () => void
  readonly tell: NoticeListener
}

export function createListeners(): Listeners {
  const all = new Set<NoticeListener>()
  return {
    add(listener) {
      all.add(listener)
      return () => all.delete(listener)
    },
    tell(notice) {
      for (const listener of all) listener(notice)
    },
  }
}
