/**
 * JSON on the level of bytes: where a value ends, and how to leave `managedFields` out before anything is
 * parsed (they are two fifths of an object's bytes and more than half of its parsed size, and no row
 * holds any of it).
 *
 * Knows JSON's strings, escapes and nesting, nothing of Kubernetes but that one name. Works on whole
 * bytes of UTF-8: every byte it looks for is ASCII, and no byte of a longer sequence is.
 */

const QUOTE = 0x22
const COMMA = 0x2c
const BACKSLASH = 0x5c
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
const OPEN_BRACE = 0x7b

/** Finds the end of one object or array, which may come in pieces: it goes on where it stopped. */
export class ValueScanner {
  #depth = 0
  #inString = false
  #escaped = false

  reset(): void {
    this.#depth = 0
    this.#inString = false
    this.#escaped = false
  }

  /**
   * Scans `bytes[from, to)`, the first time from the opening brace or bracket. Returns the index after
   * the value's last byte, or -1 where it goes on: call again with the bytes that follow.
   */
  scan(bytes: Uint8Array, from: number, to: number): number {
    let depth = this.#depth
    let i = from
    if (this.#inString) {
      i = this.#endOfString(bytes, this.#escaped ? from + 1 : from, to)
      if (i < 0) return -1
    }
    while (i < to) {
      let byte = bytes[i++] as number
      if (byte === QUOTE) {
        // The loop of `#endOfString`, once more: a call per string would cost half of the speed.
        byte = 0
        while (i < to && (byte = bytes[i++] as number) !== QUOTE) if (byte === BACKSLASH) i++
        if (byte !== QUOTE || i > to) {
          this.#inString = true
          this.#escaped = i > to
          break
        }
      } else {
        // Braces and brackets differ in one bit.
        const bracket = byte & 0xdf
        if (bracket === OPEN_BRACKET) depth++
        else if (bracket === CLOSE_BRACKET && --depth === 0) {
          this.reset()
          return i
        }
      }
    }
    this.#depth = depth
    return -1
  }

  /** Goes on within a string; the index behind its closing quote, or -1 where it goes on still. */
  #endOfString(bytes: Uint8Array, from: number, to: number): number {
    let i = from
    while (i < to) {
      const byte = bytes[i++] as number
      if (byte === QUOTE) {
        this.#inString = this.#escaped = false
        return i
      }
      if (byte === BACKSLASH) i++
    }
    this.#escaped = i > to
    return -1
  }
}

const MANAGED_FIELDS = Buffer.from('"managedFields":[')
const scanner = new ValueScanner()
/** Grows to the largest object seen, within bounds; only used within one call. */
let scratch = Buffer.allocUnsafe(64 * 1024)
const SCRATCH_LIMIT = 4 * 1024 * 1024

/**
 * The text of `bytes[start, end)`, one JSON value, without any member `managedFields` that holds an
 * array, at whatever depth: in Kubernetes that name is only ever `ObjectMeta`'s. Only finds them as an API
 * server writes them, without white space; others stay, which costs time and harms nothing. What is
 * not JSON is handed on as it is, for the parser to complain of.
 */
export function textWithoutManagedFields(bytes: Buffer, start: number, end: number): string {
  const value = bytes.subarray(start, end)
  let found = value.indexOf(MANAGED_FIELDS)
  if (found < 0) return value.toString()
  if (scratch.length < value.length) {
    if (value.length > SCRATCH_LIMIT) return value.toString()
    scratch = Buffer.allocUnsafe(2 * value.length)
  }
  let length = 0
  let kept = 0
  while (found > 0) {
    const before = value[found - 1]
    // Preceded by a brace or a comma, it is a key: in a string, its quotes would be escaped.
    if (before !== COMMA && before !== OPEN_BRACE) {
      found = value.indexOf(MANAGED_FIELDS, found + 1)
      continue
    }
    scanner.reset()
    const after = scanner.scan(value, found + MANAGED_FIELDS.length - 1, value.length)
    if (after < 0) break
    // One comma goes with the member: the one before it, or for a first member the one behind.
    const cut = before === COMMA ? found - 1 : found
    length += value.copy(scratch, length, kept, cut)
    kept = before === COMMA ? after : afterComma(value, after)
    found = value.indexOf(MANAGED_FIELDS, after)
  }
  scanner.reset()
  length += value.copy(scratch, length, kept)
  return scratch.toString('utf8', 0, length)
}

function afterComma(bytes: Uint8Array, from: number): number {
  const next = skipSpace(bytes, from, bytes.length)
  return bytes[next] === COMMA ? next + 1 : from
}

/** The index of the first byte at or after `from` that is not JSON's white space. */
export function skipSpace(bytes: Uint8Array, from: number, to: number): number {
  let i = from
  while (i < to) {
    const byte = bytes[i]
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) break
    i++
  }
  return i
}

/**
 * Bytes that came and were not consumed yet, in one piece. A chunk that is consumed at once is never
 * copied; `keep` copies what is left of it before its owner may use it again.
 */
export class ByteQueue {
  bytes: Buffer = EMPTY
  start = 0
  end = 0
  #owned = false

  get length(): number {
    return this.end - this.start
  }

  write(chunk: Buffer): void {
    if (this.length === 0) {
      this.bytes = chunk
      this.start = 0
      this.end = chunk.length
      this.#owned = false
      return
    }
    if (!this.#owned || this.end + chunk.length > this.bytes.length) this.#own(chunk.length)
    this.bytes.set(chunk, this.end)
    this.end += chunk.length
  }

  /** Makes what is left its own. Call it before returning from where the chunk came. */
  keep(): void {
    if (this.length === 0) this.clear()
    else if (!this.#owned) this.#own(CHUNK)
  }

  clear(): void {
    this.bytes = EMPTY
    this.start = this.end = 0
    this.#owned = false
  }

  #own(room: number): void {
    const { length } = this
    const fits = this.#owned && length + room <= this.bytes.length
    // Twice what is there, so that a long value is not copied again with each chunk of it.
    const target = fits
      ? this.bytes
      : Buffer.allocUnsafe(Math.max(2 * length, length + Math.max(room, CHUNK)))
    this.bytes.copy(target, 0, this.start, this.end)
    this.bytes = target
    this.start = 0
    this.end = length
    this.#owned = true
  }
}

const EMPTY = Buffer.alloc(0)
/** What a socket's read brings at most. */
const CHUNK = 64 * 1024
