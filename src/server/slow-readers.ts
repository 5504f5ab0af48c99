/**
 * Answers that wait for a client to read them: each has a time that grows with its length, and then its
 * connection ends. Without it, whoever asks for large answers and reads none of them fills our memory.
 *
 * Deliberately knows nothing of streams, which have bounds of their own (`open-streams.ts`).
 */
import type { ServerResponse } from 'node:http'
import type { Clock } from '../fleet/clock.ts'

/** Time that any answer has, and how fast it has to be read beyond that. */
const GRACE_MS = 20_000
const BYTES_PER_MS = 16

/** A shorter answer costs less than the connection that it waits in; that one ends when it stands still. */
const LARGE = 128 * 1024

export class SlowReaders {
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Called once its body of so many bytes was written; most of them have gone out by then. */
  watch(response: ServerResponse, bytes: number): void {
    if (bytes < LARGE) return
    const waiting = response.socket ? response.socket.writableLength : bytes
    if (waiting === 0 || response.writableFinished) return
    const cancel = this.#clock.after(GRACE_MS + bytes / BYTES_PER_MS, () => {
      // One that waits behind another has no socket of its own yet.
      ;(response.socket ?? response.req.socket).destroy()
    })
    response.once('close', cancel)
  }
}
