/**
 * A hub that follows nothing: tests say what happened, and it tells its followers in groups, as the real
 * one does – rendered once for a key and its eyes, the same payloads for all, and nothing to a sink that is not ready.
 *
 * What it does not do: queues, snapshots, positions. What a sink misses while it is not ready is counted,
 * and told by one RESYNC when it is ready again.
 */
import type {
  Eyes,
  Join,
  LiveEvent,
  LiveHub,
  LiveRequest,
  LiveStart,
  Membership,
  Payload,
} from '../../src/events/live.ts'
import { PositionError } from '../../src/events/position.ts'

export interface FakeFollower extends Join {
  /** Events that did not reach it. */
  missed: number
}

export class FakeHub implements LiveHub {
  readonly followers = new Set<FakeFollower>()
  /** Every join ever. */
  readonly joins: Join[] = []
  /** Calls of `Render`. */
  renders = 0
  /** Streams that are iterated. */
  iterating = 0
  readonly #waiters = new Set<() => void>()
  readonly #iterated: LiveEvent[] = []

  join(join: Join): Membership {
    if (join.start.after === 'bad') throw new PositionError()
    const follower: FakeFollower = { ...join, missed: 0 }
    this.followers.add(follower)
    this.joins.push(join)
    return {
      leave: () => {
        this.followers.delete(follower)
        follower.sink.onReady = undefined
      },
    }
  }

  /** Tells everyone at once; gives how many were told. */
  tell(...events: readonly LiveEvent[]): number {
    let told = 0
    for (const [, group] of Map.groupBy(this.followers, ({ key, eyes }) => `${key}\n${eyes.key}`)) {
      let payloads: readonly Payload[] | undefined
      for (const follower of group) {
        if (!this.followers.has(follower)) continue
        if (!follower.sink.ready) {
          follower.missed += events.length
          follower.sink.onReady = () => this.#resync(follower)
          continue
        }
        if (!payloads) this.renders++
        follower.sink.write((payloads ??= group[0]!.render(events)))
        told++
      }
    }
    this.#iterated.push(...events)
    for (const wake of this.#waiters) wake()
    return told
  }

  async *iterate(_request: LiveRequest, _eyes: Eyes, _start: LiveStart, signal?: AbortSignal) {
    this.iterating++
    let next = this.#iterated.length
    try {
      for (;;) {
        if (signal?.aborted) return
        while (next < this.#iterated.length) yield this.#iterated[next++]!
        let wake = () => {}
        await new Promise<void>((resolve) => {
          wake = resolve
          this.#waiters.add(wake)
          signal?.addEventListener('abort', wake, { once: true })
        })
        this.#waiters.delete(wake)
      }
    } finally {
      this.iterating--
    }
  }

  #resync(follower: FakeFollower): void {
    follower.sink.onReady = undefined
    follower.sink.write(follower.render([event({ type: 'RESYNC', message: `${follower.missed} missed` })]))
  }
}

/** An event with nothing but what is given; `object` may be any value that the schema of the test shows. */
export function event(
  parts: Partial<Omit<LiveEvent, 'object' | 'previous'>> & { object?: unknown; previous?: unknown },
): LiveEvent {
  return {
    type: 'MODIFIED',
    object: null,
    previous: null,
    deletedReason: null,
    cluster: null,
    message: null,
    cursor: null,
    ...(parts as Partial<LiveEvent>),
  }
}
