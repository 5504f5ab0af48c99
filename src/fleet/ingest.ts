/**
 * From the bytes of an answer to the texts of its objects, piece by piece as they come: the lines of a
 * watch, the items of a list. Nothing larger than one object is ever parsed.
 *
 * Both decoders are pulled: `write` takes a chunk, `next` gives one text at a time, so that whoever reads
 * may stop between any two objects. Positions are kept between chunks: no byte is looked at twice.
 *
 * They deliberately do not know what an object is; see `watch-feed.ts`.
 */
import { ByteQueue, skipSpace, textWithoutManagedFields, ValueScanner } from './ingest-bytes.ts'

/** The bytes are not what a Kubernetes API server answers. */
export class MalformedAnswer extends Error {
  override readonly name = 'MalformedAnswer'
  readonly code = 'MALFORMED_ANSWER'
}

export interface Decoder {
  /** Takes a chunk; call `next` until it is empty, or `keep` before the chunk's memory is used again. */
  write(chunk: Buffer): void
  /** The next text without `managedFields`, or `undefined` until more bytes come. Throws `MalformedAnswer`. */
  next(): string | undefined
  keep(): void
  /** Bytes that wait to be decoded. */
  readonly pending: number
}

const NEWLINE = 0x0a
/** etcd takes no object over 1.5 MiB, but aggregated API servers may; past this it is no object. */
const LONGEST = 64 * 1024 * 1024

/** The lines of a watch: `{"type":"ADDED","object":{…}}`. */
export class WatchLines implements Decoder {
  readonly #queue = new ByteQueue()
  /** Bytes from the queue's start in which there is no line end. */
  #scanned = 0

  get pending(): number {
    return this.#queue.length
  }

  write(chunk: Buffer): void {
    this.#queue.write(chunk)
  }

  keep(): void {
    this.#queue.keep()
  }

  next(): string | undefined {
    const queue = this.#queue
    for (;;) {
      const { bytes, start, end } = queue
      if (start === end) return undefined
      const newline = bytes.indexOf(NEWLINE, start + this.#scanned)
      // A buffer has room behind the end, with the bytes of another time in it.
      if (newline < 0 || newline >= end) {
        this.#scanned = end - start
        if (this.#scanned > LONGEST) throw new MalformedAnswer('a line of a watch has no end')
        return undefined
      }
      this.#scanned = 0
      queue.start = newline + 1
      if (newline > start) return textWithoutManagedFields(bytes, start, newline)
    }
  }
}

const QUOTE = 0x22
const COLON = 0x3a
const COMMA = 0x2c
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d
const LONGEST_ENVELOPE = 1024 * 1024

/** What a list says beside its items. */
export interface ListMetadata {
  readonly resourceVersion: string
  /** `''`: this was the last page. */
  readonly continueToken: string
}

/**
 * The items of a list, `{"kind":"PodList",…,"metadata":{…},"items":[{…},{…}]}`, in whatever order its
 * members come. All bytes outside of `items` are its envelope; they are parsed at the end.
 */
export class ListItems implements Decoder {
  readonly #queue = new ByteQueue()
  readonly #scanner = new ValueScanner()
  #where: 'HEAD' | 'ITEMS' | 'TAIL' = 'HEAD'
  /** Bytes of the present item that were scanned. */
  #scanned = 0
  #envelope = ''
  /** While `HEAD` is incomplete: it is only tried again with more bytes. */
  #tried = 0

  get pending(): number {
    return this.#queue.length
  }

  write(chunk: Buffer): void {
    this.#queue.write(chunk)
  }

  keep(): void {
    this.#queue.keep()
  }

  next(): string | undefined {
    if (this.#where === 'HEAD') this.#readHead()
    if (this.#where === 'ITEMS') return this.#readItem()
    return undefined
  }

  /** After the last byte. Throws `MalformedAnswer` where the list is not whole. */
  end(): ListMetadata {
    const { bytes, start, end } = this.#queue
    if (this.#where === 'ITEMS') throw new MalformedAnswer('the list ends within its items')
    const text = this.#envelope + bytes.toString('utf8', start, end)
    this.#queue.clear()
    let envelope: unknown
    try {
      envelope = JSON.parse(text)
    } catch (cause) {
      throw new MalformedAnswer('the list is not whole', { cause })
    }
    if (typeof envelope !== 'object' || envelope === null || !('items' in envelope)) {
      throw new MalformedAnswer('the answer is not a list')
    }
    const { metadata } = envelope as {
      metadata?: { resourceVersion?: string; continue?: string }
    }
    return {
      resourceVersion: metadata?.resourceVersion ?? '',
      continueToken: metadata?.continue ?? '',
    }
  }

  /** Looks for `"items":[` among the list's own members. It is short, and read anew until it is there. */
  #readHead(): void {
    const queue = this.#queue
    if (queue.length === this.#tried) return
    this.#tried = queue.length
    if (this.#tried > LONGEST_ENVELOPE) throw new MalformedAnswer('the answer is not a list')
    const items = findItems(queue.bytes, queue.start, queue.end)
    if (items < 0) return
    this.#envelope = queue.bytes.toString('utf8', queue.start, items)
    queue.start = items
    this.#where = 'ITEMS'
  }

  #readItem(): string | undefined {
    const queue = this.#queue
    if (this.#scanned === 0) {
      let at = skipSpace(queue.bytes, queue.start, queue.end)
      if (queue.bytes[at] === COMMA && at < queue.end) at = skipSpace(queue.bytes, at + 1, queue.end)
      queue.start = at
      if (at === queue.end) return undefined
      const byte = queue.bytes[at]
      if (byte === CLOSE_BRACKET) {
        this.#where = 'TAIL'
        return undefined
      }
      if (byte !== OPEN_BRACE) throw new MalformedAnswer('an item of the list is not an object')
      this.#scanner.reset()
    }
    const { bytes, start, end } = queue
    const after = this.#scanner.scan(bytes, start + this.#scanned, end)
    if (after < 0) {
      this.#scanned = end - start
      if (this.#scanned > LONGEST) throw new MalformedAnswer('an item of the list has no end')
      return undefined
    }
    this.#scanned = 0
    queue.start = after
    return textWithoutManagedFields(bytes, start, after)
  }
}

/**
 * The index behind the `[` of the member `items` of the object that begins in `bytes[from, to)`; -1
 * where it has none, or not yet. Go writes `"items":null` for an empty list: such a head is never found,
 * and the whole answer is then its envelope.
 */
function findItems(bytes: Buffer, from: number, to: number): number {
  const scanner = new ValueScanner()
  let at = skipSpace(bytes, from, to)
  if (at >= to) return -1
  if (bytes[at] !== OPEN_BRACE) throw new MalformedAnswer('the answer is not a JSON object')
  at++
  for (;;) {
    at = skipSpace(bytes, at, to)
    if (bytes[at] === COMMA) at = skipSpace(bytes, at + 1, to)
    if (at >= to || bytes[at] === CLOSE_BRACE) return -1
    if (bytes[at] !== QUOTE) throw new MalformedAnswer('the answer is not JSON')
    const keyEnd = endOfString(bytes, at, to)
    if (keyEnd < 0) return -1
    const isItems = bytes.toString('latin1', at, keyEnd) === '"items"'
    at = skipSpace(bytes, keyEnd, to)
    if (at >= to) return -1
    if (bytes[at] !== COLON) throw new MalformedAnswer('the answer is not JSON')
    at = skipSpace(bytes, at + 1, to)
    if (at >= to) return -1
    const first = bytes[at]
    if (isItems && first === OPEN_BRACKET) return at + 1
    if (first === OPEN_BRACKET || first === OPEN_BRACE) {
      scanner.reset()
      at = scanner.scan(bytes, at, to)
    } else if (first === QUOTE) at = endOfString(bytes, at, to)
    else while (at < to && bytes[at] !== COMMA && bytes[at] !== CLOSE_BRACE) at++
    if (at < 0 || at >= to) return -1
  }
}

/** The index behind the closing quote of the string that opens at `from`; -1 where it goes on. */
function endOfString(bytes: Buffer, from: number, to: number): number {
  for (let i = from + 1; i < to; i++) {
    const byte = bytes[i]
    if (byte === 0x5c) i++
    else if (byte === QUOTE) return i + 1
  }
  return -1
}
