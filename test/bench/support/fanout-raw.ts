/**
 * The limit of fan-out: a `ws` server that knows each subscriber's frame before the event happens and does
 * nothing but write it, to one socket after the other.
 */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { WebSocketServer } from 'ws'
import { FILTERS, filtersMatching, type Subject } from './fanout-events.ts'
import { serverFrame } from './live-frames.ts'
import type { Subscription } from './live-receivers.ts'

interface Subscriber {
  readonly socket: Socket
  readonly id: string
  frame: Buffer
}

interface Message {
  readonly type: string
  readonly id: string
  readonly payload: Subscription
}

export async function raw(): Promise<Subject> {
  const everyone: Subscriber[] = []
  /** By filter. */
  const filtered = new Map<string, Subscriber[]>()
  const http = createServer()
  const sockets = new WebSocketServer({ server: http, perMessageDeflate: false, clientTracking: false })
  sockets.on('connection', (websocket, { socket }) => {
    websocket.on('message', (data: Buffer) => {
      const { type, id, payload } = JSON.parse(data.toString()) as Message
      if (type === 'connection_init') websocket.send('{"type":"connection_ack"}')
      if (type !== 'subscribe') return
      const subscriber = { socket, id, frame: frameOf(id, SAMPLE) }
      const key = JSON.stringify(payload.variables)
      if (key === undefined) everyone.push(subscriber)
      else if (filtered.has(key)) filtered.get(key)!.push(subscriber)
      else filtered.set(key, [subscriber])
    })
  })
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')

  const keys = FILTERS.map(({ variables }) => JSON.stringify(variables))
  let receivers: (readonly Subscriber[])[] = []
  return {
    port: (http.address() as AddressInfo).port,
    learn(message) {
      for (const subscriber of [everyone, ...filtered.values()].flat()) {
        subscriber.frame = frameOf(subscriber.id, message)
      }
    },
    prepare(events) {
      receivers = events.map((event) => [
        ...everyone,
        ...filtersMatching(event).flatMap((filter) => filtered.get(keys[filter]!) ?? []),
      ])
    },
    happen(index) {
      for (const { socket, frame } of receivers[index]!) socket.write(frame)
    },
  }
}

/** Before the gateway's has been seen. */
const SAMPLE = '{"id":"0","type":"next","payload":{"data":{"podChanges":{"type":"MODIFIED"}}}}'

/** The frame of this message for another id. */
function frameOf(id: string, message: string): Buffer {
  return serverFrame(message.replace(/"id":"[^"]*"/, `"id":"${id}"`))
}
