/**
 * Positions: up to where somebody knows the fleet, as one short text that every replica understands, also
 * after a restart. It holds the resourceVersion of each table concerned, with which rights they were seen, and
 * nothing of any process.
 *
 * A client gets it as `cursor` and gives it back as `after`. It is opaque to them.
 *
 * Format: base64url of a version byte; the number of kinds and, for each, its name after its length and six bytes
 * for its rights; then for each cluster six bytes of its name's SHA-256 and, for each kind, an unsigned LEB128
 * number: 0 where nothing of the table is known, 1 where its version is none that can be compared, else the
 * version plus 1.
 *
 * The rights of a kind are the seals (`seal.ts`) of those of its tables that the position knows, put together so
 * that their order does not matter. A cluster that joined since is not one of them, and changes nothing.
 */
import { hash } from 'node:crypto'
import type { Kind } from '../kubernetes/rows.ts'
import { NO_SEAL, type Seal, together } from './seal.ts'

const FORMAT = 2
/** It said nothing of rights: nobody can go on from it. */
const FORMAT_WITHOUT_RIGHTS = 1
const HASH_BYTES = 6
const HASH_CHARS = 2 * HASH_BYTES
const RIGHTS_BYTES = 6
const LIMIT = 2n ** 63n
const DECIMAL = /^[1-9][0-9]{0,18}$/
const KIND_NAME = /^[A-Za-z]{1,63}$/
/** A fleet of 2,000 clusters and all kinds has less than half of it. */
const MAX_LENGTH = 1 << 20

export class PositionError extends Error {
  override readonly name = 'PositionError'
  readonly code = 'INVALID_CURSOR'

  constructor() {
    super(
      'This is not a cursor of changes. Use the `cursor` of an event or of a list unchanged, or leave `after` out and take a snapshot.',
    )
  }
}

/** Of a cluster: one version per kind, in the kinds' order; nothing where nothing of that table is known. */
export type ClusterVersions = readonly (string | null | undefined)[]

/** Of a cluster: each of its tables, in the kinds' order, with its seal. */
type ClusterSeals = readonly ({ readonly seal: Seal } | undefined)[]

export function encodePosition(
  kinds: readonly Kind[],
  clusters: Iterable<readonly [cluster: string, versions: ClusterVersions, seals?: ClusterSeals]>,
): string {
  const writer = new Writer()
  writer.byte(FORMAT)
  writer.byte(kinds.length)
  const places: number[] = []
  for (const kind of kinds) {
    writer.byte(kind.length)
    writer.text(kind, 'latin1')
    places.push(writer.room(RIGHTS_BYTES))
  }
  // In place: there are as many as there are clusters, for each event.
  const firsts = new Int32Array(kinds.length)
  const seconds = new Int32Array(kinds.length)
  for (const [cluster, versions, seals] of clusters) {
    writer.text(hashOf(cluster), 'hex')
    for (let i = 0; i < kinds.length; i++) {
      const version = versions[i] ?? null
      writer.version(version)
      const seal = version === null ? undefined : seals?.[i]?.seal
      if (!seal) continue
      firsts[i]! ^= seal[0]
      seconds[i]! ^= seal[1]
    }
  }
  places.forEach((place, i) => writer.seal(place, [firsts[i]!, seconds[i]!]))
  return writer.toString()
}

/** A decoded position. It knows clusters by their hashes only. */
export class Position {
  readonly #kinds: readonly string[]
  readonly #clusters: ReadonlyMap<string, readonly bigint[]>
  /** Of each kind; nothing in an old format. */
  readonly #rights: readonly Seal[]

  constructor(
    kinds: readonly string[],
    clusters: ReadonlyMap<string, readonly bigint[]>,
    rights: readonly Seal[],
  ) {
    this.#kinds = kinds
    this.#clusters = clusters
    this.#rights = rights
  }

  /** Names of kinds; another version of the gateway may have made it, and know others. */
  get kinds(): readonly string[] {
    return this.#kinds
  }

  /** `undefined`: nothing of this table is known. `null`: something is, but its version cannot be compared. */
  versionOf(cluster: string, kind: Kind): string | null | undefined {
    const version = this.#clusters.get(hashOf(cluster))?.[this.#kinds.indexOf(kind)]
    if (version === undefined || version === 0n) return undefined
    return version === 1n ? null : String(version - 1n)
  }

  /**
   * Whether what it knows of these kinds was seen with the rights that `sealOf` says. Asked of the clusters that
   * are named; what it knows of others `knowsOthers` tells.
   */
  isSealedBy(
    clusters: Iterable<string>,
    kinds: readonly Kind[],
    sealOf: (cluster: string, kind: Kind) => Seal | undefined,
  ): boolean {
    const names = Array.from(clusters)
    return kinds.every((kind) => {
      const i = this.#kinds.indexOf(kind)
      if (i < 0) return true
      const sealed = this.#rights[i]
      if (!sealed) return false
      const now = names
        .filter((cluster) => this.versionOf(cluster, kind) !== undefined)
        .reduce((seal, cluster) => together(seal, sealOf(cluster, kind) ?? NO_SEAL), NO_SEAL)
      return now[0] === sealed[0] && now[1] === sealed[1]
    })
  }

  /** Whether anything of these kinds is known of a cluster that is none of those named. */
  knowsOthers(clusters: Iterable<string>, kinds: readonly Kind[]): boolean {
    const named = new Set(Array.from(clusters, hashOf))
    for (const [hash, versions] of this.#clusters) {
      if (named.has(hash)) continue
      if (versions.some((version, i) => version > 0n && kinds.includes(this.#kinds[i] as Kind))) return true
    }
    return false
  }
}

/** Throws `PositionError` for whatever `encodePosition` did not make. */
export function decodePosition(text: string): Position {
  if (text.length > MAX_LENGTH) throw new PositionError()
  const bytes = Buffer.from(text, 'base64url')
  // Node skips over whatever is no base64url.
  if (bytes.toString('base64url') !== text) throw new PositionError()
  const reader = new Reader(bytes)
  const format = reader.byte()
  if (format !== FORMAT && format !== FORMAT_WITHOUT_RIGHTS) throw new PositionError()
  const kinds: string[] = []
  const rights: Seal[] = []
  for (let count = reader.byte(); count > 0; count--) {
    const kind = reader.take(reader.byte()).toString('latin1')
    if (!KIND_NAME.test(kind) || kinds.includes(kind)) throw new PositionError()
    kinds.push(kind)
    if (format === FORMAT) rights.push(reader.seal())
  }
  const clusters = new Map<string, readonly bigint[]>()
  while (!reader.done) {
    const hash = reader.take(HASH_BYTES).toString('hex')
    if (clusters.has(hash)) throw new PositionError()
    clusters.set(
      hash,
      kinds.map(() => reader.number()),
    )
  }
  return new Position(kinds, clusters, rights)
}

class Reader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get done(): boolean {
    return this.#at === this.#bytes.length
  }

  byte(): number {
    const byte = this.#bytes[this.#at++]
    if (byte === undefined) throw new PositionError()
    return byte
  }

  take(length: number): Buffer {
    const start = this.#at
    this.#at += length
    if (this.#at > this.#bytes.length) throw new PositionError()
    return this.#bytes.subarray(start, this.#at)
  }

  seal(): Seal {
    const bytes = this.take(RIGHTS_BYTES)
    return [bytes.readInt32BE(0), bytes.readUInt16BE(4)]
  }

  number(): bigint {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.byte()
      value |= BigInt(byte & 0x7f) << shift
      if (value > LIMIT) throw new PositionError()
      if (byte < 0x80) {
        // One way to write each number: a last group of zeros is not it.
        if (byte === 0 && shift > 0n) throw new PositionError()
        return value
      }
      if (shift > 63n) throw new PositionError()
    }
  }
}

/** There is one for each event: an array of bytes would take five times as long. */
class Writer {
  #bytes = Buffer.allocUnsafe(1_024)
  #at = 0

  byte(byte: number): void {
    this.#reserve(1)
    this.#bytes[this.#at++] = byte
  }

  text(text: string, encoding: 'latin1' | 'hex'): void {
    this.#reserve(text.length)
    this.#at += this.#bytes.write(text, this.#at, encoding)
  }

  /** Leaves room for so many bytes, and returns where. */
  room(length: number): number {
    this.#reserve(length)
    this.#at += length
    return this.#at - length
  }

  seal(place: number, [first, second]: Seal): void {
    this.#bytes.writeInt32BE(first, place)
    this.#bytes.writeUInt16BE(second, place + 4)
  }

  version(version: string | null): void {
    if (version === null) this.byte(0)
    else if (!DECIMAL.test(version)) this.byte(1)
    // Most are small enough for a number, which is ten times as fast.
    else if (version.length < 16) {
      let rest = Number(version) + 1
      for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) this.byte((rest % 0x80) | 0x80)
      this.byte(rest)
    } else {
      const number = BigInt(version)
      let rest = number < LIMIT ? number + 1n : 1n
      for (; rest >= 0x80n; rest >>= 7n) this.byte(Number(rest & 0x7fn) | 0x80)
      this.byte(Number(rest))
    }
  }

  toString(): string {
    return this.#bytes.toString('base64url', 0, this.#at)
  }

  #reserve(length: number): void {
    if (this.#at + length <= this.#bytes.length) return
    const larger = Buffer.allocUnsafe(2 * (this.#bytes.length + length))
    larger.set(this.#bytes)
    this.#bytes = larger
  }
}

/** Hexadecimal. A fleet has some names that are asked for again and again. */
const hashes = new Map<string, string>()

function hashOf(cluster: string): string {
  let known = hashes.get(cluster)
  if (known === undefined) {
    known = hash('sha256', cluster).slice(0, HASH_CHARS)
    if (hashes.size >= 10_000) hashes.clear()
    hashes.set(cluster, known)
  }
  return known
}
