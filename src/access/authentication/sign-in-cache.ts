/**
 * The sign-ins by bearer token that are known: one Viewer for one token for as long as it holds, however many
 * requests come with it.
 *
 * Invariants: what clients send fills nothing without a bound – good and bad tokens are kept apart, so that a
 * storm of bad ones pushes out no good one; tokens are kept as SHA-256; a token that is being checked is not
 * checked a second time at the same time. A sign-in that nobody listens to has no timer, and is asked after
 * only when a request comes with it. One that is listened to is asked after each second, once for all who
 * listen, and less often where more of them would cost whoever vouches more than `RECHECKS_PER_SECOND`; but
 * never less often than its answers hold. Where nobody answers it goes on, and ends when none has come for five
 * times as long as an answer holds.
 *
 * Deliberately absent: any notion of what a token is (see the authenticators).
 */
import { hash } from 'node:crypto'
import type { Clock } from '../../fleet/clock.ts'
import type { SignInEnd, Viewer } from '../viewer.ts'
import { AuthenticationError } from './authenticator.ts'
import type { Recheck, SignIn } from './sign-in.ts'

export interface SignInCacheOptions {
  readonly clock: Clock
  /** Of good tokens that nobody listens to, and of bad ones. Default 10,000. */
  readonly maxCount?: number
  /** How long a bad token is known to be bad, in milliseconds. Default 5,000. */
  readonly failureMs?: number
  /** How long nobody is asked again who did not answer, in milliseconds. Default 1,000. */
  readonly unavailableMs?: number
  /** Default `RECHECKS_PER_SECOND`. */
  readonly recheckedPerSecond?: number
}

type Listener = (end: SignInEnd) => void

interface Entry {
  readonly key: string
  readonly viewer: Viewer
  readonly listeners: Set<Listener>
  signIn: SignIn
  /** When whoever vouches said yes last. */
  confirmedAt: number
  /** Until then nobody needs to be asked. */
  goodUntil: number
  asking: Promise<Viewer> | undefined
  ended: SignInEnd | undefined
  cancelTimer: () => void
}

interface Failure {
  readonly error: AuthenticationError
  readonly at: number
  readonly until: number
}

/**
 * How often one reviewer, a cluster or an issuer, is asked in a second after those who have something open: of
 * fewer each is asked after once a second, of N of them once in N / 50 seconds. It is what this process asks.
 */
const RECHECKS_PER_SECOND = 50

/** The longest wait of one timer: setTimeout takes 2^31 ms at most. */
const LONGEST_WAIT_MS = 2 ** 30
/** So often an answer may be missing before a sign-in ends for it. */
const PATIENCE = 5
/** A token with a stream is asked after no more often, whatever is configured. */
const SHORTEST_RECHECK_MS = 1_000
/** Different tokens that are checked at a time: more than that is no sign-in any more. */
const MAX_CHECKS = 4_096

const EXPIRED: SignInEnd = { code: 'EXPIRED', message: 'The sign-in has expired. Sign in again.' }
const REVOKED: SignInEnd = { code: 'REVOKED', message: 'The sign-in was revoked. Sign in again.' }
const CHANGED: SignInEnd = {
  code: 'REVOKED',
  message: 'What is known of this user has changed. Connect again.',
}
const UNCONFIRMED: SignInEnd = {
  code: 'REVOKED',
  message: 'Whoever vouches for this sign-in does not answer. Sign in again later.',
}

export class SignInCache {
  readonly #clock: Clock
  readonly #maxCount: number
  readonly #failureMs: number
  readonly #unavailableMs: number
  readonly #recheckedPerSecond: number
  /** Without listeners, by the token's hash, least recently used first. */
  readonly #recent = new Map<string, Entry>()
  /** With listeners: bounded by the streams that are open. */
  readonly #held = new Map<string, Entry>()
  /** As `#held`, and those whose token has got another sign-in meanwhile. */
  readonly #listened = new Set<Entry>()
  /** How many of these each reviewer vouches for. */
  readonly #vouched = new Map<object, number>()
  readonly #failures = new Map<string, Failure>()
  readonly #checks = new Map<string, Promise<Viewer>>()
  readonly #entries = new WeakMap<Viewer, Entry>()
  #closed = false

  constructor(options: SignInCacheOptions) {
    this.#clock = options.clock
    this.#maxCount = options.maxCount ?? 10_000
    this.#failureMs = options.failureMs ?? 5_000
    this.#unavailableMs = options.unavailableMs ?? 1_000
    this.#recheckedPerSecond = options.recheckedPerSecond ?? RECHECKS_PER_SECOND
  }

  /**
   * The viewer of this token: the known one, or the one that `check` finds. Throws, or rejects with,
   * `AuthenticationError`; a promise only where somebody has to be asked.
   */
  viewer(token: string, check: () => SignIn | Promise<SignIn>): Viewer | Promise<Viewer> {
    const key = hash('sha256', token, 'base64url')
    const now = this.#clock.now()
    const entry = this.#held.get(key) ?? this.#recent.get(key)
    if (entry) {
      if (this.#recent.delete(key)) this.#recent.set(key, entry)
      mindClock(entry, now)
      return now < entry.goodUntil ? entry.viewer : this.#confirm(entry)
    }
    const failure = this.#failures.get(key)
    if (failure) {
      if (now < failure.until && now >= failure.at) throw failure.error
      this.#failures.delete(key)
    }
    return this.#checks.get(key) ?? this.#check(key, check)
  }

  /** See `SignIns.known`. */
  known(token: string): Viewer | undefined {
    const key = hash('sha256', token, 'base64url')
    return (this.#held.get(key) ?? this.#recent.get(key))?.viewer
  }

  /** See `SignIns.onEnd`. Viewers from elsewhere never end. */
  onEnd(viewer: Viewer, listener: Listener): () => void {
    const entry = this.#entries.get(viewer)
    if (!entry) return () => {}
    this.#endIfOver(entry)
    const { ended } = entry
    if (ended) {
      let left = false
      queueMicrotask(() => {
        if (!left) listener(ended)
      })
      return () => void (left = true)
    }
    const own: Listener = (end) => listener(end)
    if (entry.listeners.size === 0) this.#hold(entry)
    entry.listeners.add(own)
    return () => {
      if (!entry.listeners.delete(own) || entry.listeners.size > 0) return
      this.#release(entry)
    }
  }

  /** An authenticator has learnt something: ends what was revoked, and gives bad tokens another chance. */
  reconsider(): void {
    this.#failures.clear()
    for (const entry of [...this.#listened, ...this.#recent.values()]) this.#endIfOver(entry)
  }

  /** Ends all timers. Nobody is told of an end. */
  close(): void {
    this.#closed = true
    for (const entry of this.#listened) entry.cancelTimer()
    this.#listened.clear()
    this.#vouched.clear()
    this.#held.clear()
    this.#recent.clear()
    this.#failures.clear()
  }

  #check(key: string, check: () => SignIn | Promise<SignIn>): Viewer | Promise<Viewer> {
    if (this.#checks.size >= MAX_CHECKS) {
      throw new AuthenticationError('UNAVAILABLE', 'Too many sign in just now. Try again in a moment.')
    }
    let found: SignIn | Promise<SignIn>
    try {
      found = check()
      if (!(found instanceof Promise)) return this.#admit(key, found).viewer
    } catch (error) {
      throw this.#fail(key, error)
    }
    const checking = found.then(
      (signIn) => {
        this.#checks.delete(key)
        try {
          return this.#admit(key, signIn).viewer
        } catch (error) {
          throw this.#fail(key, error)
        }
      },
      (error: unknown) => {
        this.#checks.delete(key)
        throw this.#fail(key, error)
      },
    )
    this.#checks.set(key, checking)
    return checking
  }

  /** Remembers that the token is bad, for a moment. */
  #fail(key: string, cause: unknown): AuthenticationError {
    const error = asAuthenticationError(cause)
    const ms = error.code === 'UNAVAILABLE' ? this.#unavailableMs : this.#failureMs
    this.#failures.delete(key)
    const at = this.#clock.now()
    this.#failures.set(key, { error, at, until: at + ms })
    trim(this.#failures, this.#maxCount)
    return error
  }

  #admit(key: string, signIn: SignIn): Entry {
    const now = this.#clock.now()
    if (signIn.expiresAt !== null && signIn.expiresAt <= now) throw unauthenticated(EXPIRED)
    if (signIn.revoked?.()) throw unauthenticated(REVOKED)
    const { user, method, issuer, expiresAt, token, clusters, operations } = signIn
    const entry: Entry = {
      key,
      viewer: { user, method, issuer, expiresAt, token, clusters, operations },
      listeners: new Set(),
      signIn,
      confirmedAt: now,
      goodUntil: goodUntil(signIn, now),
      asking: undefined,
      ended: undefined,
      cancelTimer: () => {},
    }
    this.#entries.set(entry.viewer, entry)
    if (this.#closed) return entry
    this.#recent.set(key, entry)
    trim(this.#recent, this.#maxCount)
    return entry
  }

  /** Throws where its time is over; else asks whoever vouches, once for all who wait. */
  #confirm(entry: Entry): Promise<Viewer> {
    this.#endIfOver(entry)
    if (entry.ended) throw unauthenticated(entry.ended)
    const { recheck } = entry.signIn
    if (!recheck) return Promise.resolve(entry.viewer)
    entry.asking ??= this.#ask(entry, recheck).finally(() => (entry.asking = undefined))
    return entry.asking
  }

  async #ask(entry: Entry, recheck: Recheck): Promise<Viewer> {
    let signIn: SignIn
    try {
      signIn = await recheck.ask()
    } catch (cause) {
      return this.#unconfirmed(entry, recheck, asAuthenticationError(cause))
    }
    if (entry.ended) throw unauthenticated(entry.ended)
    if (identity(signIn) !== identity(entry.signIn)) {
      const current = this.#held.get(entry.key) ?? this.#recent.get(entry.key)
      this.#end(entry, CHANGED)
      return current && current !== entry ? current.viewer : this.#admit(entry.key, signIn).viewer
    }
    const now = this.#clock.now()
    entry.signIn = signIn
    entry.confirmedAt = now
    entry.goodUntil = goodUntil(signIn, now)
    this.#endIfOver(entry)
    if (entry.ended) throw unauthenticated(entry.ended)
    return entry.viewer
  }

  #unconfirmed(entry: Entry, recheck: Recheck, error: AuthenticationError): Viewer {
    if (entry.ended) throw unauthenticated(entry.ended)
    if (error.code === 'UNAUTHENTICATED') {
      this.#end(entry, REVOKED)
      throw this.#fail(entry.key, error)
    }
    const now = this.#clock.now()
    if (now >= entry.confirmedAt + PATIENCE * interval(recheck)) {
      this.#end(entry, UNCONFIRMED)
      throw error
    }
    if (recheck.everyMs === 0) throw error
    entry.goodUntil = Math.min(now + interval(recheck), entry.signIn.expiresAt ?? Infinity)
    return entry.viewer
  }

  #endIfOver(entry: Entry): void {
    const { expiresAt, revoked } = entry.signIn
    if (expiresAt !== null && expiresAt <= this.#clock.now()) this.#end(entry, EXPIRED)
    else if (revoked?.()) this.#end(entry, REVOKED)
  }

  #end(entry: Entry, end: SignInEnd): void {
    if (entry.ended) return
    entry.ended = end
    this.#unlisten(entry)
    for (const map of [this.#held, this.#recent]) if (map.get(entry.key) === entry) map.delete(entry.key)
    const listeners = [...entry.listeners]
    entry.listeners.clear()
    for (const listener of listeners) listener(end)
  }

  #hold(entry: Entry): void {
    if (this.#closed) return
    this.#listened.add(entry)
    this.#vouch(entry, 1)
    const { key } = entry
    const current = this.#held.get(key) ?? this.#recent.get(key)
    if (!current || current === entry) {
      this.#recent.delete(key)
      this.#held.set(key, entry)
    }
    this.#schedule(entry)
  }

  #release(entry: Entry): void {
    this.#unlisten(entry)
    if (this.#held.get(entry.key) !== entry) return
    this.#held.delete(entry.key)
    this.#recent.set(entry.key, entry)
    trim(this.#recent, this.#maxCount)
  }

  #unlisten(entry: Entry): void {
    entry.cancelTimer()
    if (this.#listened.delete(entry)) this.#vouch(entry, -1)
  }

  #vouch({ signIn: { recheck } }: Entry, more: 1 | -1): void {
    if (!recheck) return
    const count = (this.#vouched.get(recheck.reviewer) ?? 0) + more
    if (count > 0) this.#vouched.set(recheck.reviewer, count)
    else this.#vouched.delete(recheck.reviewer)
  }

  /** After how many milliseconds somebody who listens is asked after again. */
  #pace(recheck: Recheck): number {
    const share = ((this.#vouched.get(recheck.reviewer) ?? 1) * 1_000) / this.#recheckedPerSecond
    return Math.min(Math.max(SHORTEST_RECHECK_MS, share), interval(recheck))
  }

  /** Sets the timer of an entry with listeners to whatever comes first. */
  #schedule(entry: Entry): void {
    // One may be set: who stops listening and begins anew does not wait for an answer under way.
    entry.cancelTimer()
    const { expiresAt, recheck } = entry.signIn
    const now = this.#clock.now()
    // Of an old answer sooner.
    const due = recheck
      ? Math.max(now + SHORTEST_RECHECK_MS, Math.min(now + this.#pace(recheck), entry.goodUntil))
      : Infinity
    const latest = recheck ? Math.max(now, entry.confirmedAt + PATIENCE * interval(recheck)) : Infinity
    const next = Math.min(due, latest, expiresAt ?? Infinity)
    if (next === Infinity) return
    entry.cancelTimer = this.#clock.after(Math.min(next - now, LONGEST_WAIT_MS), () => void this.#tend(entry))
  }

  async #tend(entry: Entry): Promise<void> {
    this.#endIfOver(entry)
    if (entry.ended) return
    mindClock(entry, this.#clock.now())
    if (entry.signIn.recheck) {
      try {
        await this.#confirm(entry)
      } catch {
        // It has ended, and its listeners know; or nobody answers, and there is patience left.
      }
    }
    if (!entry.ended && this.#listened.has(entry)) this.#schedule(entry)
  }
}

function interval({ everyMs }: Recheck): number {
  return Math.max(SHORTEST_RECHECK_MS, everyMs)
}

/** Where the clock was set back nobody knows how long ago somebody said yes: it is asked for at once. */
function mindClock(entry: Entry, now: number): void {
  if (!entry.signIn.recheck || now >= entry.confirmedAt) return
  entry.confirmedAt = now
  entry.goodUntil = now
}

function goodUntil({ expiresAt, recheck }: SignIn, now: number): number {
  return Math.min(expiresAt ?? Infinity, recheck ? now + recheck.everyMs : Infinity)
}

/** Equal for sign-ins that mean the same, for however long: some providers lengthen a session that is used. */
function identity({ user, method, issuer, clusters, operations }: SignIn): string {
  const { name, uid, extra } = user
  return JSON.stringify([
    name,
    uid,
    user.groups.toSorted(),
    Object.entries(extra ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1)),
    method,
    issuer,
    clusters && [...clusters].sort(),
    operations && [...operations].sort(),
  ])
}

function unauthenticated({ message }: SignInEnd): AuthenticationError {
  return new AuthenticationError('UNAUTHENTICATED', message)
}

function asAuthenticationError(error: unknown): AuthenticationError {
  if (error instanceof AuthenticationError) return error
  return new AuthenticationError('UNAVAILABLE', 'The sign-in cannot be checked just now. Try again.', error)
}

function trim(map: Map<string, unknown>, maxCount: number): void {
  for (const oldest of map.keys()) {
    if (map.size <= maxCount) return
    map.delete(oldest)
  }
}
