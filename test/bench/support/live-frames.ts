/**
 * WebSocket frames as benchmarks write and read them: nothing of the protocol that is not needed to send a
 * few messages as a client and to count many as cheaply as they can be counted.
 */
export const TEXT = 0x81
export const PING = 0x89
/** A client's answer to a ping without data. */
export const PONG: Buffer = Buffer.from([0x8a, 0x80, 0, 0, 0, 0])

export interface Frame {
  /** Where its text begins, and its length. */
  readonly start: number
  readonly length: number
}

/** A text message of a client: masked, as the protocol wants it, with a mask that changes nothing. */
export function clientFrame(message: unknown): Buffer {
  const text = Buffer.from(JSON.stringify(message))
  const long = text.length > 125
  const head = Buffer.alloc(long ? 8 : 6)
  head[0] = TEXT
  head[1] = 0x80 | (long ? 126 : text.length)
  if (long) head.writeUInt16BE(text.length, 2)
  return Buffer.concat([head, text])
}

/** A text message of a server. */
export function serverFrame(text: string): Buffer {
  const bytes = Buffer.from(text)
  const head = bytes.length > 125 ? Buffer.from([TEXT, 126, 0, 0]) : Buffer.from([TEXT, bytes.length])
  if (bytes.length > 125) head.writeUInt16BE(bytes.length, 2)
  return Buffer.concat([head, bytes])
}

/** The unmasked frame whose head begins here; `undefined` where the head is cut off. */
export function frameAt(bytes: Buffer, at: number, end: number): Frame | undefined {
  if (end - at < 2) return undefined
  const short = bytes[at + 1]!
  if (short < 126) return { start: at + 2, length: short }
  if (short === 126) return end - at < 4 ? undefined : { start: at + 4, length: bytes.readUInt16BE(at + 2) }
  return end - at < 10 ? undefined : { start: at + 10, length: bytes.readUInt32BE(at + 6) }
}
