/**
 * The rights of viewers in one cluster, as far as it was asked for them: each right with when it was asked for,
 * until when it may be used, and who still wants it. Finds out in the background; `reviews.ts` says when.
 *
 * Invariants: an answer is never used longer than twice `cacheMs` after its question was sent; what fails leaves
 * the last answer in use until then, and nothing after that. Whoever reads a right never waits.
 */
import type { Clock } from '../fleet/clock.ts'
import type { Cluster } from '../fleet/fleet.ts'
import type { Scope } from '../fleet/selection.ts'
import type { Kind } from '../kubernetes/rows.ts'
import type { Action, ReadRight, Verdict } from './policy.ts'
import { intersection, type ReadRights } from './rbac/scopes.ts'
import {
  readKey,
  ReviewError,
  ReviewRequests,
  unanswered,
  type Asker,
  type ReadVerb,
} from './review-requests.ts'
import {
  RightFinder,
  type Examinee,
  type Inquiry,
  type RightFinderLimits,
  type Timed,
} from './right-finder.ts'

export interface ClusterReviewsOptions {
  readonly clock: Clock
  /** An answer is asked for again when it is so old. */
  readonly cacheMs: number
  /** Of all clusters. */
  readonly readRights: ReadRights
  readonly limits: RightFinderLimits
  /** After a right of anybody has become another. */
  readonly onChange: () => void
  /** Something is to be done at this time: `run` is to be called then. */
  readonly onDue: (at: number) => void
}

/** A right that nobody has read for so long is asked for once, whether it is needed, and then forgotten. */
export const IDLE_MS = 60_000
/** For those who need it to read it again. */
const GRACE_MS = 2_000
/** Namespaces often come several at a time. */
const SOON_MS = 50
const FIRST_RETRY_MS = 1_000
const LONGEST_RETRY_MS = 30_000
/** Of one asker: single questions. */
const VERDICTS = 256

/** What one asker was found out to be allowed. */
export interface Subject extends Examinee {
  /** By `readKey`. */
  readonly rights: Map<string, Right>
  readonly verdicts: Map<string, Timed<Verdict> | Promise<Verdict>>
  /** Rights to list and watch, made of the two: with what they were made of. */
  readonly both: Map<Kind, { readonly of: readonly [ReadRight, ReadRight]; readonly right: ReadRight }>
  /** Another one after any of its rights has become another. 0: none is known. */
  stamp: number
  usedAt: number
  gone: boolean
}

interface Right extends Inquiry {
  /** What readers are given. */
  shown: ReadRight
  readAt: number
  /** When the oldest of the questions was sent whose answers `scope` is made of. */
  asOf: number | undefined
  scope: Scope | undefined
  reason: string | null
  /** Why it could not be found out the last time. */
  failure: string | null
  failures: number
  /** Not before this time. */
  dueAt: number
  running: Promise<void> | undefined
  /** Something changed while it was being found out. */
  again: boolean
  /** Since when it is asked whether anybody still needs it. */
  doubtedAt: number | undefined
}

/** Distinct in all clusters and for all times: a subject that was forgotten and came back is another. */
let stamps = 0

export class ClusterReviews {
  readonly cluster: Cluster
  readonly subjects = new Map<string, Subject>()
  /** Increases with every change of a right. */
  revision = 0
  readonly #options: ClusterReviewsOptions
  readonly #clock: Clock
  readonly #cacheMs: number
  readonly #requests: ReviewRequests
  readonly #finder: RightFinder
  readonly #unlisten: readonly (() => void)[]
  #isDown: boolean
  #closed = false

  constructor(cluster: Cluster, options: ClusterReviewsOptions) {
    this.cluster = cluster
    this.#options = options
    this.#clock = options.clock
    this.#cacheMs = options.cacheMs
    this.#requests = new ReviewRequests(cluster, options.limits)
    this.#finder = new RightFinder(cluster, this.#requests, options)
    this.#isDown = cluster.health.state === 'DOWN'
    const namespaces = cluster.table('Namespace')
    this.#unlisten = [
      namespaces.onChange(({ type, row }) => {
        if (type === 'ADDED') this.#onNamespace(row.name)
      }),
      namespaces.onStatus(() => this.#askAgain(() => true)),
      namespaces.onRelist(() => this.#askAgain(() => true)),
    ]
  }

  /** Of all subjects: what is kept of single namespaces. */
  get size(): number {
    let size = 0
    for (const { rights, rules, verdicts } of this.subjects.values()) {
      size += rules.size + verdicts.size + rights.size
      for (const { namespaces } of rights.values()) size += namespaces.size
    }
    return size
  }

  subject(asker: Asker): Subject {
    let subject = this.subjects.get(asker.key)
    if (!subject) {
      subject = {
        asker,
        rights: new Map(),
        rules: new Map(),
        asked: new Map(),
        verdicts: new Map(),
        both: new Map(),
        stamp: 0,
        usedAt: this.#clock.now(),
        gone: false,
      }
      this.subjects.set(asker.key, subject)
    }
    return subject
  }

  read(subject: Subject, kind: Kind, verb: ReadVerb): ReadRight {
    const list = this.#read(subject, kind, 'list')
    if (verb === 'list' || (list.state === 'DECIDED' && list.scope === undefined)) return list
    const watch = this.#read(subject, kind, 'watch')
    const made = subject.both.get(kind)
    if (made && made.of[0] === list && made.of[1] === watch) return made.right
    const right = both(list, watch, this.#options.readRights)
    subject.both.set(kind, { of: [list, watch], right })
    return right
  }

  /** Somebody goes by what is known of the subject. */
  touch(subject: Subject): void {
    for (const right of subject.rights.values()) {
      if (right.doubtedAt !== undefined) this.#use(right)
    }
    this.#expire(subject)
  }

  can(subject: Subject, action: Action): Verdict | Promise<Verdict> {
    const now = this.#clock.now()
    subject.usedAt = now
    const { verb, group, resource, subresource = '', namespace = '', name = '' } = action
    const key = JSON.stringify([verb, group, resource, subresource, namespace, name])
    const known = subject.verdicts.get(key)
    if (known instanceof Promise) return known
    if (known) {
      // To the end: what was used longest ago goes first.
      subject.verdicts.delete(key)
      subject.verdicts.set(key, known)
      const age = now - known.at
      if (age >= 0 && age < this.#cacheMs) return known.value
    }
    const asking = this.#verdict(subject, key, action, known)
    subject.verdicts.delete(key)
    subject.verdicts.set(key, asking)
    for (const oldest of subject.verdicts.keys()) {
      if (subject.verdicts.size <= VERDICTS) break
      subject.verdicts.delete(oldest)
    }
    this.#options.onDue(now + IDLE_MS)
    return asking
  }

  /** Does what is due, and says when there is more to do. `doubt`: asks of idle rights whether they are needed. */
  run(doubt: boolean): void {
    const now = this.#clock.now()
    const isDown = this.cluster.health.state === 'DOWN'
    if (this.#isDown && !isDown) this.#askAgain(({ failure }) => failure !== null)
    this.#isDown = isDown
    for (const subject of Array.from(this.subjects.values())) {
      for (const [key, right] of Array.from(subject.rights)) {
        if (right.doubtedAt !== undefined && now - right.doubtedAt >= GRACE_MS) {
          subject.rights.delete(key)
          subject.both.delete(right.kind)
          this.#changed(subject)
          continue
        }
        if (doubt && right.doubtedAt === undefined && now - right.readAt >= IDLE_MS / 2) {
          right.doubtedAt = now
          this.#noted()
        }
        this.#attend(subject, right)
        if (right.doubtedAt !== undefined) this.#options.onDue(right.doubtedAt + GRACE_MS)
      }
      if (subject.rights.size === 0) {
        subject.rules.clear()
        if (now - subject.usedAt >= IDLE_MS) this.forget(subject)
        else this.#options.onDue(subject.usedAt + IDLE_MS)
      }
    }
  }

  /** All that is known of the subject. */
  forget(subject: Subject): void {
    subject.gone = true
    this.subjects.delete(subject.asker.key)
    if (subject.stamp !== 0) this.#noted()
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    for (const unlisten of this.#unlisten) unlisten()
    this.#requests.close()
    for (const subject of this.subjects.values()) subject.gone = true
    this.subjects.clear()
  }

  // Rights.

  #read(subject: Subject, kind: Kind, verb: ReadVerb): ReadRight {
    const key = readKey(kind, verb)
    let right = subject.rights.get(key)
    if (!right) {
      right = newRight(kind, verb)
      subject.rights.set(key, right)
      this.#use(right)
      this.#find(subject, right)
      right.shown = pending(this.cluster.name, right.running ?? Promise.resolve())
      return right.shown
    }
    this.#use(right)
    subject.usedAt = right.readAt
    this.#show(subject, right)
    return right.shown
  }

  #use(right: Right): void {
    right.readAt = this.#clock.now()
    right.doubtedAt = undefined
  }

  /** Begins to find out what is due, and says when it is due next. */
  #attend(subject: Subject, right: Right): void {
    const now = this.#clock.now()
    if (now >= right.dueAt && !right.running) this.#find(subject, right)
    this.#show(subject, right)
    if (!right.running) this.#options.onDue(right.dueAt)
    if (this.#isUsable(right, now)) this.#options.onDue(right.asOf! + 2 * this.#cacheMs)
  }

  #isUsable({ asOf }: Right, now: number): boolean {
    // A clock that was set back makes answers of the future.
    return asOf !== undefined && now - asOf < 2 * this.#cacheMs && asOf <= now
  }

  #expire(subject: Subject): void {
    for (const right of subject.rights.values()) this.#show(subject, right)
  }

  /** Makes `shown` what is known now. */
  #show(subject: Subject, right: Right): void {
    const { shown } = right
    const { name } = this.cluster
    if (this.#isUsable(right, this.#clock.now())) {
      const { scope, reason } = right
      if (shown.state === 'DECIDED' && shown.scope === scope && shown.reason === reason) return
      right.shown = { scope, state: 'DECIDED', reason, settled: null }
    } else if (right.failure !== null) {
      if (shown.state === 'UNKNOWN' && shown.reason === right.failure) return
      right.shown = { scope: undefined, state: 'UNKNOWN', reason: right.failure, settled: null }
    } else {
      if (!right.running) this.#find(subject, right)
      const settled = right.running ?? Promise.resolve()
      if (shown.state === 'PENDING' && shown.settled === settled) return
      right.shown = pending(name, settled)
      // Another promise is no other answer.
      if (shown.state === 'PENDING') return
    }
    this.#changed(subject)
  }

  #changed(subject: Subject): void {
    subject.stamp = ++stamps
    this.#noted()
  }

  #noted(): void {
    this.revision++
    this.#options.onChange()
  }

  // Finding out.

  #find(subject: Subject, right: Right): void {
    right.again = false
    right.running = this.#learn(subject, right)
  }

  /** Never rejects. */
  async #learn(subject: Subject, right: Right): Promise<void> {
    try {
      const { scope, reason, asOf } = await this.#finder.find(subject, right)
      right.scope = scope
      right.reason = reason
      right.asOf = asOf
      const isTooOld = this.#clock.now() - asOf >= 2 * this.#cacheMs
      right.failure = isTooOld
        ? unanswered(this.cluster.name, 'it answers more slowly than its answers may be kept')
        : null
      if (isTooOld) this.#delay(right)
      else {
        right.failures = 0
        // A cluster that answers slowly is not asked all the time.
        right.dueAt = Math.max(asOf + this.#cacheMs, this.#clock.now() + this.#cacheMs / 10)
      }
    } catch (error) {
      right.failure =
        error instanceof ReviewError ? error.message : unanswered(this.cluster.name, 'the question failed')
      // Some of an answer is known: a token that is no good, or that it is not the whole cluster any more.
      const isRefused = error instanceof ReviewError && error.code === 'REFUSED'
      if (isRefused || (right.scope === 'all' && right.whole?.value === false)) right.asOf = undefined
      this.#delay(right)
    }
    right.running = undefined
    if (this.#closed || subject.rights.get(readKey(right.kind, right.verb)) !== right) return
    if (right.again) right.dueAt = this.#clock.now()
    if (!subject.gone) this.#attend(subject, right)
  }

  #delay(right: Right): void {
    const wait = Math.min(FIRST_RETRY_MS * 2 ** right.failures++, LONGEST_RETRY_MS)
    right.dueAt = this.#clock.now() + wait
  }

  async #verdict(
    subject: Subject,
    key: string,
    action: Action,
    before: Timed<Verdict> | undefined,
  ): Promise<Verdict> {
    const at = this.#clock.now()
    const keep = (answer: Timed<Verdict> | undefined) => {
      if (!(subject.verdicts.get(key) instanceof Promise)) return
      if (answer) subject.verdicts.set(key, answer)
      else subject.verdicts.delete(key)
    }
    try {
      const value = await this.#requests.access(subject.asker, action)
      keep({ at, value })
      return value
    } catch (error) {
      const refused = error instanceof ReviewError && error.code === 'REFUSED'
      const age = before && this.#clock.now() - before.at
      if (!refused && age !== undefined && age >= 0 && age < 2 * this.#cacheMs) {
        keep(before)
        return before!.value
      }
      keep(undefined)
      const reason =
        error instanceof ReviewError ? error.message : unanswered(this.cluster.name, 'the question failed')
      return { allowed: refused ? false : null, reason }
    }
  }

  // What changes in the cluster.

  /** A new one, or another of the same name. */
  #onNamespace(namespace: string): void {
    for (const subject of this.subjects.values()) {
      subject.rules.delete(namespace)
      for (const right of subject.rights.values()) right.namespaces.delete(namespace)
    }
    this.#askAgain(({ whole }) => whole?.value === false)
  }

  /** Soon, those that fit; what is running is done once more. */
  #askAgain(fits: (right: Right) => boolean): void {
    const soon = this.#clock.now() + SOON_MS
    for (const { rights } of this.subjects.values()) {
      for (const right of rights.values()) {
        if (!fits(right)) continue
        right.again = true
        right.dueAt = soon
      }
    }
    this.#options.onDue(soon)
  }
}

function newRight(kind: Kind, verb: ReadVerb): Right {
  return {
    kind,
    verb,
    shown: { scope: undefined, state: 'UNKNOWN', reason: null, settled: null },
    readAt: 0,
    asOf: undefined,
    scope: undefined,
    reason: null,
    failure: null,
    failures: 0,
    dueAt: 0,
    running: undefined,
    again: false,
    doubtedAt: undefined,
    whole: undefined,
    namespaces: new Map(),
  }
}

function pending(cluster: string, settled: Promise<void>): ReadRight {
  const reason = `Your rights in the cluster ${cluster} are being found out: ask again.`
  return { scope: undefined, state: 'PENDING', reason, settled }
}

/** What may be listed and watched. */
function both(list: ReadRight, watch: ReadRight, readRights: ReadRights): ReadRight {
  if (list.state === 'DECIDED' && watch.state === 'DECIDED') {
    if (list.scope === undefined || watch.scope === undefined) return { ...watch, scope: undefined }
    const { scope } = readRights.of(intersection(list.scope, watch.scope))
    return { scope, state: 'DECIDED', reason: list.reason ?? watch.reason, settled: null }
  }
  const unknown = [list, watch].find(({ state }) => state === 'UNKNOWN')
  if (unknown) return unknown
  const [first, second] = [list, watch].filter(({ state }) => state === 'PENDING')
  return second ? { ...first!, settled: settledBoth(first!, second) } : first!
}

async function settledBoth(a: ReadRight, b: ReadRight): Promise<void> {
  await a.settled
  await b.settled
}
