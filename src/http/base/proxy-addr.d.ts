/** What is used of `proxy-addr`, which has no types of its own. */
declare module 'proxy-addr' {
  type Trust = (address: string, hop: number) => boolean
  interface Incoming {
    readonly headers: { readonly 'x-forwarded-for'?: string }
    readonly socket: { readonly remoteAddress: string | undefined }
  }
  const proxyAddr: {
    (request: Incoming, trust: Trust): string | undefined
    compile(networks: readonly string[]): Trust
  }
  export default proxyAddr
}
