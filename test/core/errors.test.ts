import { globSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { AuditError, errorCodes, isAuditError } from '../../src/index.ts'

const codes = Object.keys(errorCodes)

describe('error codes', () => {
  it('each has a section in docs/errors.md, and no section is left over', () => {
    const documented = [...readFileSync('docs/errors.md', 'utf8').matchAll(/^### (AUDIT_\w+)$/gm)].map(
      (match) => match[1],
    )
    expect(new Set(documented)).toEqual(new Set(codes))
    expect(documented).toHaveLength(codes.length)
  })

  it('each is used by the source, and the source uses no other', () => {
    const used = new Set<string>()
    for (const file of globSync('src/**/*.ts')) {
      if (file.endsWith('core/errors.ts')) continue
      for (const [, code] of readFileSync(file, 'utf8').matchAll(/'(AUDIT_[A-Z_]+)'/g)) used.add(code!)
    }
    expect([...used].filter((code) => !codes.includes(code))).toEqual([])
    expect(codes.filter((code) => !used.has(code))).toEqual([])
  })

  it('are recognised between two copies of the package', () => {
    const error = new AuditError('AUDIT_POLICY_NONE', 'No policy.', 'Write one.')
    const foreign = Object.assign(new Error('x'), {
      code: 'AUDIT_POLICY_NONE',
      [Symbol.for('whodunit.error')]: true,
    })
    expect(isAuditError(error)).toBe(true)
    expect(isAuditError(error, 'AUDIT_POLICY_NONE')).toBe(true)
    expect(isAuditError(error, 'AUDIT_CLOSED')).toBe(false)
    expect(isAuditError(foreign, 'AUDIT_POLICY_NONE')).toBe(true)
    expect(isAuditError(new Error('x'))).toBe(false)
    expect(isAuditError(undefined)).toBe(false)
  })

  it('say what was wrong and what to do, and keep the cause', () => {
    const cause = new Error('why')
    const error = new AuditError('AUDIT_POLICY_NONE', 'No policy.', 'Write one.', { cause })
    expect(error.message).toBe('No policy. Write one.')
    expect(error.hint).toBe('Write one.')
    expect(error.cause).toBe(cause)
  })
})
