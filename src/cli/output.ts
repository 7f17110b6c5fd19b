import { styleText } from 'node:util'

/** The reader of stdout has gone, as `head` does: there is nothing left to do, and nothing is wrong. */
export class OutputClosed extends Error {}

/** Where a command writes to. Takes text in small pieces, sends it in large ones, and waits where the reader is slow. */
export interface Output {
  write(text: string): Promise<void>
  flush(): Promise<void>
  /** Bytes sent. */
  readonly bytes: number
}

const pieceSize = 64 * 1_024

export function createOutput(send: (text: string) => Promise<unknown>): Output {
  let waiting: string[] = []
  let length = 0
  let bytes = 0
  const flush = async (): Promise<void> => {
    if (length === 0) return
    const text = waiting.join('')
    waiting = []
    length = 0
    bytes += Buffer.byteLength(text) // before: of what fails on its way, a part may have arrived
    await send(text)
  }
  return {
    get bytes() {
      return bytes
    },
    flush,
    async write(text) {
      waiting.push(text)
      length += text.length
      if (length >= pieceSize) await flush()
    },
  }
}

let gone: Error | undefined
const lost = (error: NodeJS.ErrnoException): Error =>
  (gone ??= error.code === 'EPIPE' ? new OutputClosed() : error)
process.stdout.on('error', lost)
process.stderr.on('error', () => {}) // nobody is left to be told

export const stdout: Output = createOutput(
  (text) =>
    new Promise((resolve, reject) => {
      if (gone) reject(gone)
      else process.stdout.write(text, (error) => (error ? reject(lost(error)) : resolve(undefined)))
    }),
)

/** Something for the person at the terminal that is not the answer itself. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`)
}

export type Paint = (style: Parameters<typeof styleText>[0], text: string) => string

/** Colours only for a terminal, and only without NO_COLOR. */
export function paintFor(stream: { readonly isTTY?: boolean }): Paint {
  const coloured = stream.isTTY === true && !process.env['NO_COLOR']
  return (style, text) => (coloured && text !== '' ? styleText(style, text, { validateStream: false }) : text)
}

/** Columns of the terminal; 120 where there is none. */
export function widthOf(stream: { readonly isTTY?: boolean; readonly columns?: number }): number {
  return (stream.isTTY && stream.columns) || 120
}
