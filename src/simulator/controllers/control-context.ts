/**
 * What every controller of one simulated cluster is handed: the registry, scaled time, seeded chance and
 * the event recorder; and what every controller is: a name, the commits that concern it, and a `sync`.
 *
 * Invariant: a controller never writes from within a commit listener, only from `sync` or from work that
 * the clock runs; so listeners see commits in order. `sync` is level-triggered: it reads the state as it
 * is and does not know which change woke it.
 */
import type { Commit, Registry, Timeline } from '../registry.ts'
import type { EventRecorder } from './event-recorder.ts'

export interface ControlClock {
  /** Epoch milliseconds of the cluster's clock. */
  now(): number
  /** RFC 3339 in seconds, as `metav1.Time` is written. */
  stamp(): string
  /** RFC 3339 in microseconds, as `metav1.MicroTime` is written (leases). */
  microStamp(): string
  /** Runs `work` after so many of the cluster's seconds: real seconds divided by `speed`. */
  after(seconds: number, work: () => void): () => void
  /** Of the cluster's seconds that remain until `seconds` have passed since `stamp`; ≤ 0 when they have. */
  remaining(stamp: string, seconds: number): number
  /** Of the cluster's seconds that have passed since `epochMs`. */
  since(epochMs: number): number
  /** Of the cluster's seconds until its clock reads `epochMs`: for times of the wall (schedules). */
  until(epochMs: number): number
}

export interface ControlContext {
  readonly registry: Registry
  readonly clock: ControlClock
  /** Deterministic for a seed: [0, 1). */
  readonly random: () => number
  readonly events: EventRecorder
}

/**
 * Puts a key into the controller's queue, now or after so many of the cluster's seconds. Of several delays
 * for one key the soonest counts: the sync that it brings asks again for what is still to come.
 */
export type Enqueue = (key: string, afterSeconds?: number) => void

export interface Controller {
  readonly name: string
  /** Resource names (`pods`) whose commits `observe` wants to hear; `*` for all. */
  readonly watches: readonly string[]
  /** Says through `enqueue` which keys a commit concerns. Must be cheap and must not write. */
  observe(commit: Commit, enqueue: Enqueue): void
  /** Brings the object of that key one step nearer to what its spec says. */
  sync(key: string): void
  /** What has to be looked at when the controllers start over a populated registry. */
  start(enqueue: Enqueue): void
  close?(): void
}

/** `metav1.Time` of an instant. */
export function stampOf(epochMs: number): string {
  return `${new Date(epochMs).toISOString().slice(0, 19)}Z`
}

/** How much faster than the cluster's own seconds the timeline runs its work: `speed` 50 makes 10 s 200 ms. */
export function scaledClock(timeline: Timeline, speed: number): ControlClock {
  return {
    now: () => timeline.now(),
    stamp: () => stampOf(timeline.now()),
    microStamp: () => `${new Date(timeline.now()).toISOString().slice(0, -1)}000Z`,
    after: (seconds, work) => timeline.after((seconds * 1000) / speed, work),
    remaining: (stamp, seconds) => seconds - ((timeline.now() - Date.parse(stamp)) / 1000) * speed,
    since: (epochMs) => ((timeline.now() - epochMs) / 1000) * speed,
    until: (epochMs) => ((epochMs - timeline.now()) / 1000) * speed,
  }
}

/** mulberry32: small, fast and good enough for jitter; the same seed gives the same cluster. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}
