/**
 * The connections that stay open – WebSockets and event streams – as far as they are alike: each is
 * looked after once per interval, and all are asked to leave, a few at a time, when the server drains, so
 * that not everyone comes back in the same moment.
 *
 * The looking after is spread over the interval, and there is one timer for all: none while nothing is
 * open.
 */
import type { Socket } from 'node:net'
import type { Clock } from '../fleet/clock.ts'

export interface OpenStream {
  /** Once per interval: ask for a sign of life, or end what has given none. */
  beat(): void
  /** The server drains: say so, and end. */
  goAway(): void
  /** End now. */
  terminate(): void
}

/** Beats in a row at which a client may have read nothing of what waits for it. */
const STALLED_BEATS = 10

/** Notices a client that does not read; one that reads slowly goes on. */
export class Stall {
  #beats = 0
  #sent = -1

  /** Once per beat, with the bytes that wait: whether none have gone out for too long. */
  isOver(waiting: number, socket: Pick<Socket, 'bytesWritten'> | null): boolean {
    // It counts what was written to it; what has gone out is what does not wait any more.
    const sent = (socket?.bytesWritten ?? 0) - waiting
    this.#beats = waiting > 0 && sent === this.#sent ? this.#beats + 1 : 0
    this.#sent = sent
    return this.#beats >= STALLED_BEATS
  }
}

const SLOTS = 60
const STEP_MS = 50
/** So many at a time do no harm to whoever they come back to. */
const FEW = 50

export class OpenStreams {
  readonly #clock: Clock
  readonly #intervalMs: number
  readonly #slots: readonly Set<OpenStream>[] = Array.from({ length: SLOTS }, () => new Set<OpenStream>())
  #size = 0
  #added = 0
  #slot = 0
  #cancelBeat: (() => void) | undefined
  #cancelStep: (() => void) | undefined

  /** True from `drain` on: nothing may be added any more. */
  draining = false

  constructor(clock: Clock, intervalMs: number) {
    this.#clock = clock
    this.#intervalMs = intervalMs
  }

  /** Until the function that it gives is called. */
  add(stream: OpenStream): () => void {
    const slot = this.#slots[this.#added++ % SLOTS]
    slot?.add(stream)
    if (++this.#size === 1) this.#schedule()
    return () => {
      if (!slot?.delete(stream)) return
      if (--this.#size > 0) return
      this.#cancelBeat?.()
      this.#cancelStep?.()
    }
  }

  /** Asks all to go away, spread over this time. */
  drain(overMs: number): void {
    if (this.draining) return
    this.draining = true
    const left = this.#slots.flatMap((slot) => [...slot])
    const share = Math.max(FEW, Math.ceil(left.length / Math.max(1, Math.floor(overMs / STEP_MS))))
    const step = () => {
      for (const stream of left.splice(0, share)) stream.goAway()
      if (left.length > 0 && this.#size > 0) this.#cancelStep = this.#clock.after(STEP_MS, step)
    }
    step()
  }

  /** Ends all that are left. */
  terminate(): void {
    for (const slot of this.#slots) for (const stream of slot) stream.terminate()
  }

  #schedule(): void {
    this.#cancelBeat = this.#clock.after(this.#intervalMs / SLOTS, () => {
      this.#slot = (this.#slot + 1) % SLOTS
      for (const stream of this.#slots[this.#slot] ?? []) stream.beat()
      if (this.#size > 0) this.#schedule()
    })
  }
}
