/**
 * WebSocket text frames (RFC 6455 §5.2) with messages of graphql-transport-ws in them, as a server sends
 * them: unmasked, unfragmented, uncompressed. A batch of events for ten thousand sockets is put together
 * once; from one socket to the next only the operation's id is changed in it.
 *
 * Invariant: bytes that a socket may still hold are never changed.
 */
import type { Writable } from 'node:stream'
import type { Payload } from '../events/live.ts'

const TEXT = 0x81

/** One text frame. */
export function textFrame(text: string): Buffer {
  const length = Buffer.byteLength(text)
  const head = headLength(length)
  const bytes = Buffer.allocUnsafe(head + length)
  writeHead(bytes, 0, length)
  bytes.write(text, head)
  return bytes
}

/** How a `next` message of this operation begins; its payload and a closing brace follow. */
export function nextPrefix(id: string): Buffer {
  return Buffer.from(`{"id":${JSON.stringify(id)},"type":"next","payload":`)
}

/** A `next` message with this payload. */
export function nextFrame(prefix: Buffer, json: Buffer | string): Buffer {
  const payload = typeof json === 'string' ? Buffer.from(json) : json
  const bytes = Buffer.allocUnsafe(frameLength(prefix, payload))
  writeNext(bytes, 0, prefix, payload)
  return bytes
}

interface Template {
  readonly bytes: Buffer
  /** The prefix that stands in `bytes`. */
  prefix: Buffer
  /** Where it stands. */
  readonly offsets: readonly number[]
  /** Some socket still has `bytes` to send: they stay as they are. */
  held: boolean
}

/** By batch, then by the length of the prefix: it decides where everything stands. */
const templates = new WeakMap<readonly Payload[], Map<number, Template>>()

/**
 * Writes a `next` frame for each payload, in order, all at once. What the system takes at once is written
 * from the same memory for one socket after the other: it stays in the processor's cache, and leaves no
 * garbage.
 */
export function writeNextFrames(
  socket: Pick<Writable, 'write' | 'writableLength'>,
  prefix: Buffer,
  payloads: readonly Payload[],
): void {
  let byLength = templates.get(payloads)
  if (!byLength) templates.set(payloads, (byLength = new Map()))
  let template = byLength.get(prefix.length)
  if (!template) byLength.set(prefix.length, (template = templateOf(prefix, payloads)))
  else if (template.prefix !== prefix && !template.prefix.equals(prefix)) {
    if (template.held) byLength.set(prefix.length, (template = copyOf(template)))
    template.prefix = prefix
    for (const offset of template.offsets) template.bytes.set(prefix, offset)
  }
  socket.write(template.bytes)
  if (socket.writableLength > 0) template.held = true
}

function copyOf({ bytes, prefix, offsets }: Template): Template {
  const copy = Buffer.allocUnsafeSlow(bytes.length)
  copy.set(bytes)
  return { bytes: copy, prefix, offsets, held: false }
}

function templateOf(prefix: Buffer, payloads: readonly Payload[]): Template {
  let length = 0
  for (const payload of payloads) length += frameLength(prefix, payload)
  // Not from the pool: it is kept while its batch is, and would keep a slab with it.
  const bytes = Buffer.allocUnsafeSlow(length)
  const offsets: number[] = []
  let offset = 0
  for (const payload of payloads) {
    const start = writeNext(bytes, offset, prefix, payload)
    offsets.push(start)
    offset += frameLength(prefix, payload)
  }
  return { bytes, prefix, offsets, held: false }
}

/** Gives where the prefix stands. */
function writeNext(bytes: Buffer, offset: number, prefix: Buffer, payload: Buffer): number {
  const start = offset + writeHead(bytes, offset, prefix.length + payload.length + 1)
  bytes.set(prefix, start)
  bytes.set(payload, start + prefix.length)
  bytes[start + prefix.length + payload.length] = 0x7d
  return start
}

function frameLength(prefix: Buffer, payload: Buffer): number {
  const length = prefix.length + payload.length + 1
  return headLength(length) + length
}

function headLength(length: number): number {
  return length < 126 ? 2 : length < 65_536 ? 4 : 10
}

/** Gives the length of what was written. */
function writeHead(bytes: Buffer, offset: number, length: number): number {
  bytes[offset] = TEXT
  if (length < 126) bytes[offset + 1] = length
  else if (length < 65_536) {
    bytes[offset + 1] = 126
    bytes.writeUInt16BE(length, offset + 2)
  } else {
    bytes[offset + 1] = 127
    bytes.writeBigUInt64BE(BigInt(length), offset + 2)
  }
  return headLength(length)
}
