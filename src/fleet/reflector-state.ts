/**
 * What the reflector remembers, hears and says: the types of its step, the numbers that it goes by, and
 * when it next wants to be woken. The step itself, and what the states mean, is in `reflector.ts`.
 */
import type { Kind, Rows } from '../kubernetes/rows.ts'
import { type Backoff, NO_FAILURES } from './backoff.ts'
import type { FeedProblem, Step } from './feed.ts'
import type { Failure } from './reflector-failure.ts'

/** Durations are milliseconds unless their name says seconds. */
export interface ReflectorConfig {
  /** For messages: `pods`. */
  readonly resource: string
  /** How many versions of the resource may be tried, newest first (`KindInfo.versions.length`). */
  readonly versions: number
  /** False where streaming lists are known not to work: aggregated API servers. */
  readonly streamingLists: boolean
}

/** When an input happens. `random` is in [0, 1), fresh for every input. */
export interface Moment {
  readonly now: number
  readonly random: number
}

export type Input<K extends Kind> =
  /** The server answered the request with a 2xx status; its body follows. */
  | { readonly type: 'Opened' }
  /** A watch event. `row` is undefined where the object could not be projected: it is passed over. */
  | {
      readonly type: 'Event'
      readonly event: 'ADDED' | 'MODIFIED' | 'DELETED'
      readonly resourceVersion: string
      readonly row: Rows[K] | undefined
    }
  | { readonly type: 'Bookmark'; readonly resourceVersion: string; readonly initialEventsEnd: boolean }
  /** An item of a list. */
  | { readonly type: 'Item'; readonly row: Rows[K] | undefined }
  /** A page is complete, all of its items before. */
  | { readonly type: 'PageEnd'; readonly resourceVersion: string; readonly continueToken: string }
  /** Bytes came at this time that need not be whole objects yet. */
  | { readonly type: 'Heard'; readonly at: number }
  /** A watch was ended by the server, cleanly. */
  | { readonly type: 'Ended' }
  /** The request failed, or a watch carried an ERROR event: the request is over either way. */
  | { readonly type: 'Failed'; readonly failure: Failure }
  /** The deadline may have passed. Early and needless ones do no harm. */
  | { readonly type: 'Wake' }
  | { readonly type: 'ClusterUp' }
  | { readonly type: 'ClusterDown'; readonly problem: FeedProblem }

export type Output<K extends Kind> =
  /** Make this request; its answer comes back as inputs. */
  | {
      readonly type: 'Request'
      readonly verb: 'watch' | 'list'
      /** Brings the initial state: these are bounded in number, and wait for their turn. */
      readonly initial: boolean
      /** Index into the versions of the resource. */
      readonly version: number
      readonly query: Readonly<Record<string, string | number | boolean | undefined>>
    }
  /** End the request under way, and pass on nothing more of it. */
  | { readonly type: 'Abort' }
  | { readonly type: 'Step'; readonly step: Step<K> }

/** A stream of the server that is under way. Times are epoch milliseconds. */
export interface Stream {
  /** When the answer began; `null` while the server has said nothing. */
  readonly openedAt: number | null
  /** The last sign of life. */
  readonly heardAt: number
  /** Whether there was an event or a bookmark since it opened. */
  readonly heard: boolean
  /** How long the server was asked to keep it. */
  readonly timeoutSeconds: number
}

export type Phase<K extends Kind> =
  /** Nothing was asked yet: the cluster has not answered. */
  | { readonly name: 'HELD' }
  /** A streaming list: the initial state comes as ADDED events, a bookmark ends it (KEP-3157). */
  | {
      readonly name: 'STREAMING'
      readonly stream: Stream
      /** Objects deleted before the initial state was complete; the grammar has no such step. */
      readonly deleted: readonly Rows[K][]
    }
  | {
      readonly name: 'LISTING'
      /** Whether the page asked for has begun to come: it may wait for its turn before. */
      readonly opened: boolean
      readonly heardAt: number
      /** What the first page was asked for: `''` most recent, `'0'` any, else not older than it. */
      readonly from: string
      /** Of the first page; all others show the same moment. `null` before its end. */
      readonly resourceVersion: string | null
      /** False for the one full list after a 410 between pages. */
      readonly paged: boolean
    }
  | {
      readonly name: 'WATCHING'
      readonly stream: Stream
      /** The watch began at `''` or `'0'`: the server invents ADDED events in no order. */
      readonly synthetic: boolean
    }
  /** `at: null` waits for the cluster to come back, or to answer at all. */
  | { readonly name: 'WAITING'; readonly at: number | null; readonly next: 'BEGIN' | 'WATCH' }

export interface ReflectorState<K extends Kind> {
  readonly config: ReflectorConfig
  readonly phase: Phase<K>
  /** Up to where the table is complete; `null` before the first complete state. */
  readonly resourceVersion: string | null
  /** The server does not have that version any more, or not yet: only the most recent state will do. */
  readonly unavailable: boolean
  readonly version: number
  /** Epoch milliseconds: streaming lists are not tried before. */
  readonly streamAfter: number
  /** Streaming lists in a row that failed for reasons that may pass. */
  readonly streamFailures: number
  /** Epoch milliseconds: watches are forbidden, so the list is polled until then. */
  readonly pollUntil: number
  readonly backoff: Backoff
  /** The last request was refused with 401 and is being made once more. */
  readonly renewing: boolean
  /** What was last said with `Down` and not taken back. */
  readonly problem: FeedProblem | null
  readonly clusterDown: boolean
}

export type Result<K extends Kind> = readonly [ReflectorState<K>, readonly Output<K>[]]

export const PAGE_SIZE = 500
/** Servers that ignore `sendInitialEvents`, or never end the initial state, are found out after this. */
const QUIET_MS = 10_000
/** Bookmarks come about every minute where there are any. A silent stream is checked by resuming it. */
export const IDLE_MS = 90_000
/** A list whose body stops coming. */
const STALLED_MS = 30_000
/** After the end that the server was asked for, it gets so long to make it. */
const OVERDUE_MS = 5_000
/** A watch that ends sooner without an event counts as failed; one that lasts longer is settled. */
const SETTLED_MS = 1_000
export const STREAM_AGAIN_MS = 30 * 60_000
export const STREAM_FAILURES = 3
export const POLL_MS = 30_000
/** A proxy that asks for hours is asked again before. */
export const RETRY_AFTER_MOST_MS = 5 * 60_000
export const WATCH_AGAIN_MS = 10 * 60_000
/** What is forbidden or not served is tried again slowly; at first less so, for servers that have just begun. */
export const GIVEN_UP_FIRST_MS = 2_000
export const FORBIDDEN_AGAIN_MS = 60_000
export const NOT_SERVED_AGAIN_MS = 5 * 60_000

/** What the table is like already, filled by an earlier feed of it or by another replica. */
export interface Inheritance {
  /** Up to where its content is complete; `null` where it has none. */
  readonly resourceVersion: string | null
  /** False where it has parts of later versions: it is listed anew, since a watch would tell of them again. */
  readonly whole: boolean
  /** What was said with `Down` and not taken back. */
  readonly problem: FeedProblem | null
}

/** Asks nothing before `ClusterUp`. A table with content is followed from there, without a relist. */
export function startReflector<K extends Kind>(
  config: ReflectorConfig,
  { resourceVersion, whole, problem }: Inheritance = { resourceVersion: null, whole: true, problem: null },
): ReflectorState<K> {
  const resumable = whole && resourceVersion !== null && isMoment(resourceVersion)
  return {
    config,
    phase:
      resourceVersion === null
        ? { name: 'HELD' }
        : { name: 'WAITING', at: null, next: resumable ? 'WATCH' : 'BEGIN' },
    resourceVersion,
    // A state that is not older than ours might be older than some parts of it.
    unavailable: !whole,
    version: 0,
    streamAfter: config.streamingLists ? 0 : Infinity,
    streamFailures: 0,
    pollUntil: 0,
    backoff: NO_FAILURES,
    renewing: false,
    problem,
    clusterDown: false,
  }
}

/** Whether it names one state of the server, rather than any or the most recent one. */
export function isMoment(resourceVersion: string): boolean {
  return resourceVersion !== '' && resourceVersion !== '0'
}

/** The epoch milliseconds at which a `Wake` has something to do; `null`: never, as things stand. */
export function deadline<K extends Kind>({ phase, problem, clusterDown }: ReflectorState<K>): number | null {
  switch (phase.name) {
    case 'HELD':
      return null
    case 'WAITING':
      return phase.at
    case 'LISTING':
      return phase.opened ? phase.heardAt + STALLED_MS : null
    case 'STREAMING':
      return phase.stream.openedAt === null ? null : phase.stream.heardAt + QUIET_MS
    case 'WATCHING': {
      const { openedAt, heardAt } = phase.stream
      if (openedAt === null) return null
      const check = Math.min(heardAt + IDLE_MS, overdueAt(phase.stream, openedAt))
      return problem === null || clusterDown ? check : Math.min(check, openedAt + SETTLED_MS)
    }
  }
}

/** When the server should have ended the stream by itself. */
export function overdueAt({ timeoutSeconds }: Stream, openedAt: number): number {
  return openedAt + timeoutSeconds * 1000 + OVERDUE_MS
}

export function asked(timeoutSeconds: number, { now }: Moment): Stream {
  return { openedAt: null, heardAt: now, heard: false, timeoutSeconds }
}

export function opened(stream: Stream, now: number): Stream {
  return { ...stream, openedAt: now, heardAt: now }
}

export function heard({ openedAt, timeoutSeconds }: Stream, now: number): Stream {
  return { openedAt, heardAt: now, heard: true, timeoutSeconds }
}

/** Only puts off the deadlines of silence: bytes that are no event yet prove nothing else. */
export function notSilent<K extends Kind>(phase: Phase<K>, at: number): Phase<K> {
  if (phase.name === 'LISTING') return { ...phase, heardAt: Math.max(phase.heardAt, at) }
  if (phase.name !== 'STREAMING' && phase.name !== 'WATCHING') return phase
  return { ...phase, stream: { ...phase.stream, heardAt: Math.max(phase.stream.heardAt, at) } }
}

export function isSettled({ openedAt, heard }: Stream, { now }: Moment): boolean {
  return openedAt !== null && (heard || now - openedAt >= SETTLED_MS)
}

/** Spread, so that the watches of one start do not end in one instant. */
export function drawTimeoutSeconds({ random }: Moment): number {
  return 300 + Math.floor(random * 300)
}

export function jittered(ms: number, { random }: Moment): number {
  return ms * (0.75 + random / 2)
}

export function step<K extends Kind>(step: Step<K>): Output<K> {
  return { type: 'Step', step }
}

export function aborting<K extends Kind>([state, outputs]: Result<K>): Result<K> {
  return [state, [{ type: 'Abort' }, ...outputs]]
}
