import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { AuditScope, currentScope, runInScope } from '../../src/core/context.ts'
import { decodeParts, encodeContext, encodeParts, partSeparator } from '../../src/core/wire.ts'

const within = <T>(input: ConstructorParameters<typeof AuditScope>[0], fn: () => T): T =>
  runInScope(new AuditScope(input, currentScope()), fn)

describe('a context', () => {
  it('lasts across await, timers and callbacks [E3]', async () => {
    await within({ actor: { id: 1 } }, async () => {
      await sleep(1)
      expect(currentScope()?.read().actor?.id).toBe('1')
      await new Promise<void>((resolve) => {
        setImmediate(() => {
          expect(currentScope()?.read().actor?.id).toBe('1')
          resolve()
        })
      })
    })
    expect(currentScope()).toBeUndefined()
  })

  it('is over when its function throws [E2]', async () => {
    expect(() =>
      within({ actor: { id: 1 } }, () => {
        throw new Error('x')
      }),
    ).toThrow('x')
    expect(currentScope()).toBeUndefined()
    await expect(
      within({ actor: { id: 1 } }, async () => {
        throw new Error('y')
      }),
    ).rejects.toThrow('y')
    expect(currentScope()).toBeUndefined()
  })

  it('restores the outer actor after an inner one, and answers the value of its function [E4]', () => {
    within({ actor: { id: 'outer' }, request: { id: 'r' } }, () => {
      const value = within({ actor: { id: 'inner' } }, () => {
        expect(currentScope()?.read()).toMatchObject({ actor: { id: 'inner' }, request: { id: 'r' } })
        return 7
      })
      expect(value).toBe(7)
      expect(currentScope()?.read().actor?.id).toBe('outer')
    })
  })

  it('asks for the actor at each write, so that a later sign-in counts', () => {
    let user: { id: number } | undefined
    within({ actor: () => user }, () => {
      expect(currentScope()?.text()).toBe('')
      user = { id: 5 }
      expect(currentScope()?.text()).toMatch(/^user:5/)
      within({ reason: 'inside' }, () => {
        user = { id: 6 }
        expect(currentScope()?.text()).toMatch(/^user:6/)
      })
    })
  })

  it('of a changed outer scope shows inside', () => {
    within({ request: { id: 'r' } }, () => {
      const outer = currentScope()!
      within({ reason: 'x' }, () => {
        currentScope()!.text()
        outer.set({ actor: { id: 9 } })
        expect(currentScope()!.text()).toMatch(/^user:9/)
      })
    })
  })

  it('takes a missing, half-built or invalid user for no actor, and never throws [E9]', () => {
    for (const actor of [
      undefined,
      null,
      {},
      { id: '' },
      { id: Number.NaN },
      { id: {} },
      { type: 'king', id: 1 },
      'me',
    ]) {
      within({ actor: () => actor }, () => expect(currentScope()?.read().actor).toBeUndefined())
    }
    within(
      {
        actor: () => {
          throw new Error('x')
        },
      },
      () => expect(currentScope()?.text()).toBe(''),
    )
    within({ actor: () => Promise.resolve({ id: 1 }) }, () =>
      expect(currentScope()?.read().actor).toBeUndefined(),
    )
  })

  it('keeps the kind of any actor, and anonymous without an id [E5, E6]', () => {
    within({ actor: { type: 'job', id: 'nightly' } }, () =>
      expect(currentScope()?.text()).toMatch(/^job:nightly/),
    )
    within({ actor: { type: 'anonymous' } }, () =>
      expect(currentScope()?.read().actor).toEqual({ type: 'anonymous', id: null }),
    )
  })

  it('counts what was done in it for the scopes around it', () => {
    within({}, () => {
      const outer = currentScope()!
      within({}, () => currentScope()!.note(3))
      expect(outer.acted).toBe(3)
    })
  })
})

describe('the wire form of a context', () => {
  const full = {
    actor: { type: 'user', id: '42', label: 'Ann', onBehalfOf: { type: 'user', id: '7' } },
    request: { id: 'r-1', ip: '10.0.0.1', userAgent: 'curl', sessionId: 's', method: 'POST', path: '/x' },
    tenant: 't',
    reason: 'because',
    metadata: { a: 1 },
    origin: 'http',
    app: 'shop@1',
  } as const

  it('reads back as it was', () => {
    expect(decodeParts(encodeParts(full))).toEqual(full)
  })

  it('of an empty context is empty', () => {
    expect(encodeContext({})).toBe('')
  })

  it('keeps separators, line breaks and direction marks of values out of its structure', () => {
    const hostile = `a${partSeparator}b\nc\u202ed\u0000`
    const parts = encodeParts({
      actor: { type: 'user', id: hostile },
      reason: hostile,
      request: { id: hostile, userAgent: hostile },
    })
    const back = decodeParts(parts)
    expect(back.actor?.id).toBe('a\\u001eb\\u000ac\\u202ed\\u0000')
    expect(back.reason).toBe(back.actor?.id)
    expect(back.request?.userAgent).toBe(back.actor?.id)
  })

  it('is bounded, whatever is put in', () => {
    const long = 'x'.repeat(1_000_000)
    const text = encodeContext({
      actor: { type: 'user', id: long, label: long },
      reason: long,
      metadata: { long },
      request: { id: long, userAgent: long, path: long },
    })
    expect(text.length).toBeLessThan(6_000)
    expect(text).toContain('"metadata":{"$":"cut"')
  })

  it('masks secrets in metadata, and survives what JSON cannot hold', () => {
    const cyclic: Record<string, unknown> = {}
    cyclic['self'] = cyclic
    expect(encodeContext({ metadata: { apiToken: 'abc' } })).toContain('"apiToken":{"$":"masked"}')
    expect(() => encodeContext({ metadata: cyclic })).not.toThrow()
    expect(encodeContext({ metadata: { big: 10n } })).toContain('"big":"10"')
  })

  it('that was set by hand is read without an error', () => {
    for (const text of ['', 'garbage', '{"a":', 'x\ny\nz\n\n\n\nnot json']) {
      expect(() => decodeParts({ actor: text, request: text, tenant: text, rest: text })).not.toThrow()
    }
    expect(decodeParts({ actor: 'garbage', request: '', tenant: '', rest: '' }).actor).toBeUndefined()
  })
})
