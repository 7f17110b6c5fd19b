import { isIPv4, isIPv6, SocketAddress } from 'node:net'
import proxyAddr from 'proxy-addr'
import { AuditError } from '../../index.ts'

/**
 * Which proxies are believed when they say whom they forward for. `false`: nobody. A number: that many hops, counted from
 * this server. A text or a list: addresses, networks (`10.0.0.0/8`), and the names `loopback`, `linklocal`, `uniquelocal`.
 * A function: whether it is one of ours, `hop` 0 being the peer of the socket.
 */
export type TrustProxy =
  | false
  | number
  | string
  | readonly string[]
  | ((address: string, hop: number) => boolean)

/** Finds the client's address from the peer of the socket and the header `x-forwarded-for`. Never throws. */
export type AddressReader = (peer: string | undefined, forwardedFor: string | undefined) => string | undefined

/**
 * Makes an {@link AddressReader}.
 *
 * The chain is walked from this server outwards and ends at the first address that is not trusted, so what a client
 * itself writes into the header is never believed. An address is given in its plain form: without port or zone, IPv6
 * compressed, IPv4 inside IPv6 as IPv4. What is no address is `undefined`, not a guess.
 *
 * @throws AUDIT_HTTP_OPTION for `true` and for networks that are none
 * @example
 * const addressOf = createAddressReader(['loopback', '10.0.0.0/8'])
 * addressOf('::ffff:10.0.0.7', '203.0.113.9') // '203.0.113.9'
 */
export function createAddressReader(trustProxy: TrustProxy = false): AddressReader {
  const trust = toTrust(trustProxy)
  if (!trust) return (peer) => plainAddress(peer)
  return (peer, forwardedFor) => {
    const remoteAddress = plainAddress(peer)
    if (!forwardedFor) return remoteAddress
    const chain = forwardedFor.split(',').map((part) => plainAddress(part) ?? part.trim())
    try {
      return plainAddress(
        proxyAddr({ headers: { 'x-forwarded-for': chain.join(',') }, socket: { remoteAddress } }, trust),
      )
    } catch {
      return undefined // a trust function of the application's that throws
    }
  }
}

function toTrust(given: unknown): ((address: string, hop: number) => boolean) | undefined {
  if (given === false || given === 0) return undefined
  // a promise is truthy, and would trust everybody
  if (typeof given === 'function') return (address, hop) => given(address, hop) === true
  if (typeof given === 'number' && Number.isInteger(given) && given > 0) return (_address, hop) => hop < given
  const networks = typeof given === 'string' ? given.split(',').map((part) => part.trim()) : given
  if (Array.isArray(networks)) {
    try {
      return proxyAddr.compile(networks)
    } catch (cause) {
      throw invalid(given, cause)
    }
  }
  throw invalid(given)
}

/** An address in the one form in which it is stored and searched. */
function plainAddress(text: string | undefined): string | undefined {
  if (text === undefined) return undefined
  if (text.startsWith('::ffff:') && isIPv4(text.slice(7))) return text.slice(7) // what sockets give; the rest is slow
  const bare = text
    .trim()
    .replace(/^\[([^\]]+)\](?::\d+)?$|^([\d.]+):\d+$/, '$1$2')
    .replace(/%.*$/, '')
  if (isIPv4(bare)) return bare
  if (!isIPv6(bare)) return undefined
  const { address } = new SocketAddress({ address: bare, family: 'ipv6' })
  return /^::ffff:[\d.]+$/.test(address) ? address.slice(7) : address
}

function invalid(given: unknown, cause?: unknown): AuditError {
  const why = cause instanceof Error ? `: ${cause.message}` : ''
  const hint =
    given === true
      ? 'Anybody could then name any address: give the number of proxies, or their networks.'
      : "Give false, a number of proxies, networks such as ['loopback', '10.0.0.0/8'], or a function."
  return new AuditError('AUDIT_HTTP_OPTION', `"trustProxy" is ${JSON.stringify(given)}${why}.`, hint, {
    cause,
  })
}
