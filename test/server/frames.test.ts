/** Frames against the parser of ws: what is put together by hand is what a client reads. */
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import type { Writable } from 'node:stream'
import { expect, test } from 'vitest'
import * as ws from 'ws'
import { nextFrame, nextPrefix, textFrame, writeNextFrames } from '../../src/server/frames.ts'

/** Exported, but not in its types. */
const { Receiver } = ws as unknown as { readonly Receiver: new () => Writable }

/** The texts that a client gets of these bytes. */
async function read(bytes: Buffer): Promise<string[]> {
  const texts: string[] = []
  const receiver = new Receiver()
  receiver.on('message', (data: Buffer, isBinary: boolean) => {
    expect(isBinary).toBe(false)
    texts.push(data.toString())
  })
  await new Promise<void>((resolve, reject) => {
    receiver.on('error', reject)
    receiver.write(bytes, () => resolve())
  })
  return texts
}

function framesFor(id: string, payloads: readonly Buffer[]): Buffer {
  const socket = new FakeSocket(true)
  writeNextFrames(socket, nextPrefix(id), payloads)
  return socket.written[0]!
}

const SIZES = [0, 1, 60, 124, 125, 126, 127, 200, 65_400, 65_534, 65_535, 65_536, 70_000]

test('text of any length, letters of several bytes included, is one frame', async () => {
  for (const size of SIZES) {
    const text = 'ü'.repeat(size >> 1) + 'x'.repeat(size & 1)
    expect(await read(textFrame(text))).toEqual([text])
  }
})

test('a batch is a frame for each payload, and differs between readers by the id alone', async () => {
  const payloads = SIZES.map((size) => Buffer.from(JSON.stringify({ data: 'ü'.repeat(size) })))
  const ids = ['1', '2', 'a longer id', 'e5c0bf3e-9d2f-4c5c-8d37-000000000001', 'q"\\\n', 'ü']
  for (const id of ids) {
    const expected = payloads.map((payload) => ({
      id,
      type: 'next',
      payload: JSON.parse(payload.toString()) as unknown,
    }))
    const texts = await read(framesFor(id, payloads))
    expect(texts.map((text) => JSON.parse(text) as unknown)).toEqual(expected)
    const one = await read(nextFrame(nextPrefix(id), payloads[3]!))
    expect(JSON.parse(one[0]!)).toEqual(expected[3])
  }
})

/** Takes what is written as a socket does: at once, or it holds the very memory. */
class FakeSocket {
  readonly written: Buffer[] = []
  readonly takesAtOnce: boolean

  constructor(takesAtOnce: boolean) {
    this.takesAtOnce = takesAtOnce
  }

  get writableLength(): number {
    return this.takesAtOnce ? 0 : this.written.reduce((sum, { length }) => sum + length, 0)
  }

  write(bytes: Buffer): boolean {
    this.written.push(this.takesAtOnce ? Buffer.from(bytes) : bytes)
    return this.takesAtOnce
  }
}

test('bytes that a socket still holds stay as they are', async () => {
  const payloads = [Buffer.from('{"data":1}'), Buffer.from('{"data":2}')]
  const sockets = [true, false, false, true, true, false].map((takesAtOnce) => new FakeSocket(takesAtOnce))
  for (const [id, socket] of sockets.entries()) writeNextFrames(socket, nextPrefix(`${id}`), payloads)
  for (const [id, { written }] of sockets.entries()) {
    expect(await read(written[0]!)).toEqual([
      `{"id":"${id}","type":"next","payload":{"data":1}}`,
      `{"id":"${id}","type":"next","payload":{"data":2}}`,
    ])
  }
})

test('readers with one id share the bytes, whether they hold them or not', () => {
  const payloads = [Buffer.from('{"data":1}')]
  const [first, second] = [new FakeSocket(false), new FakeSocket(false)]
  writeNextFrames(first, nextPrefix('1'), payloads)
  writeNextFrames(second, nextPrefix('1'), payloads)
  expect(second.written[0]).toBe(first.written[0])
})

test('a real socket that is not read gets what was meant for it, whatever the others are written', async () => {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const clients: Socket[] = []
  const sockets: Socket[] = []
  try {
    for (const _ of ['slow', 'fast', 'fast']) {
      const accepted = once(server, 'connection') as Promise<[Socket]>
      clients.push(connect(port, '127.0.0.1').pause())
      sockets.push((await accepted)[0])
    }
    const [slow, ...fast] = clients
    for (const client of fast) client.resume()
    const batch = [Buffer.from(JSON.stringify({ data: 'x'.repeat(30_000) }))]
    let batches = 0
    // Until the system takes no more, and then some.
    for (let beyond = 0; beyond < 20; batches++) {
      const payloads = [...batch]
      for (const [id, socket] of sockets.entries()) writeNextFrames(socket, nextPrefix(`${id}`), payloads)
      if (sockets[0]!.writableLength > 0) beyond++
      await new Promise((resolve) => setImmediate(resolve))
    }
    const ids: string[] = []
    const receiver = new Receiver()
    const all = new Promise<void>((resolve, reject) => {
      receiver.on('error', reject)
      receiver.on('message', (data: Buffer) => {
        ids.push((JSON.parse(data.toString()) as { id: string }).id)
        if (ids.length === batches) resolve()
      })
    })
    slow!.pipe(receiver)
    await all
    expect(new Set(ids)).toEqual(new Set(['0']))
  } finally {
    for (const socket of [...clients, ...sockets]) socket.destroy()
    server.close()
    await once(server, 'close')
  }
})
