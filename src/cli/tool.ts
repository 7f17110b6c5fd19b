import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { basename } from 'node:path'
import { isSecretName, scrubText } from '../core/redact.ts'

/** How a command ended: its exit code, as a shell tells it, and the same in words. */
export interface Ended {
  readonly code: number
  readonly how: string
}

const forwarded = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const

/** Runs a command with our own input and output, and hands it our signals. Never throws. */
export function runTool(
  [file = '', ...args]: readonly string[],
  environment: Readonly<Record<string, string>>,
): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(file, args, { stdio: 'inherit', env: { ...process.env, ...environment } })
    const forward = (signal: NodeJS.Signals): void => {
      // a terminal sends Ctrl+C to all of its processes: twice would be "at once"
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal)
    }
    for (const signal of forwarded) process.on(signal, forward)
    const end = (ended: Ended): void => {
      for (const signal of forwarded) process.off(signal, forward)
      resolve(ended)
    }
    child.on('error', (error: NodeJS.ErrnoException) => {
      if (child.pid !== undefined) return // a signal that came too late
      const code = error.code === 'ENOENT' ? 127 : 126
      end({ code, how: `could not be started (${error.code ?? error.message})` })
    })
    child.on('exit', (code, signal) =>
      end(
        signal === null
          ? { code: code ?? 0, how: `ended with ${code}` }
          : { code: 128 + constants.signals[signal], how: `was ended by ${signal}` },
      ),
    )
  })
}

const launchers = new Set(['npx', 'npm', 'pnpm', 'yarn', 'bun', 'bunx', 'node', 'tsx', 'deno', 'run', 'exec', 'dlx', 'x', 'env', 'sh', 'bash']) // prettier-ignore

/** The command's name: of `npx prisma migrate deploy`, and of `node node_modules/prisma/build/index.js`, it is `prisma`. */
export function toolName(command: readonly string[]): string {
  const words = command.filter((word) => !word.startsWith('-') && !word.includes('='))
  const named = words.find((word) => !launchers.has(basename(word))) ?? command[0] ?? ''
  const installed = /node_modules[\\/]((?:@[^\\/]+[\\/])?[^\\/.][^\\/]*)[\\/]/.exec(named)?.[1]
  return installed ?? basename(named)
}

/** The command as one text, without what looks like a secret in it. */
export function commandLine(command: readonly string[]): string {
  const shown = command.map((word, index) => {
    const before = command[index - 1] ?? ''
    if (/^--?[a-z]/i.test(before) && !before.includes('=') && isSecretName(before)) return '***'
    return word.replace(/^(-p)(?=\S*\D)\S+$/, '$1***') // a password, as mysql takes it; psql's port stays
  })
  return scrubText(shown.join(' ').replace(/([\w-]*(?:pass|secret|token|key)[\w-]*)=\S+/gi, '$1=***'))
}
