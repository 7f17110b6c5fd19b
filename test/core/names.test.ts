import { describe, expect, it } from 'vitest'
import { createTranslator, mergeNames } from '../../src/core/names.ts'
import { translatePolicy } from '../../src/core/names-policy.ts'
import { inNamesOf, unknownName } from '../../src/core/unknown-name.ts'
import type { AuditEntry, Names, NewEntry, Policy } from '../../src/index.ts'

const given: Names = {
  Invoice: {
    table: 'billing.invoices',
    fields: { id: 'id', customerId: 'customer_id', number: 'no', updatedAt: 'updated_at' },
  },
  User: {
    table: 'users',
    fields: {
      id: 'id',
      password: 'pw',
      taxId: 'tax_id',
      'address.city': 'address_city',
      updatedAt: 'changed_at',
    },
  },
  Person: { table: 'people', fields: { id: 'id', kind: 'type' } },
  Student: { table: 'people', fields: { id: 'id', kind: 'type', school: 'school_name' } },
}
const names = createTranslator(given)
const policy = (value: Policy): Policy => translatePolicy(value, names)
const refused = (value: Policy): string => {
  try {
    policy(value)
  } catch (error) {
    return `${(error as { code: string }).code}: ${(error as Error).message}`
  }
  return 'accepted'
}

describe('names', () => {
  it('of the policy hold over those of the ORM, field by field', () => {
    const own: Names = { User: { table: 'people', fields: { taxId: 'vat' } } }
    expect(mergeNames({ User: { table: 'users', fields: { id: 'id', taxId: 'tax_id' } } }, own)).toEqual({
      User: { table: 'people', fields: { id: 'id', taxId: 'vat' } },
    })
  })

  it('that are none leave everything as it is', () => {
    const value: Policy = { models: { a: { label: '{ x }' } } }
    expect(translatePolicy(value, createTranslator({}))).toBe(value)
  })
})

describe('a policy in names of models and fields', () => {
  it('becomes one in names of tables and columns, wherever they stand', () => {
    const translated = policy({
      models: {
        Invoice: {
          label: '{ number } of {customerId}',
          subject: 'customerId',
          softDelete: 'updatedAt',
          ignore: ['updatedAt'],
          redact: { number: 'hash' },
          describe: { UPDATE: '{actor} changed {number}' },
        },
        User: { exclude: ['address.city'], reads: ['taxId'] },
      },
      skipModels: ['Person'],
      actors: { user: { model: 'User', label: '{taxId}' } },
      retention: { '*': '1y', login: '2y', Invoice: '10y' },
    })
    expect(translated).toMatchObject({
      models: {
        'billing.invoices': {
          label: '{no} of {customer_id}',
          subject: 'customer_id',
          softDelete: 'updated_at',
          ignore: ['updated_at'],
          redact: { no: 'hash' },
          describe: { UPDATE: '{actor} changed {no}' },
        },
        users: { exclude: ['address_city'], reads: ['tax_id'] },
      },
      skipModels: ['people'],
      actors: { user: { model: 'users', label: '{tax_id}' } },
      retention: { '*': '1y', login: '2y', 'billing.invoices': '10y' },
    })
  })

  it('may name tables and columns as well', () => {
    expect(
      policy({ models: { users: { ignore: ['tax_id'], subject: 'taxId' }, other: false } }).models,
    ).toEqual({
      users: { ignore: ['tax_id'], subject: 'tax_id' },
      other: false,
    })
  })

  it('masks what its patterns mean in each table, and the patterns stay for the insides of JSON', () => {
    expect(
      policy({ redact: ['**.taxId', 'User.address.city', 'billing.invoices.number', '*.city'] }).redact,
    ).toEqual(['**.taxId', 'users.tax_id', 'users.address_city', 'billing.invoices.no', '*.city', 'users.pw'])
  })

  it('masks a field with a secret name, whatever its column is called', () => {
    expect(policy({}).redact).toEqual(['users.pw'])
  })

  it('for all models means the column of each', () => {
    expect(policy({ models: { '*': { ignore: ['updatedAt'] } } }).models).toEqual({
      '*': { ignore: ['updatedAt', 'updated_at', 'changed_at'] },
    })
    expect(refused({ models: { '*': { softDelete: 'updatedAt' } } })).toMatch(
      /AUDIT_POLICY_CONFLICT: models\.\*\.softDelete: "updatedAt".*updated_at.*changed_at/,
    )
  })

  it('for all models is refused where the column is another field elsewhere', () => {
    const other = createTranslator({
      A: { table: 'a', fields: { x: 'col' } },
      B: { table: 'b', fields: { y: 'col' } },
    })
    expect(() => translatePolicy({ models: { '*': { ignore: ['x'] } } }, other)).toThrow(
      /"x" is the column col, which is "y" in B/,
    )
  })

  it('is refused where two of its names are one table or one column', () => {
    expect(refused({ models: { Student: {}, people: {} } })).toMatch(
      /AUDIT_POLICY_CONFLICT: models\.people and models\.Student/,
    )
    expect(refused({ models: { User: { redact: { taxId: 'mask', tax_id: 'keep' } } } })).toMatch(
      /AUDIT_POLICY_CONFLICT.*column tax_id/,
    )
  })

  it('cannot leave out one of several models in a table', () => {
    expect(refused({ skipModels: ['Student'] })).toMatch(/AUDIT_POLICY_CONFLICT.*Student.*people.*Person/)
    expect(refused({ models: { Student: false } })).toMatch(/AUDIT_POLICY_CONFLICT: models\.Student/)
    expect(policy({ models: { Person: false } }).models).toEqual({ people: false })
    expect(policy({ models: { Person: { ignore: ['school'] } } }).models).toEqual({
      people: { ignore: ['school_name'] },
    })
  })
})

describe('what comes in and goes out', () => {
  const entry = (model: string, changes: object, more: object = {}): AuditEntry =>
    ({ action: 'UPDATE', target: { model, id: '1' }, changes, details: {}, ...more }) as never
  const shown = (model: string, changes: object): [string | undefined, string[]] => {
    const { target, changes: seen } = names.shown(entry(model, changes))
    return [target?.model, Object.keys(seen ?? {})]
  }

  it('an entry is shown in the names of the application', () => {
    expect(shown('billing.invoices', { no: [1, 2], customer_id: [1, 2], unknown: [1, 2] })).toEqual([
      'Invoice',
      ['number', 'customerId', 'unknown'],
    ])
    expect(shown('elsewhere', { no: [1, 2] })).toEqual(['elsewhere', ['no']])
    expect(shown('people', { type: [1, 2], school_name: [1, 2] })).toEqual(['Person', ['kind', 'school']])
  })

  it('no change is lost where a field is called as another column', () => {
    expect(shown('billing.invoices', { no: [1, 2], number: [3, 4] })).toEqual(['Invoice', ['no', 'number']])
  })

  it('an entry of the library is stored in the names of the database', () => {
    const changes = { number: [1, 2] }
    const stored = names.stored(entry('Invoice', changes, { action: 'x' }) as unknown as NewEntry)
    expect(stored).toMatchObject({ target: { model: 'billing.invoices' }, changes: { no: [1, 2] } })
    const view = entry('User', {}, { action: 'VIEW', details: { fields: ['taxId', 'other'] } })
    expect(names.stored(view as unknown as NewEntry).details).toEqual({ fields: ['tax_id', 'other'] })
    expect(
      names.shown(entry('users', {}, { action: 'VIEW', details: { fields: ['tax_id'] } })).details,
    ).toEqual({
      fields: ['taxId'],
    })
  })

  it('a filter may use both', () => {
    expect(names.query({ models: ['Invoice', 'users', 'x'], changed: ['updatedAt'] })).toEqual({
      models: ['billing.invoices', 'users', 'x'],
      changed: ['updated_at', 'changed_at', 'updatedAt'],
    })
    expect(names.query({ changed: ['updatedAt'] }).changed).toEqual(['updatedAt', 'updated_at', 'changed_at'])
    expect(names.shownQuery({ models: ['users'], changed: ['tax_id'] })).toEqual({
      models: ['User'],
      changed: ['tax_id', 'taxId'],
    })
  })

  it('a name that does not exist is named as the application does, with the nearest of its own', () => {
    const said = (unknown: Parameters<typeof unknownName>[0], spelled: string[] = []): string =>
      (inNamesOf(unknownName(unknown), names, spelled) as Error).message
    expect(said({ path: ['models', 'Invioce'], table: 'Invioce', known: ['billing.invoices'] })).toBe(
      'models.Invioce: the database has no table "Invioce". Did you mean "Invoice"?',
    )
    expect(
      said(
        { path: ['models', 'users', 'ignore'], table: 'users', column: 'taxIt', known: ['tax_id', 'id'] },
        ['User'],
      ),
    ).toBe('models.User.ignore: the table has no column "taxIt". Did you mean "taxId"?')
    expect(said({ path: ['models', 'users'], table: 'users', known: ['user'] }, ['User'])).toBe(
      'models.User: the database has no table "users", which is that of User. Did you mean "user"?',
    )
  })
})
