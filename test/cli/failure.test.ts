import { describe, expect, it } from 'vitest'
import { failureLine, failureStack, usage } from '../../src/cli/failure.ts'
import { AuditError } from '../../src/index.ts'

describe('a failure', () => {
  it('is one line: code, what was wrong, what to do', () => {
    expect(failureLine(usage('No such\nthing.', 'Try another.'))).toBe(
      'AUDIT_CLI_USAGE: No such thing. Try another.',
    )
    expect(failureLine(new Error('a\u001b[31mb'))).toBe(String.raw`Unexpected: a\u001b[31mb`)
  })

  it.each([
    ['postgres://ann:s3cret@host/db is down', 'postgres://ann:***@host/db is down'],
    ['"postgresql://ann:s3c@ret@host/db"', '"postgresql://ann:***@host/db"'],
    ['postgres://host/db?user=ann&password=s3cret&x=1', 'postgres://host/db?user=ann&password=***&x=1'],
    ['postgres://ann@host/db', 'postgres://ann@host/db'],
  ])('never shows a password: %s', (message, shown) => {
    const error = new AuditError('AUDIT_DATABASE_URL', message, '', { cause: new Error(message) })
    expect(failureLine(error)).toBe(`AUDIT_DATABASE_URL: ${shown}`)
    expect(failureStack(error)).not.toContain('s3c')
    expect(failureStack(error)).toContain('caused by: Error')
  })
})
