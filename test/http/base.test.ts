import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, vi } from 'vitest'
import {
  createAddressReader,
  createRequestOpener,
  givenRequestId,
  pathOf,
  type RequestData,
  type RequestOptions,
  type TrustProxy,
} from '../../src/http/base.ts'
import {
  type Audit,
  type AuditConfig,
  type AuditDatabase,
  createAudit,
  isAuditError,
  type NewEntry,
} from '../../src/index.ts'

function inMemory(config: AuditConfig = {}): { audit: Audit; stored: NewEntry[] } {
  const stored: NewEntry[] = []
  const database = {
    client: undefined,
    write: async (entries: readonly NewEntry[]) => void stored.push(...entries),
    close: async () => {},
  } as unknown as AuditDatabase
  return { audit: createAudit({ ...config, database }), stored }
}

interface Incoming {
  readonly headers: Readonly<Record<string, string>>
  user?: unknown
  sid?: string
}

const data = (req: Incoming, given: Partial<RequestData> = {}): RequestData => ({
  header: (name) => req.headers[name],
  peer: '::ffff:192.0.2.1',
  method: 'POST',
  url: '/pay?card=4111',
  ...given,
})

function open(
  options: RequestOptions<Incoming>,
  headers: Record<string, string> = {},
  audit = inMemory().audit,
) {
  const req: Incoming = { headers }
  const request = createRequestOpener(audit, options)(req, data(req))
  return { req, request, audit, context: () => request.within(() => audit.context()) }
}

describe('the address of a client', () => {
  const addressOf = (
    trustProxy: TrustProxy,
    peer: string | undefined,
    forwardedFor?: string,
  ): string | undefined => createAddressReader(trustProxy)(peer, forwardedFor)

  it('is the peer of the socket, whatever a header says, unless proxies are trusted', () => {
    expect(addressOf(false, '192.0.2.1', '203.0.113.9')).toBe('192.0.2.1')
    expect(addressOf(0, '192.0.2.1', '203.0.113.9')).toBe('192.0.2.1')
    expect(addressOf([], '192.0.2.1', '203.0.113.9')).toBe('192.0.2.1')
    expect(createAddressReader()('192.0.2.1', '203.0.113.9')).toBe('192.0.2.1')
  })

  it('is what the trusted proxies say, and no more than they vouch for', () => {
    const forged = '198.51.100.66, 203.0.113.9'
    expect(addressOf(1, '10.0.0.1', forged)).toBe('203.0.113.9')
    expect(addressOf(2, '10.0.0.1', '203.0.113.9, 10.0.0.2')).toBe('203.0.113.9')
    expect(addressOf(['10.0.0.0/8'], '10.0.0.1', `${forged}, 10.0.0.2`)).toBe('203.0.113.9')
    expect(addressOf('loopback, uniquelocal', '::1', `${forged}, fd00::7`)).toBe('203.0.113.9')
    expect(addressOf((address, hop) => hop === 0 && address === '10.0.0.1', '10.0.0.1', forged)).toBe(
      '203.0.113.9',
    )
    expect(addressOf('10.0.0.1', '192.0.2.66', forged)).toBe('192.0.2.66')
    expect(addressOf(1, undefined, '203.0.113.9')).toBe('203.0.113.9')
  })

  it('has one form: no port, no zone, IPv6 compressed, IPv4 inside IPv6 as IPv4', () => {
    expect(addressOf(false, '::ffff:192.0.2.1')).toBe('192.0.2.1')
    expect(addressOf(false, '::FFFF:c000:201')).toBe('192.0.2.1')
    expect(addressOf(false, '2001:DB8:0:0::1')).toBe('2001:db8::1')
    expect(addressOf(false, 'fe80::1%eth0')).toBe('fe80::1')
    expect(addressOf(1, '10.0.0.1', '203.0.113.9:4711')).toBe('203.0.113.9')
    expect(addressOf(1, '10.0.0.1', '[2001:db8::1]:443')).toBe('2001:db8::1')
    expect(addressOf(['10.0.0.0/8'], '::ffff:10.0.0.1', '203.0.113.9, 10.0.0.2:80')).toBe('203.0.113.9')
  })

  it('is unknown, not a guess, where there is none', () => {
    expect(addressOf(false, undefined)).toBeUndefined()
    expect(addressOf('loopback', undefined, '203.0.113.9')).toBeUndefined()
    for (const text of ['unknown', '999.1.1.1', '<script>', '203.0.113.9 x', '::ffff:1.2.3', "1'--"]) {
      expect(addressOf(1, '10.0.0.1', text)).toBeUndefined()
    }
    const throwing = () => {
      throw new Error('x')
    }
    expect(addressOf(throwing, '10.0.0.1', '203.0.113.9')).toBeUndefined()
    expect(addressOf((async () => true) as never, '10.0.0.1', '203.0.113.9')).toBe('10.0.0.1')
  })

  it('refuses to trust everybody, and networks that are none', () => {
    for (const value of [true, -1, 1.5, Number.NaN, 'everyone', ['10.0.0.0/99'], [7], {}, null]) {
      const make = () => createAddressReader(value as never)
      expect(make, String(value)).toThrow(expect.objectContaining({ code: 'AUDIT_HTTP_OPTION' }))
    }
  })
})

describe('the id of a request', () => {
  it('is taken from the header if it is harmless everywhere', () => {
    for (const id of ['a', 'req-1.2_X', 'f'.repeat(64)]) expect(givenRequestId(id)).toBe(id)
    const forged = [
      '',
      'a b',
      'a\nb',
      'a\n',
      '\u001e',
      "a'b",
      'a"b',
      '<b>',
      'ä',
      'a,b',
      'f'.repeat(65),
      'f'.repeat(1_000_000),
    ]
    for (const id of forged) expect(givenRequestId(id), id.slice(0, 9)).toBeUndefined()
    expect(givenRequestId(undefined)).toBeUndefined()
  })

  it('is made where the header has none, another name, or is not to be read', () => {
    const uuid = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/
    expect(open({}, { 'x-request-id': 'given' }).request.id).toBe('given')
    expect(open({}, { 'x-request-id': 'a b' }).request.id).toMatch(uuid)
    expect(open({}).request.id).not.toBe(open({}).request.id)
    expect(open({ requestIdHeader: false }, { 'x-request-id': 'given' }).request.id).toMatch(uuid)
    expect(
      open({ requestIdHeader: 'X-Trace' }, { 'x-trace': 'other', 'x-request-id': 'given' }).request.id,
    ).toBe('other')
  })
})

describe('the context of a request', () => {
  it('holds address, agent, method and path, never the query', () => {
    const { context } = open({}, { 'x-request-id': 'r', 'user-agent': 'curl/8' })
    expect(context()).toEqual({
      request: { id: 'r', ip: '192.0.2.1', userAgent: 'curl/8', method: 'POST', path: '/pay' },
      origin: 'http',
    })
  })

  it('has the path alone, of whatever the client sent', () => {
    expect(pathOf('/a/b?x=1#y')).toBe('/a/b')
    expect(pathOf('/?secret')).toBe('/')
    expect(pathOf('https://ann:secret@shop.test/a?b')).toBe('/a')
    expect(pathOf('//evil.test/a?b')).toBe('//evil.test/a')
    expect(pathOf('*')).toBe('*')
    expect(pathOf('')).toBe('')
  })

  it('holds no address where that is switched off, here or in the policy [E10]', () => {
    expect(open({ address: false }).context().request).not.toHaveProperty('ip')
    expect(open({}, {}, inMemory({ addresses: false }).audit).context().request).not.toHaveProperty('ip')
  })

  it('asks for actor, tenant, reason and session at each write', () => {
    const { req, context } = open({
      actor: (incoming) => incoming.user as never,
      tenant: (incoming) => (incoming.user ? 7 : undefined),
      reason: (incoming) => incoming.sid,
      session: (incoming) => incoming.sid,
    })
    expect(context()).not.toHaveProperty('actor')
    expect(context().request).not.toHaveProperty('sessionId')
    Object.assign(req, { user: { id: 1 }, sid: 'abc' })
    expect(context()).toMatchObject({ actor: { type: 'user', id: '1' }, tenant: '7', reason: 'abc' })
    expect(context().request?.sessionId).toBe('ba7816bf8f01cfea')
    Object.assign(req, { user: { id: 2 }, sid: 'other' })
    expect(context().actor?.id).toBe('2')
    expect(context().request?.sessionId).not.toBe('ba7816bf8f01cfea')
  })

  it('leaves unknown what a callback answers with nothing, half, or a throw [E9]', () => {
    for (const nothing of [undefined, null, false, '', 0, {}, { id: '' }, { label: 'x' }, 'ann']) {
      expect(
        open({ actor: () => nothing as never, tenant: () => nothing as never }).context(),
      ).not.toHaveProperty('actor')
    }
    const throwing = () => {
      throw new Error('x')
    }
    const { context } = open({
      actor: throwing,
      tenant: throwing,
      reason: throwing,
      session: throwing,
      skip: throwing,
    })
    expect(Object.keys(context())).toEqual(['request', 'origin'])
    const trap = { get id(): string { throw new Error('x') } } // prettier-ignore
    expect(open({ actor: () => trap }).context()).not.toHaveProperty('actor')
  })

  it('takes a promise for unknown, survives its rejection, warns once and does not ask again', async () => {
    const warn = vi.spyOn(process, 'emitWarning').mockReturnValue()
    const rejections: unknown[] = []
    const onRejection = (error: unknown): void => void rejections.push(error)
    process.on('unhandledRejection', onRejection)
    let asked = 0
    const actor = (async () => {
      asked++
      throw new Error('no database')
    }) as never
    const { context } = open({ actor })
    expect(context()).not.toHaveProperty('actor')
    expect(context()).not.toHaveProperty('actor')
    await sleep(20)
    process.off('unhandledRejection', onRejection)
    expect(asked).toBe(1)
    expect(rejections).toEqual([])
    expect(warn.mock.calls).toEqual([
      [
        'The callback "actor" returned a promise, so the actor stays unknown: it must be synchronous.',
        'AuditWarning',
      ],
    ])
    warn.mockRestore()
  })

  it('does not start a lazy query that a callback returns', () => {
    const warn = vi.spyOn(process, 'emitWarning').mockReturnValue()
    let started = false
    const lazy = { id: 1, then: () => (started = true) }
    expect(open({ actor: () => lazy }).context()).not.toHaveProperty('actor')
    expect(started).toBe(false)
    warn.mockRestore()
  })

  it('is not asked for by a callback that asks for it', () => {
    const { audit } = inMemory()
    let depth = 0
    const actor = () => {
      depth++
      return { id: audit.context().actor?.id ?? 'first' }
    }
    const { context } = open({ actor }, {}, audit)
    expect(context().actor?.id).toBe('first')
    expect(depth).toBe(1)
  })

  it('takes nothing from a context in which the server was started', () => {
    const { audit } = inMemory()
    const boot = {
      actor: { id: 'boot' },
      reason: 'start',
      tenant: 't',
      metadata: { a: 1 },
      request: { id: 'boot', ip: '192.0.2.9' },
    }
    const { context } = audit.withContext(boot, () =>
      open({ address: false }, { 'x-request-id': 'r' }, audit),
    )
    expect(context()).toEqual({ request: { id: 'r', method: 'POST', path: '/pay' }, origin: 'http' })
  })

  it('opened twice for one audit keeps its id and its one entry', async () => {
    const { audit, stored } = inMemory()
    const req: Incoming = { headers: {} }
    const first = createRequestOpener<Incoming>(audit, { actor: () => ({ id: 1 }) })(req, data(req))
    const second = createRequestOpener<Incoming>(audit, { reason: () => 'why' })(req, data(req))
    expect(second.id).toBe(first.id)
    second.within(() => {
      expect(audit.context()).toMatchObject({ actor: { id: '1' }, reason: 'why', request: { id: first.id } })
      void audit.logAuditEvent({ action: 'x' })
    })
    second.end({ status: 200 })
    first.end({ status: 200 })
    await audit.flush()
    expect(stored.map(({ action }) => action)).toEqual(['x', 'REQUEST'])
  })

  it('opened for two audits has one id for both', () => {
    const req: Incoming = { headers: {} }
    const [first, second] = [inMemory().audit, inMemory().audit].map((audit) =>
      createRequestOpener(audit)(req, data(req)),
    )
    expect(second?.id).toBe(first?.id)
  })
})

describe('the end of a request', () => {
  const endings = async (
    options: RequestOptions<Incoming>,
    result: { status?: number; aborted?: boolean; route?: string },
    act?: boolean,
  ) => {
    const { audit, stored } = inMemory()
    const { request } = open(options, {}, audit)
    if (act) await request.within(() => audit.logAuditEvent({ action: 'x' }))
    request.end(result)
    request.end({ status: 500 })
    await audit.flush()
    return stored.filter(({ kind }) => kind === 'request').map(({ details }) => ({ ...details, duration: 0 }))
  }

  it('leaves one entry if it did something, failed, was aborted or slow', async () => {
    expect(await endings({}, { status: 200 })).toEqual([])
    expect(await endings({}, { status: 404 })).toEqual([])
    expect(await endings({}, { status: 200, route: '/pay' }, true)).toEqual([
      { status: 200, duration: 0, route: '/pay' },
    ])
    expect(await endings({}, { status: 503 })).toEqual([{ status: 503, duration: 0 }])
    expect(await endings({}, { aborted: true })).toEqual([{ duration: 0, aborted: true }])
    expect(await endings({ slow: 0 }, { status: 200 })).toEqual([{ status: 200, duration: 0 }])
  })

  it('leaves one always or never where that is asked for', async () => {
    expect(await endings({ requests: 'all' }, { status: 200 })).toHaveLength(1)
    expect(await endings({ requests: 'none' }, { status: 500 }, true)).toEqual([])
    expect(await endings({ skip: () => true }, { status: 500 }, true)).toEqual([])
    expect(await endings({ skip: () => false }, { status: 500 }, true)).toHaveLength(1)
  })

  it('records the first error of a handler, once, also one that comes later', async () => {
    const { audit, stored } = inMemory()
    const { request } = open({}, {}, audit)
    request.end({ status: 200 })
    request.failed(new Error('first'))
    request.failed(new Error('second'))
    await audit.flush()
    expect(stored).toMatchObject([
      { kind: 'system', details: { title: 'POST /pay', error: { message: 'first' } } },
    ])
  })

  it('never throws, not even after the audit was closed', async () => {
    const { audit } = inMemory()
    const { request } = open({ requests: 'all' }, {}, audit)
    await audit.close()
    expect(() => request.end({ status: 200 })).not.toThrow()
    await sleep(5)
  })
})

describe('the options of a middleware', () => {
  it('that are misspelt or have the wrong shape are refused', () => {
    const { audit } = inMemory()
    const wrong = [
      { actors: () => null },
      { actor: { id: 1 } },
      { trustproxy: 1 },
      { address: 'no' },
      { slow: '1s' },
      { slow: Number.NaN },
      { slow: -1 },
      { requests: 'some' },
      { requestIdHeader: true },
      { requestIdHeader: 'a b' },
    ]
    for (const options of wrong) {
      let thrown: unknown
      try {
        createRequestOpener(audit, options as never)
      } catch (error) {
        thrown = error
      }
      expect(isAuditError(thrown, 'AUDIT_HTTP_OPTION'), JSON.stringify(options)).toBe(true)
    }
    expect(() => createRequestOpener(audit, { actors: () => null } as never)).toThrow('actor')
  })
})
