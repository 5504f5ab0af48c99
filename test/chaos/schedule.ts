/**
 * What goes wrong, in which order and for how long: decided by the seed alone, so that a run can be
 * repeated. It knows how long faults last, and nothing of how they are done.
 */

export const FAULTS = [
  'client-replica',
  'owner',
  'redis-restart',
  'redis-freeze',
  'api-server',
  'compaction',
] as const
export type Fault = (typeof FAULTS)[number]

export interface Step {
  readonly fault: Fault
  /** Which client or cluster it hits: taken modulo how many there are. */
  readonly target: number
  /** How long what was killed or frozen stays so. */
  readonly downMs: number
  /** Until the next step. */
  readonly restMs: number
}

export interface Durations {
  /** Of each pause between two faults, and of each outage: from, to. */
  readonly restMs: readonly [number, number]
  readonly downMs: readonly [number, number]
  readonly freezeMs: number
}

/** Endless rounds: in each every fault once, in another order. */
export function* schedule(seed: number, { restMs, downMs, freezeMs }: Durations): Generator<Step, never> {
  const random = seeded(seed)
  const between = ([from, to]: readonly [number, number]): number => Math.round(from + random() * (to - from))
  for (;;) {
    const round: Fault[] = [...FAULTS]
    for (let left = round.length; left > 0; left -= 1) {
      const [fault] = round.splice(Math.floor(random() * left), 1)
      yield {
        fault: fault!,
        target: Math.floor(random() * 1024),
        downMs: fault === 'redis-freeze' ? freezeMs : between(downMs),
        restMs: between(restMs),
      }
    }
  }
}

/** Cuts of clients' connections go on beside everything else: which client, and how long until the next. */
export function* cuts(
  seed: number,
  everyMs: readonly [number, number],
): Generator<{ readonly client: number; readonly restMs: number }, never> {
  const random = seeded(seed ^ 0x5eed)
  for (;;) {
    yield {
      client: Math.floor(random() * 1024),
      restMs: Math.round(everyMs[0] + random() * (everyMs[1] - everyMs[0])),
    }
  }
}

/** mulberry32. */
function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}
