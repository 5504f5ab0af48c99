/**
 * Somebody who is connected: who it is by now, and a place among the connections of that user. The
 * sign-in may be renewed, by the same user; when it ends, the connection does.
 *
 * Deliberately knows nothing of sockets.
 */
import { identityOf, type SignInEnd, type Viewer } from '../access/viewer.ts'
import type { Access } from './exchange.ts'
import type { Pace, Place, Quotas } from './quotas.ts'
import { NO_DOCUMENT, type Records } from './records.ts'
import type { Caller } from './request.ts'

export interface PresenceSetup {
  readonly access: Access
  readonly quotas: Quotas
  /** See `Policy.rightsKey`. */
  readonly rightsKey: (viewer: Viewer) => string
  /** Default: nothing is recorded. */
  readonly records?: Records | undefined
}

export class Presence {
  readonly #setup: PresenceSetup
  readonly #onEnd: (end: SignInEnd) => void
  readonly #place: Place
  #viewer: Viewer
  #unlisten: () => void

  /** Throws LIMIT_EXCEEDED. `onEnd` is called at most once, and not after `leave`. */
  constructor(viewer: Viewer, setup: PresenceSetup, onEnd: (end: SignInEnd) => void, caller?: Caller) {
    this.#setup = setup
    this.#onEnd = (end) => {
      const subject = { viewer: this.#viewer, caller, ...NO_DOCUMENT, startedAt: null }
      setup.records?.signInEnded(end.message, subject)
      onEnd(end)
    }
    this.#viewer = viewer
    this.#place = setup.quotas.take(viewer, 'connectionsPerUser', caller)
    try {
      this.#unlisten = setup.access.onEnd(viewer, this.#onEnd)
    } catch (error) {
      this.#place.free()
      throw error
    }
  }

  /** After `leave`: who it was. */
  readonly viewer = (): Viewer => this.#viewer

  /** Of all that this user sends. */
  get pace(): Pace | undefined {
    return this.#place.pace
  }

  /** Goes on as this viewer, with the rights of this one. Returns false, and does nothing, for another user. */
  renew(viewer: Viewer): boolean {
    if (viewer === this.#viewer) return true
    if (identityOf(viewer) !== identityOf(this.#viewer)) return false
    const { access, rightsKey } = this.#setup
    const hasOtherRights = rightsKey(viewer) !== rightsKey(this.#viewer)
    // Whatever throws, the end of one of them is listened to.
    const unlisten = access.onEnd(viewer, this.#onEnd)
    this.#unlisten()
    this.#unlisten = unlisten
    this.#viewer = viewer
    if (hasOtherRights) access.eyesChanged?.()
    return true
  }

  /** Idempotent. */
  leave(): void {
    this.#unlisten()
    this.#place.free()
  }
}
