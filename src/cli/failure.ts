import { CommanderError } from 'commander'
import { oneLine } from '../core/text.ts'
import { AuditError, isAuditError } from '../index.ts'

/** A command called wrongly. */
export function usage(message: string, hint = ''): AuditError {
  return new AuditError('AUDIT_CLI_USAGE', message, hint)
}

/** An error as one line for stderr: code, what was wrong, what to do. Never a password of a URL. */
export function failureLine(error: unknown): string {
  return withoutPasswords(oneLine(text(error).replace(/\s+/g, ' ').trim(), 4_000))
}

/** The stacks of an error and its causes, for WHODUNIT_DEBUG=1. */
export function failureStack(error: unknown): string {
  const stacks: string[] = []
  for (let cause = error; cause instanceof Error && stacks.length < 5; cause = cause.cause)
    stacks.push(cause.stack ?? cause.message)
  return withoutPasswords(stacks.join('\ncaused by: '))
}

function text(error: unknown): string {
  if (isAuditError(error)) return `${error.code}: ${error.message}`
  if (error instanceof CommanderError) {
    const message = error.message
      .replace(/^error: /, '')
      .replace(/\s*\(Did you mean (.+)\?\)\s*$/s, '. Did you mean $1?')
    return `AUDIT_CLI_USAGE: ${message}${/[.?]$/.test(message) ? '' : '.'}`
  }
  return `Unexpected: ${error instanceof Error ? error.message || error.name : String(error)}`
}

function withoutPasswords(line: string): string {
  return line
    .replace(/([a-z][\w+.-]*:\/\/[^\s:/@]*):\S*@/gi, '$1:***@')
    .replace(/([?&]password=)[^&\s"']*/gi, '$1***')
}
