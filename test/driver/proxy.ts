import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** A TCP proxy in front of a server that counts how often the direction turns: each is a wait for the network. */
export interface CountingProxy {
  readonly url: string
  /** Round trips and packets of the client since the last call. */
  take(): { readonly roundTrips: number; readonly packets: number }
  close(): Promise<void>
}

export async function countingProxy(target: string): Promise<CountingProxy> {
  const { hostname, port } = new URL(target)
  const sockets = new Set<Socket>()
  let [roundTrips, packets] = [0, 0]
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname)
    let asking = false
    client.on('data', (data) => {
      packets++
      asking = true
      upstream.write(data)
    })
    upstream.on('data', (data) => {
      if (asking) roundTrips++
      asking = false
      client.write(data)
    })
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.setNoDelay(true)
      socket.on('error', () => {})
      socket.on('close', () => {
        client.destroy()
        upstream.destroy()
      })
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = new URL(target)
  url.port = String((server.address() as AddressInfo).port)
  return {
    url: url.href,
    take() {
      const taken = { roundTrips, packets }
      roundTrips = packets = 0
      return taken
    },
    async close() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
