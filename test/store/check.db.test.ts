import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fromPg } from '../../src/database/postgres.ts'
import { type AuditOptions, createAudit } from '../../src/index.ts'
import { freshDatabase, type TestDatabase } from '../harness/postgres.ts'

let database: TestDatabase
type Policy = Omit<AuditOptions, 'database'>
const auditOf = (policy: Policy = {}) => createAudit({ ...policy, database: fromPg(database.pool) })
const ssnMasked: Policy = { models: { patient: { redact: { ssn: 'mask', email: 'hash' } } } }

beforeAll(async () => {
  database = await freshDatabase()
  await database.pool.query(`
    create table patient (id int primary key, name text, ssn text, email text);
    create table visit (id int primary key, note text)`)
  await auditOf(ssnMasked).migrate()
})
afterAll(async () => database.drop())

describe('check', () => {
  it('is content where application and database agree', async () => {
    expect(await auditOf(ssnMasked).check()).toEqual([])
  })

  it.each<[string, Policy, RegExp]>([
    [
      'a column',
      { models: { patient: { redact: { ssn: 'mask', email: 'hash', name: 'mask' } } } },
      /patient\.name/,
    ],
    [
      'a column more than it is',
      { models: { patient: { redact: { ssn: 'mask', email: 'mask' } } } },
      /patient\.email/,
    ],
    ['a column by pattern', { ...ssnMasked, redact: ['**.note'] }, /visit\.note/],
    [
      'a column by leaving it out',
      { models: { patient: { exclude: ['name', 'ssn', 'email'] } } },
      /patient\.name/,
    ],
    ['a table', { ...ssnMasked, skipModels: ['visit'] }, /visit/],
  ])('refuses an application that hides %s', async (_what, policy, message) => {
    await expect(auditOf(policy).check()).rejects.toMatchObject({
      code: 'AUDIT_POLICY_EXPOSED',
      message: expect.stringMatching(message),
      hint: expect.stringContaining('migrate'),
    })
  })

  it('warns where the database hides more, and where tables or triggers changed since migrate', async () => {
    const keep: Policy = { models: { patient: { redact: { ssn: 'keep', email: 'hash' } } } }
    expect((await auditOf(keep).check()).map(({ message }) => message).join()).toMatch(
      /patient\.ssn is hidden by the database/,
    )
    await database.pool.query(
      'alter table visit disable trigger all; alter table patient add column extra text; create table fresh (id int)',
    )
    const warnings = (await auditOf(ssnMasked).check()).map(({ message }) => message).join('\n')
    expect(warnings).toMatch(/visit is off/)
    expect(warnings).toMatch(/patient is drifted/)
    expect(warnings).toMatch(/fresh is missing/)
    await auditOf(ssnMasked).migrate()
    expect(await auditOf(ssnMasked).check()).toEqual([])
  })

  it('names what the policy misspells, before anything is changed', async () => {
    const before = (await auditOf().status()).fingerprint
    for (const run of ['check', 'migrate'] as const) {
      await expect(auditOf({ models: { pateint: {} } })[run]()).rejects.toMatchObject({
        code: 'AUDIT_POLICY_UNKNOWN_MODEL',
        message: expect.stringContaining('"patient"'),
      })
      await expect(
        auditOf({ models: { patient: { redact: { snn: 'mask' } } } })[run](),
      ).rejects.toMatchObject({
        code: 'AUDIT_POLICY_UNKNOWN_COLUMN',
        message: expect.stringContaining('"ssn"'),
      })
    }
    expect((await auditOf().status()).fingerprint).toBe(before)
  })
})

describe('a role without rights', () => {
  it('is told which right it lacks, and how to get it', async () => {
    const role = await database.createRole()
    const stranger = createAudit({ database: fromPg(role.pool) })
    for (const attempt of [
      () => stranger.migrate(),
      () => stranger.entries.find(),
      () => stranger.status(),
    ]) {
      await expect(attempt()).rejects.toMatchObject({
        code: 'AUDIT_DATABASE_RIGHTS',
        hint: expect.stringContaining('grant'),
      })
    }
    await stranger.close()
  })

  it('writes rows that are recorded all the same, with the role that wrote them', async () => {
    const role = await database.createRole()
    await database.pool.query(`grant insert on visit to ${role.name}`)
    await role.pool.query(`insert into visit values (1, 'x')`)
    const [entry] = await auditOf().history('visit', 1)
    expect(entry).toMatchObject({
      action: 'CREATE',
      actor: null,
      request: null,
      origin: 'sql',
      role: role.name,
    })
  })

  it('may log as a writer and read as a reader, once that is granted', async () => {
    const role = await database.createRole()
    const audit = createAudit({ database: fromPg(role.pool) })
    await database.pool.query(`grant whodunit_writer to ${role.name}`)
    const { ref } = await audit.logAuditEvent({ action: 'x', durable: true })
    await expect(audit.entries.get(ref)).rejects.toMatchObject({ code: 'AUDIT_DATABASE_RIGHTS' })
    await database.pool.query(`grant whodunit_reader to ${role.name}`)
    expect(await audit.entries.get(ref)).toMatchObject({ action: 'x', role: role.name })
    for (const sql of [
      'update whodunit.entry set action = $1',
      'delete from whodunit.entry where action = $1',
      'insert into whodunit.entry (kind, action) values ($1, $1)',
    ]) {
      await expect(role.pool.query(sql, ['x'])).rejects.toMatchObject({ code: '42501' })
    }
    await audit.close()
  })
})

describe('a database without a trail', () => {
  it('says which command to run', async () => {
    const empty = await freshDatabase()
    const audit = createAudit({ database: fromPg(empty.pool) })
    for (const attempt of [() => audit.check(), () => audit.entries.find(), () => audit.getAuditSummary()]) {
      await expect(attempt()).rejects.toMatchObject({
        code: 'AUDIT_TRAIL_MISSING',
        hint: expect.stringContaining('whodunit migrate'),
      })
    }
    expect(await audit.status()).toMatchObject({ installed: false, version: null })
    await audit.close()
    await empty.drop()
  })
})
