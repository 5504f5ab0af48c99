/**
 * Whatever bytes a client sends, and whenever its sign-in ends: the server stays up, says why it closes, and
 * keeps nothing – no socket, no follower, no timer, no place in a quota.
 */
import * as fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { event } from './fake-hub.ts'
import { zooServer, type ZooServer } from './support.ts'
import { clientFrame, RawClient, rawUpgrade } from './websocket-client.ts'
import { ANIMALS } from './zoo.ts'

const clock = new FakeClock()
let server: ZooServer

beforeAll(async () => {
  const limits = { requestsPerMinute: 1_000_000, signInFailuresPerMinute: 1_000_000 }
  server = await zooServer({ clock, options: { limits } })
})

afterAll(async () => {
  await server.close({ graceMs: 0 })
  expect(clock.pending).toBe(0)
})

const id = fc.constantFrom('1', '2', '3', '', '__proto__', 'constructor', 'x'.repeat(200))
const query = fc.constantFrom(
  'subscription { animalChanges { type object { id } } }',
  'subscription { countdown(from: 3) }',
  'subscription { waiting }',
  'subscription { refusing }',
  'subscription { breaking }',
  '{ animals { id live } }',
  '{ stuck }',
  '{ nothing }',
  'mutation { rename(to: "x") }',
  '{',
  '',
)
const payload = fc.oneof(
  fc.record({ query, variables: fc.oneof(fc.constant(null), fc.object({ maxDepth: 1 })) }),
  fc.record({ query }),
  fc.jsonValue(),
)
const message = fc.oneof(
  { weight: 6, arbitrary: fc.record({ id, type: fc.constant('subscribe'), payload: fc.record({ query }) }) },
  { weight: 3, arbitrary: fc.record({ id, type: fc.constant('complete') }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('ping'), payload: fc.object({ maxDepth: 1 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('ping'),
      payload: fc.record({
        type: fc.constant('reauthenticate'),
        authorization: fc.oneof(
          { weight: 4, arbitrary: fc.constantFrom('ann', 'ann/dev', 'Bearer ann/ops') },
          { weight: 1, arbitrary: fc.constantFrom('ben', 'bad', 'unavailable', 'slow ann', 'slow bug') },
          { weight: 1, arbitrary: fc.jsonValue() },
        ),
      }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      id: fc.oneof(id, fc.jsonValue()),
      type: fc.constantFrom('connection_init', 'pong', 'next', 'error', 'subscribe', 'x', 7),
      payload,
    }),
  },
)
const opcode = fc.constantFrom(0, 1, 1, 1, 1, 2, 8, 9, 10, 3, 15)

/** What a client puts on the wire, one after the other. */
const step = fc.oneof(
  { weight: 8, arbitrary: message.map((message) => clientFrame(JSON.stringify(message))) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.uint8Array({ maxLength: 200 }), opcode, fc.boolean())
      .map(([bytes, opcode, fin]) => clientFrame(Buffer.from(bytes), opcode, fin)),
  },
  { weight: 1, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 60 }).map((bytes) => Buffer.from(bytes)) },
)

test('any bytes leave nothing behind, and nobody else notices', { timeout: 120_000 }, async () => {
  const bystander = await RawClient.connected(server.url)
  bystander.subscribe('1', 'subscription { animalChanges { type } }')
  await bystander.settled()
  const INIT = clientFrame(JSON.stringify({ type: 'connection_init', payload: { token: 'ann' } }))
  const alone = server.load
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 12 }),
      fc.boolean(),
      fc.boolean(),
      fc.option(fc.tuple(fc.nat({ max: 12 }), fc.constantFrom('ann', 'ann/dev', 'ann/ops'))),
      async (steps, together, rude, end) => {
        const { socket } = await rawUpgrade(server.url)
        const received: Buffer[] = []
        socket.on('data', (chunk: Buffer) => received.push(chunk))
        const ended = new Promise((resolve) => socket.once('close', resolve))
        const frames = [INIT, ...steps]
        for (const [index, bytes] of (together ? [Buffer.concat(frames)] : frames).entries()) {
          socket.write(bytes)
          if (end?.[0] === index) server.access.end(end[1], { code: 'REVOKED', message: 'Signed out.' })
          if (!together) await new Promise((resolve) => setImmediate(resolve))
          server.hub.tell(event({ object: ANIMALS[1] }))
        }
        // A clean end of a client that is still open, or none.
        if (rude) socket.destroy()
        else socket.end(clientFrame(Buffer.from([0x03, 0xe8]), 8))
        await ended
        const code = closeCode(Buffer.concat(received))
        if (code !== undefined)
          expect([1000, 1002, 1005, 1006, 1007, 1008, 1009, 4400, 4401, 4403, 4409, 4429]).toContain(code)
        await eventually(() => expect(server.hub.followers.size).toBe(1), { everyMs: 1 })
        expect(server.hub.iterating).toBe(0)
        await eventually(() => expect(server.load).toEqual(alone), { everyMs: 1 })
        expect(server.access.listeners).toBe(1)
      },
    ),
    { numRuns: 300 },
  )
  // The deadlines of live reads went with their clients: what is left is the beat, for the bystander.
  await eventually(() => expect(clock.pending).toBe(1))
  await eventually(() =>
    expect(server.access.contexts.some(({ calls }) => calls['waiting'] === 1)).toBe(false),
  )
  await bystander.settled()
  expect(bystander.ws.readyState).toBe(bystander.ws.OPEN)
  expect(server.log.filter(({ fields }) => String(fields['err']).includes('Cannot'))).toEqual([])
  await bystander.close()
  await eventually(() => expect(clock.pending).toBe(0))
  const connections = () =>
    new Promise((resolve) => server.http.getConnections((_error, count) => resolve(count)))
  await eventually(async () => expect(await connections()).toBe(0))
})

/** Of the close frame in what the server sent, if there is one. */
function closeCode(bytes: Buffer): number | undefined {
  for (let offset = 0; offset + 2 <= bytes.length;) {
    const opcode = bytes[offset]! & 0x0f
    const short = bytes[offset + 1]! & 0x7f
    const head = short < 126 ? 2 : short === 126 ? 4 : 10
    const length =
      short < 126
        ? short
        : short === 126
          ? bytes.readUInt16BE(offset + 2)
          : Number(bytes.readBigUInt64BE(offset + 2))
    if (opcode === 8) return length >= 2 ? bytes.readUInt16BE(offset + head) : undefined
    // Only whole text frames, pongs and pings go before it.
    expect([1, 9, 10]).toContain(opcode)
    if (opcode === 1 && offset + head + length <= bytes.length) {
      JSON.parse(bytes.subarray(offset + head, offset + head + length).toString())
    }
    offset += head + length
  }
  return undefined
}
