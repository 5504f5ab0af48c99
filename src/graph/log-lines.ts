/**
 * Lines of a container's log out of the bytes of its stream, each with the time that the kubelet put in
 * front of it. A line longer than the bound is cut: what a container writes must not fill the memory.
 */

/** Bytes of a line that are kept. */
export const MAX_LINE_BYTES = 16 * 1024

/** For the time in front of it. */
const TIME_BYTES = 40

export interface LogLine {
  readonly text: string
  readonly truncated: boolean
  /** As the kubelet wrote it: RFC 3339 with up to nine digits of a second; `null` where there is none. */
  readonly time: string | null
}

const TIMED = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)) ?/

export class LineReader {
  readonly #onLine: (line: LogLine) => void
  #parts: Buffer[] = []
  #length = 0
  #cut = false

  constructor(onLine: (line: LogLine) => void) {
    this.#onLine = onLine
  }

  /** The chunk is not kept. */
  write(chunk: Buffer): void {
    let start = 0
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      this.#keep(chunk.subarray(start, end))
      this.#flush()
      start = end + 1
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start))
  }

  /** What stands after the last line break is a line too. */
  end(): void {
    if (this.#length > 0) this.#flush()
  }

  #keep(bytes: Buffer): void {
    const room = MAX_LINE_BYTES + TIME_BYTES - this.#length
    if (bytes.length > room) this.#cut = true
    const kept = bytes.subarray(0, room)
    if (kept.length === 0) return
    this.#parts.push(Buffer.from(kept))
    this.#length += kept.length
  }

  #flush(): void {
    const bytes = Buffer.concat(this.#parts, this.#length)
    const cut = this.#cut
    this.#parts = []
    this.#length = 0
    this.#cut = false
    this.#onLine(lineOf(bytes.toString('utf8'), cut))
  }
}

function lineOf(bytes: string, cut: boolean): LogLine {
  const time = TIMED.exec(bytes)
  const text = time ? bytes.slice(time[0].length) : bytes
  // A cut can go through a character.
  return { text: cut ? text.replace(/\uFFFD+$/, '') : text, truncated: cut, time: time?.[1] ?? null }
}

/** Milliseconds since 1970, and nanoseconds beyond them: a `Date` alone would take lines for one. */
export function compareTimes(a: string, b: string): number {
  const difference = Date.parse(a) - Date.parse(b)
  if (difference !== 0) return difference
  const fraction = (time: string) => /\.(\d+)/.exec(time)?.[1]?.padEnd(9, '0') ?? '000000000'
  return fraction(a) < fraction(b) ? -1 : Number(fraction(a) > fraction(b))
}
