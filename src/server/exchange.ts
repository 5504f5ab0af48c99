/**
 * One GraphQL request on its way through the server: who asks, and what ends its live reads. An answer
 * from memory needs none of the latter, so the signal, the timer and the listener are only made for
 * requests that wait.
 */
import type { EventEmitter } from 'node:events'
import type { GraphQLError } from 'graphql'
import {
  AuthenticationError,
  type Credentials,
  type SignIns,
} from '../access/authentication/authenticator.ts'
import type { Viewer } from '../access/viewer.ts'
import type { Clock } from '../fleet/clock.ts'
import { RequestAborted } from './answer-errors.ts'
import type { Asker, ExecutionContext } from './execution.ts'
import type { Place, Quotas } from './quotas.ts'
import type { Caller } from './request.ts'

/** Who sent a request, and what executing it needs: the server's view of access control. */
export interface Access extends SignIns {
  /**
   * A GraphQL context for one request, or for a subscription's source: that one outlives renewals of the
   * sign-in, so it is given who it is by now. `signal` ends its live reads.
   */
  contextFor(viewer: Viewer | (() => Viewer), signal: AbortSignal): ExecutionContext
  /**
   * Why a request with these credentials would not be executed now, as far as that is known at once and whatever
   * it asks: it can be refused before it is read.
   */
  refusal?(credentials: Credentials): GraphQLError | undefined
  /** A request with these was refused for what it is, before anybody was asked whose they are. */
  refused?(credentials: Credentials): void
  /** A viewer has renewed the sign-in and has other rights now: open streams are seen with other eyes. */
  eyesChanged?(): void
}

/**
 * After this many milliseconds at the latest open streams are seen with other eyes. That they are costs all who
 * follow anything, who may be many, and whoever holds two tokens can renew the one by the other without end.
 */
const EYES_MS = 250

/** Calls at once, but not sooner than `ms` after the last time: then once for all that asked meanwhile. */
function atMostEvery(ms: number, clock: Clock, call: () => void): () => void {
  let next = -Infinity
  let isDue = false
  const callNow = () => {
    isDue = false
    next = clock.now() + ms
    call()
  }
  return () => {
    if (isDue) return
    const wait = next - clock.now()
    if (wait <= 0) callNow()
    else {
      isDue = true
      clock.after(Math.min(ms, wait), callNow)
    }
  }
}

/** The same, but whoever cannot say in time whose credentials these are is UNAVAILABLE. */
export function inTime(access: Access, clock: Clock, timeoutMs: number): Access {
  return {
    authenticate(credentials) {
      const viewer = access.authenticate(credentials)
      if (!('then' in viewer)) return viewer
      return new Promise((resolve, reject) => {
        const cancel = clock.after(timeoutMs, () =>
          reject(
            new AuthenticationError('UNAVAILABLE', 'It took too long to find out who you are. Try again.'),
          ),
        )
        viewer.then(resolve, reject).finally(cancel)
      })
    },
    ...(access.known && { known: (credentials) => access.known!(credentials) }),
    onEnd: (viewer, listener) => access.onEnd(viewer, listener),
    contextFor: (viewer, signal) => access.contextFor(viewer, signal),
    eyesChanged: atMostEvery(EYES_MS, clock, () => access.eyesChanged?.()),
    ...(access.handleLogout && { handleLogout: (body) => access.handleLogout!(body) }),
  }
}

export class Exchange implements Asker {
  #viewer: Viewer | (() => Viewer)
  readonly #access: Access
  #controller: AbortController | undefined

  /** Of a connection that stays open: `viewer` gives who it is by now. */
  constructor(viewer: Viewer | (() => Viewer), access: Access) {
    this.#viewer = viewer
    this.#access = access
  }

  get viewer(): Viewer {
    return typeof this.#viewer === 'function' ? this.#viewer() : this.#viewer
  }

  /** From now on it is who it is now: what is asked once is answered by the rights of one Viewer. */
  pin(): void {
    this.#viewer = this.viewer
  }

  context(): ExecutionContext {
    return this.#access.contextFor(this.#viewer, this.signal)
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    return this.#controller.signal
  }

  sharedContext(): ExecutionContext {
    return this.#access.contextFor(this.viewer, NEVER)
  }

  abort(reason: RequestAborted): void {
    this.#controller?.abort(reason)
  }
}

/** Of what is not read live, and so has nothing to be ended. */
const NEVER = new AbortController().signal

/** For an answer to be put together once its live reads were ended. */
const LAST_WORD_MS = 1_000

/**
 * The exchanges that wait for a live read: each has a deadline, and ends when its client is gone; one user
 * has only so many of them.
 */
export class Waiting {
  readonly #exchanges = new Set<Exchange>()
  readonly #clock: Clock
  readonly #timeoutMs: number
  readonly #quotas: Quotas

  constructor(clock: Clock, timeoutMs: number, quotas: Quotas) {
    this.#clock = clock
    this.#timeoutMs = timeoutMs
    this.#quotas = quotas
  }

  /**
   * Takes a place among the requests of its user that wait; `until` does it for what has begun. Throws
   * LIMIT_EXCEEDED. For what must not begin where there is none: a mutation.
   */
  place(exchange: Exchange, caller?: Caller): Place {
    return this.#quotas.take(exchange.viewer, 'requestsPerUser', caller)
  }

  /**
   * `within`, for a request. Rejects with LIMIT_EXCEEDED where too many of this user wait already: its live
   * reads end then. `place`: one that was taken for it; it is freed.
   */
  async until<T>(
    work: Promise<T>,
    exchange: Exchange,
    {
      client,
      caller,
      place,
    }: {
      readonly client?: Pick<EventEmitter, 'once' | 'off'>
      readonly caller?: Caller | undefined
      readonly place?: Place | undefined
    },
  ): Promise<T> {
    let own = place
    try {
      own ??= this.place(exchange, caller)
      return await this.within(work, exchange, client)
    } catch (error) {
      if (!own) {
        exchange.abort(new RequestAborted('CLIENT_CLOSED', 'The request was refused.'))
        work.catch(() => undefined)
      }
      throw error
    } finally {
      own?.free()
    }
  }

  /**
   * Watches over the exchange until `work` settles; the result is the same as that of `work`. When `client`
   * closes the live reads end (who leaves it out sees to that). At the
   * deadline only the live reads end: the answer then says of each that it failed, and has the rest.
   * Rejects where that does not happen within `LAST_WORD_MS`.
   */
  async within<T>(
    work: Promise<T>,
    exchange: Exchange,
    client?: Pick<EventEmitter, 'once' | 'off'>,
  ): Promise<T> {
    const seconds = this.#timeoutMs / 1000
    const late = new RequestAborted(
      'TIMEOUT',
      `The request took longer than ${seconds} s. Ask for less that has to be read from the clusters.`,
    )
    const gone = () => exchange.abort(new RequestAborted('CLIENT_CLOSED', 'The client has gone.'))
    client?.once('close', gone)
    this.#exchanges.add(exchange)
    let cancel = () => {}
    const deadline = new Promise<never>((_resolve, reject) => {
      cancel = this.#clock.after(this.#timeoutMs, () => {
        exchange.abort(late)
        cancel = this.#clock.after(LAST_WORD_MS, () => reject(late))
      })
    })
    try {
      return await Promise.race([work, deadline])
    } finally {
      cancel()
      client?.off('close', gone)
      this.#exchanges.delete(exchange)
    }
  }

  /** Ends all of them; each is still answered. */
  abort(): void {
    const reason = new RequestAborted('SHUTTING_DOWN', 'The server is shutting down. Ask again.')
    for (const exchange of this.#exchanges) exchange.abort(reason)
  }
}
