/**
 * A follower: one sink, whose eyes see what it is sent, and its place in the log of the group that it is in. Its
 * group changes with its rights; whoever holds the membership is not told.
 */
import type { Entry } from './entry.ts'
import type { Group } from './group.ts'
import type { Eyes, Membership, Render, Sink } from './live.ts'

/** Whoever joins a group. */
export interface Joiner<P> {
  readonly eyes: Eyes
  readonly render: Render<P>
  readonly sink: Sink<P>
}

/** Something that a follower goes through before it reads the log: a snapshot, what it missed. */
export interface Prelude {
  /** Tells what it can while the follower's sink is ready, until `spent()`; returns whether it could go on. */
  pump(spent: () => boolean): boolean
  close(): void
}

export class Follower<P> implements Membership {
  readonly eyes: Eyes
  readonly render: Render<P>
  readonly sink: Sink<P>
  group: Group<P>
  /** The last entry of the log that it has had; nothing while there is a prelude. */
  at: Entry<P> | undefined
  /** What its sink gave back: it comes before all others. */
  recalled: readonly P[] | undefined
  /** Entries before those of the log, and how many of them it has had. */
  backlog: readonly Entry<P>[] | undefined
  done = 0
  prelude: Prelude | undefined
  left = false
  #wake: (() => void) | undefined

  constructor({ eyes, render, sink }: Joiner<P>, group: Group<P>) {
    this.eyes = eyes
    this.render = render
    this.sink = sink
    this.group = group
  }

  leave(): void {
    if (this.left) return
    this.left = true
    if (this.#wake) this.sink.onReady = undefined
    this.prelude?.close()
    this.prelude = undefined
    this.at = undefined
    this.recalled = undefined
    this.backlog = undefined
    this.group.remove(this)
  }

  /** Has the group go on with it when its sink is ready. */
  awaitReady(): void {
    this.#wake ??= () => {
      if (!this.left) this.group.wake(this)
    }
    this.sink.onReady = this.#wake
  }
}
