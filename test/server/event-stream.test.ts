/** GraphQL over server-sent events: distinct connections, by hand and with the clients of others. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { createClient as createStreamClient } from 'graphql-sse'
import { afterEach, describe, expect, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { event } from './fake-hub.ts'
import { raw, zooServer, type ZooServer } from './support.ts'
import { ANIMALS } from './zoo.ts'

const open: ZooServer[] = []
const start: typeof zooServer = async (...setup) => {
  const server = await zooServer(...setup)
  open.push(server)
  return server
}

afterEach(async () => {
  await Promise.all(open.splice(0).map((server) => server.close({ graceMs: 0 })))
})

const STREAM = { accept: 'text/event-stream' }
const CHANGES = 'subscription { animalChanges { object { id } } }'
const change = (index: number) => event({ object: ANIMALS[index] })
const data = (index: number) =>
  `event: next\ndata: {"data":{"animalChanges":{"object":{"id":"a${index}"}}}}\n\n`

/** A stream read by hand. */
class Reading {
  readonly controller = new AbortController()
  readonly response: Promise<Response>
  text = ''
  ended = false

  constructor(server: ZooServer, query: string) {
    this.response = fetch(`${server.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...STREAM },
      body: JSON.stringify({ query }),
      signal: this.controller.signal,
    })
    this.#read().then(
      () => (this.ended = true),
      () => (this.ended = true),
    )
  }

  async #read(): Promise<void> {
    const { body } = await this.response
    for await (const chunk of body!.pipeThrough(new TextDecoderStream())) this.text += chunk
  }
}

describe('an event stream', () => {
  test('tells changes to all who follow the same, as they happen', async () => {
    const server = await start()
    const [first, second] = [new Reading(server, CHANGES), new Reading(server, CHANGES)]
    await eventually(() => expect(server.hub.followers.size).toBe(2))
    server.hub.tell(change(1), change(2))
    server.hub.tell(change(3))
    const expected = `:\n\n${data(1)}${data(2)}${data(3)}`
    await eventually(() => expect([first.text, second.text]).toEqual([expected, expected]))
    expect(server.hub.renders).toBe(2)
    const { headers } = await first.response
    expect(headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
    expect(headers.get('cache-control')).toContain('no-store')
    first.controller.abort()
    await eventually(() => expect(server.hub.followers.size).toBe(1))
    second.controller.abort()
    await eventually(() => expect(server.hub.followers.size).toBe(0))
  })

  test('completes what ends: queries, mutations, streams and refusals', async () => {
    const server = await start()
    const whole = async (query: string) => (await server.ask(query, {}, STREAM)).text()
    expect(await whole('{ animals(first: 1) { id } }')).toMatch(
      /^:\n\nevent: next\ndata: {"data":.*"a0".*\n\nevent: complete\ndata:\n\n$/,
    )
    expect(await whole('mutation { rename(to: "x") }')).toContain('"rename":"x"')
    expect(await whole('subscription { countdown(from: 1) }')).toBe(
      ':\n\nevent: next\ndata: {"data":{"countdown":1}}\n\nevent: next\ndata: {"data":{"countdown":0}}\n\nevent: complete\ndata:\n\n',
    )
    const refused = await server.ask('subscription { nothing }', {}, STREAM)
    expect(refused.status).toBe(200)
    expect(await refused.text()).toMatch(
      /event: next\ndata: {"errors":.*GRAPHQL_VALIDATION_FAILED.*event: complete/s,
    )
    expect(await whole('subscription { breaking }')).toMatch(/"one".*"errors":.*INTERNAL.*complete/s)
  })

  test('is for subscriptions only where JSON is accepted as well', async () => {
    const server = await start()
    const accept = 'application/json, text/event-stream'
    const type = async (query: string) =>
      (await server.ask(query, {}, { accept })).headers.get('content-type')
    expect(await type('{ echo }')).toContain('application/json')
    expect(await type('subscription { countdown(from: 0) }')).toContain('text/event-stream')
  })

  test('is what a subscription by plain POST or GET is told to ask for', async () => {
    const server = await start()
    const answer = await (await server.ask(CHANGES)).text()
    expect(answer).toContain('STREAM_REQUIRED')
    const get = await fetch(`${server.url}/graphql?query=${encodeURIComponent(CHANGES)}`, {
      headers: { 'x-fleetgraph-csrf': '1', accept: 'application/json' },
    })
    expect(await get.text()).toContain('STREAM_REQUIRED')
    expect(server.hub.joins).toEqual([])
  })

  test('is refused as other requests are, before it began', async () => {
    const server = await start()
    const status = async (headers: Record<string, string>, body = '{}') =>
      (
        await fetch(`${server.url}/graphql`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', ...STREAM, ...headers },
          body,
        })
      ).status
    expect(await status({})).toBe(400)
    expect(await status({ 'content-type': 'text/plain' })).toBe(415)
    expect(await status({ authorization: 'bad' }, JSON.stringify({ query: CHANGES }))).toBe(401)
  })

  test('is right for a proxy that speaks HTTP/1.0', async () => {
    const server = await start()
    const body = JSON.stringify({ query: 'subscription { countdown(from: 0) }' })
    const answer = await raw(
      server.url,
      `POST /graphql HTTP/1.0\r\nhost: localhost\r\naccept: text/event-stream\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    )
    expect(answer).not.toMatch(/transfer-encoding/i)
    expect(answer).toMatch(
      /\r\n\r\n:\n\nevent: next\ndata: {"data":{"countdown":0}}\n\nevent: complete\ndata:\n\n$/,
    )
  })

  test('that its client does not read is bounded, and told so when it is read again', async () => {
    const server = await start()
    const body = JSON.stringify({ query: 'subscription { animalChanges { message } }' })
    const socket = connect({ port: Number(new URL(server.url).port), host: '127.0.0.1' })
    socket.write(
      `POST /graphql HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    )
    await once(socket, 'data')
    await eventually(() => expect(server.hub.followers.size).toBe(1))
    socket.pause()
    const [follower] = [...server.hub.followers]
    while (follower!.missed < 100) {
      server.hub.tell(event({ message: 'x'.repeat(10_000) }))
      await new Promise((resolve) => setImmediate(resolve))
    }
    let text = ''
    socket.on('data', (chunk: Buffer) => (text = (text + chunk.toString()).slice(-200)))
    socket.resume()
    await eventually(() => expect(text).toContain(`${follower!.missed} missed`))
    socket.destroy()
    await eventually(() => expect(server.hub.followers.size).toBe(0))
  })

  test('says that it lives, and is dropped when nobody reads that', async () => {
    const clock = new FakeClock()
    const server = await start({ clock, options: { live: { keepAliveMs: 60_000 } } })
    const reading = new Reading(server, CHANGES)
    await eventually(() => expect(server.hub.followers.size).toBe(1))
    await clock.advance(120_000)
    await eventually(() => expect(reading.text).toBe(':\n\n'.repeat(3)))
    reading.controller.abort()
    await eventually(() => expect(clock.pending).toBe(0))
  })

  test('is not dropped for what its client reads in the end, however often it was late', async () => {
    const clock = new FakeClock()
    const live = { keepAliveMs: 60_000, socketBytes: 256 << 20 }
    const server = await start({ clock, options: { live } })
    const connection = once(server.http, 'connection') as Promise<[Socket]>
    const body = JSON.stringify({ query: 'subscription { animalChanges { message } }' })
    const socket = connect({ port: Number(new URL(server.url).port), host: '127.0.0.1' })
    socket.write(
      `POST /graphql HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    )
    const [there] = await connection
    socket.on('data', () => {})
    await eventually(() => expect(server.hub.followers.size).toBe(1))
    for (let i = 0; i < 12; i++) {
      socket.pause()
      while (there.writableLength === 0) {
        server.hub.tell(event({ message: 'x'.repeat(1 << 20) }))
        await new Promise((resolve) => setImmediate(resolve))
      }
      await clock.advance(60_000)
      socket.resume()
      await eventually(() => expect(there.writableLength).toBe(0))
    }
    expect(there.destroyed).toBe(false)
    expect(server.hub.followers.size).toBe(1)
    socket.destroy()
  })

  test('ends without `complete` when the server closes, so that clients go on elsewhere', async () => {
    const clock = new FakeClock()
    const server = await start({ clock })
    const reading = new Reading(server, CHANGES)
    await eventually(() => expect(server.hub.followers.size).toBe(1))
    await server.close({ graceMs: 10_000 })
    await eventually(() => expect(reading.ended).toBe(true))
    expect(reading.text).not.toContain('complete')
    expect(server.hub.followers.size).toBe(0)
    expect(clock.pending).toBe(0)
  })
})

describe('the client of graphql-sse', () => {
  test('subscribes, loses its connection, connects again and goes on', async () => {
    const server = await start()
    const client = createStreamClient({
      url: `${server.url}/graphql`,
      retry: () => Promise.resolve(),
    })
    const changes = client.iterate({ query: CHANGES })
    const first = changes.next()
    await eventually(() => expect(server.hub.followers.size).toBe(1))
    server.hub.tell(change(1))
    expect((await first).value).toEqual({ data: { animalChanges: { object: { id: 'a1' } } } })
    const second = changes.next()
    server.hub.joins.length = 0
    server.http.closeAllConnections()
    await eventually(() => expect(server.hub.joins).toHaveLength(1))
    server.hub.tell(change(2))
    expect((await second).value).toEqual({ data: { animalChanges: { object: { id: 'a2' } } } })
    const values = []
    for await (const { data } of client.iterate({ query: 'subscription { countdown(from: 1) }' })) {
      values.push(data)
    }
    expect(values).toEqual([{ countdown: 1 }, { countdown: 0 }])
    client.dispose()
    await eventually(() => expect(server.hub.followers.size).toBe(0))
  })
})
