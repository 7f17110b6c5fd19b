import { describe, expect, it } from 'vitest'
import { redactionOf } from '../../src/core/apply-policy.ts'
import { canonicalPolicy, modelPolicy } from '../../src/core/policy.ts'
import { isSecretName, maskSecrets, scrubText } from '../../src/core/redact.ts'
import { defineAudit } from '../../src/index.ts'

const bad = (config: object): string => {
  try {
    defineAudit(config as never)
  } catch (error) {
    return `${(error as { code: string }).code}: ${(error as Error).message}`
  }
  return 'accepted'
}

describe('defineAudit', () => {
  it('answers the configuration as it was given', () => {
    const config = {
      models: { invoices: { label: '{number}', redact: { iban: 'hash' } }, sessions: false },
    } as const
    expect(defineAudit(config)).toBe(config)
  })

  it('names the nearest key for an unknown one', () => {
    expect(bad({ model: {} })).toMatch(/AUDIT_POLICY_UNKNOWN_KEY.*"model".*"models"/)
    expect(bad({ models: { a: { lable: '{x}' } } })).toMatch(
      /AUDIT_POLICY_UNKNOWN_KEY: models\.a.*"lable".*"label"/,
    )
  })

  it('names the path, the value and what is expected for a wrong value', () => {
    expect(bad({ models: { a: { redact: { x: 'masc' } } } })).toMatch(
      /AUDIT_POLICY_INVALID: models\.a\.redact\.x is "masc".*"mask"/,
    )
    expect(bad({ skipModels: 'a' })).toMatch(/AUDIT_POLICY_INVALID: skipModels is "a"/)
    expect(bad({ retention: { '*': '400' } })).toMatch(/AUDIT_POLICY_INVALID: retention\.\*/)
    expect(bad({ models: { a: true } })).toMatch(/AUDIT_POLICY_INVALID: models\.a is true/)
    expect(bad({ models: { a: { describe: { UPDATE: () => '' } } } })).toMatch(
      /AUDIT_POLICY_INVALID.*a function/,
    )
    expect(bad([])).toMatch(/AUDIT_POLICY_INVALID/)
  })

  it('refuses include and exclude lists together for one table [F3]', () => {
    expect(bad({ models: { a: { include: ['x'], exclude: ['y'] } } })).toMatch(/AUDIT_POLICY_CONFLICT/)
  })
})

describe('a policy', () => {
  it('has the same canonical text whatever the order of its keys', () => {
    expect(canonicalPolicy({ skipModels: ['a'], models: { b: { label: 'x', subject: 'y' } } })).toBe(
      canonicalPolicy({ models: { b: { subject: 'y', label: 'x' } }, skipModels: ['a'] }),
    )
  })

  it('puts what holds for one table on top of what holds for all [F4]', () => {
    const policy = {
      models: {
        '*': { ignore: ['updated_at'], exclude: ['blob'] },
        a: { ignore: ['seen_at'], include: ['x'] },
        b: false,
      },
    } as const
    expect(modelPolicy(policy, 'a')).toMatchObject({
      ignore: ['updated_at', 'seen_at'],
      include: ['x'],
      exclude: [],
    })
    expect(modelPolicy(policy, 'b')).toBe(false)
    expect(modelPolicy(policy, 'c')).toMatchObject({ exclude: ['blob'] })
    expect(modelPolicy({ skipModels: ['c'] }, 'c')).toBe(false)
  })

  it('redacts by the table, then by pattern, then by the built-in list', () => {
    const policy = {
      redact: ['**.nin', 'users.phone'],
      models: { users: { redact: { email: 'hash', token_count: 'keep' } } },
    } as const
    expect(redactionOf(policy, 'users', 'email')).toBe('hash')
    expect(redactionOf(policy, 'users', 'token_count')).toBe('keep')
    expect(redactionOf(policy, 'users', 'nin')).toBe('mask')
    expect(redactionOf(policy, 'users', 'phone')).toBe('mask')
    expect(redactionOf(policy, 'shops', 'phone')).toBe('keep')
    expect(redactionOf(policy, 'users', 'password_hash')).toBe('mask')
    expect(redactionOf(policy, 'users', 'name')).toBe('keep')
  })
})

describe('secret names', () => {
  it.each([
    'password',
    'PASSWORD',
    'passwordHash',
    'user_password',
    'api_token',
    'apiToken',
    'API-KEY',
    'apikey',
    'card_number',
    'cvv',
    'refreshToken',
    'ssn',
    'private_key',
    'Authorization',
  ])('know %s', (name) => {
    expect(isSecretName(name)).toBe(true)
  })
  it.each([
    'name',
    'email',
    'secretary',
    'passport',
    'description',
    'number',
    'key',
    'card_type',
    'pineapple',
    'updated_at',
  ])('leave %s alone', (name) => {
    expect(isSecretName(name)).toBe(false)
  })
  it('are masked at any depth of free data, and null stays null', () => {
    expect(maskSecrets({ a: { password: 'x', list: [{ token: 't' }] }, token: null })).toEqual({
      a: { password: { $: 'masked' }, list: [{ token: { $: 'masked' } }] },
      token: null,
    })
  })
})

describe('the text of an error', () => {
  it.each([
    [
      'Failed query: insert into card\nparams: 1,4111111111111111,737',
      'Failed query: insert into card\nparams: ***',
    ],
    ['connect postgres://app:hunter2@db:5432/x failed', 'connect postgres://app:***@db:5432/x failed'],
    ['header Authorization: Bearer abc.def.ghi', 'header Authorization: Bearer ***'],
    ['bad password=hunter2, user=ann', 'bad password=***, user=ann'],
    ['card 4111 1111 1111 1111 declined', 'card *** declined'],
    ['order 1234567890123 not found', 'order 1234567890123 not found'],
  ])('is stored without the secrets it may hold: %s', (given, stored) => {
    expect(scrubText(given)).toBe(stored)
  })
})
