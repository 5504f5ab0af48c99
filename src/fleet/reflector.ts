/**
 * The reflector: how a table follows one resource of one API server, as a pure step
 *
 *     (state, input, moment) → (state, outputs)
 *
 * without a socket, a timer or a clock, so that each rule below is tested as a sentence. `watch-feed.ts`
 * turns the outputs into requests and steps, and what comes back into inputs.
 *
 * The states, and what each means:
 *
 *     HELD ──up──▶ STREAMING ──bookmark──▶ WATCHING ◀──────┐
 *                     │  not offered          │ ▲  │ 410   │ resumed from the last resourceVersion
 *                     ▼                       │ │  ▼       │
 *                  LISTING ──last page────────┼─┘ begin    │
 *                     │ failed                │ failed     │
 *                     └───────▶ WAITING ◀─────┘            │
 *                                  └───────────────────────┘
 *
 * A table that another has filled before begins WAITING instead of HELD, and so with a watch.
 *
 * Invariants: at most one request is under way; a table's content is only ever replaced as a whole
 * (`Init … InitDone`); the resourceVersion advances only past what has been handed on, so a resume never
 * leaves a gap; every failure ends in a request, a wait with an end, or a wait for the cluster.
 *
 * It deliberately does not know what an object is: rows pass through it.
 *
 * Sources: client-go `tools/cache/reflector.go`, kube-rs `watcher.rs`, Kubernetes API concepts
 * ("Efficient detection of changes"), KEP-3157 (streaming lists), KEP-365 (paging), KEP-956 (bookmarks).
 */
import type { Kind, Rows } from '../kubernetes/rows.ts'
import { delayMs, failed, isTroubled, NO_FAILURES } from './backoff.ts'
import type { FeedProblem, Step } from './feed.ts'
import {
  aborting,
  asked,
  deadline,
  drawTimeoutSeconds,
  heard,
  isSettled,
  jittered,
  opened,
  FORBIDDEN_AGAIN_MS,
  GIVEN_UP_FIRST_MS,
  IDLE_MS,
  type Input,
  isMoment,
  type Moment,
  NOT_SERVED_AGAIN_MS,
  notSilent,
  type Output,
  overdueAt,
  PAGE_SIZE,
  type Phase,
  POLL_MS,
  RETRY_AFTER_MOST_MS,
  type ReflectorState,
  type Result,
  STREAM_AGAIN_MS,
  step,
  STREAM_FAILURES,
  WATCH_AGAIN_MS,
} from './reflector-state.ts'
import {
  type Failure,
  isExpired,
  isRetriable,
  isStatus,
  pollingProblem,
  problemOf,
} from './reflector-failure.ts'

const NOTHING: readonly never[] = []

/** One step. Inputs that do not belong to the present state (an answer of an ended request) do nothing. */
export function reflect<K extends Kind>(
  state: ReflectorState<K>,
  input: Input<K>,
  moment: Moment,
): Result<K> {
  switch (input.type) {
    case 'Event':
      return onEvent(state, input, moment)
    case 'Item':
      return onItem(state, input.row, moment)
    case 'Bookmark':
      return onBookmark(state, input.resourceVersion, input.initialEventsEnd, moment)
    case 'PageEnd':
      return onPageEnd(state, input.resourceVersion, input.continueToken, moment)
    case 'Opened':
      return onOpened(state, moment)
    case 'Heard':
      return [{ ...state, phase: notSilent(state.phase, input.at) }, NOTHING]
    case 'Ended':
      return onEnded(state, moment)
    case 'Failed':
      return onFailed(state, input.failure, moment)
    case 'Wake':
      return onWake(state, moment)
    case 'ClusterUp':
      return onClusterUp(state, moment)
    case 'ClusterDown':
      return onClusterDown(state, input.problem, moment)
  }
}

// ── Beginning: the initial state ────────────────────────────────────────────────────────────────

/**
 * Asks for the whole state: streamed where that may work, else listed. From the last known version, so
 * that the server may answer from its cache and still never shows a state older than ours.
 */
function begin<K extends Kind>(state: ReflectorState<K>, moment: Moment): Result<K> {
  const polling = moment.now < state.pollUntil
  if (polling || moment.now < state.streamAfter) return list(state, moment)
  const timeoutSeconds = drawTimeoutSeconds(moment)
  return [
    { ...state, phase: { name: 'STREAMING', stream: asked(timeoutSeconds, moment), deleted: [] } },
    [
      {
        type: 'Request',
        verb: 'watch',
        initial: true,
        version: state.version,
        query: {
          watch: 1,
          sendInitialEvents: true,
          // Required beside sendInitialEvents: without it the request is invalid.
          resourceVersionMatch: 'NotOlderThan',
          resourceVersion: (state.unavailable ? null : state.resourceVersion) ?? '',
          allowWatchBookmarks: true,
          timeoutSeconds,
        },
      },
    ],
  ]
}

/**
 * The first page of a list. `'0'` at first: any state will do, and the server's cache has one. Later the
 * last version, so that time does not run backwards; after a 410 the most recent state.
 */
function list<K extends Kind>(state: ReflectorState<K>, moment: Moment): Result<K> {
  const polling = moment.now < state.pollUntil
  const from = state.unavailable || polling ? '' : (state.resourceVersion ?? '0')
  return listFrom(state, from, true, moment)
}

function listFrom<K extends Kind>(
  state: ReflectorState<K>,
  from: string,
  paged: boolean,
  moment: Moment,
): Result<K> {
  // With a limit, a version means exactly that version, which etcd may have compacted; without one it
  // means "not older than", which the cache answers (client-go does the same).
  const limited = paged && (from === '' || from === '0')
  return [
    {
      ...state,
      phase: { name: 'LISTING', opened: false, heardAt: moment.now, from, resourceVersion: null, paged },
    },
    [
      {
        type: 'Request',
        verb: 'list',
        initial: true,
        version: state.version,
        query: {
          limit: limited ? PAGE_SIZE : undefined,
          resourceVersion: from === '' ? undefined : from,
        },
      },
    ],
  ]
}

function onItem<K extends Kind>(
  state: ReflectorState<K>,
  row: Rows[K] | undefined,
  { now }: Moment,
): Result<K> {
  if (state.phase.name !== 'LISTING') return [state, NOTHING]
  return [
    { ...state, phase: { ...state.phase, heardAt: now } },
    row ? [step({ type: 'InitApply', row })] : NOTHING,
  ]
}

function onPageEnd<K extends Kind>(
  state: ReflectorState<K>,
  resourceVersion: string,
  continueToken: string,
  moment: Moment,
): Result<K> {
  if (state.phase.name !== 'LISTING') return [state, NOTHING]
  const first = state.phase.resourceVersion ?? resourceVersion
  if (continueToken !== '') {
    return [
      { ...state, phase: { ...state.phase, opened: false, resourceVersion: first } },
      [
        {
          type: 'Request',
          verb: 'list',
          initial: true,
          version: state.version,
          // The token holds the version; naming one beside it is an error.
          query: { limit: PAGE_SIZE, continue: continueToken },
        },
      ],
    ]
  }
  const [complete, said] = completed(state, first)
  if (moment.now < state.pollUntil) {
    // Complete as of now and followed by nothing: that is what STALE means.
    const problem = pollingProblem(state.config.resource, POLL_MS)
    const [waiting, more] = wait(sayDown(complete, problem), moment.now + jittered(POLL_MS, moment), 'BEGIN')
    return [waiting, [...said, ...more]]
  }
  const [watching, more] = watch(complete, moment)
  return [watching, [...said, ...more]]
}

/** The initial state is complete: it becomes visible, and whatever was wrong is over. */
function completed<K extends Kind>(state: ReflectorState<K>, resourceVersion: string): Result<K> {
  const outputs: Output<K>[] = [step({ type: 'InitDone', resourceVersion })]
  const complete = { ...state, resourceVersion, unavailable: false, streamFailures: 0 }
  return state.clusterDown ? [complete, outputs] : sayUp([complete, outputs])
}

// ── Watching ────────────────────────────────────────────────────────────────────────────────────

/** Follows the state from the last resourceVersion. */
function watch<K extends Kind>(state: ReflectorState<K>, moment: Moment): Result<K> {
  const timeoutSeconds = drawTimeoutSeconds(moment)
  const from = state.resourceVersion ?? ''
  return [
    {
      ...state,
      phase: {
        name: 'WATCHING',
        stream: asked(timeoutSeconds, moment),
        synthetic: !isMoment(from),
      },
    },
    [
      {
        type: 'Request',
        verb: 'watch',
        initial: false,
        version: state.version,
        query: { watch: 1, resourceVersion: from, allowWatchBookmarks: true, timeoutSeconds },
      },
    ],
  ]
}

function onOpened<K extends Kind>(state: ReflectorState<K>, { now }: Moment): Result<K> {
  const { phase } = state
  switch (phase.name) {
    case 'STREAMING':
      return initialOpened({ ...state, phase: { ...phase, stream: opened(phase.stream, now) } })
    case 'LISTING': {
      const next = { ...state, phase: { ...phase, opened: true, heardAt: now } }
      // Not again for the later pages: they are part of the same state.
      return phase.resourceVersion === null ? initialOpened(next) : [next, NOTHING]
    }
    case 'WATCHING':
      // Not `Up` yet: a server that has lost our version answers 200 and then ERROR 410.
      return [{ ...state, renewing: false, phase: { ...phase, stream: opened(phase.stream, now) } }, NOTHING]
    default:
      return [state, NOTHING]
  }
}

/** A table that never had content is being synced again: only one that had may be no longer current. */
function initialOpened<K extends Kind>(state: ReflectorState<K>): Result<K> {
  const next = { ...state, renewing: false }
  const init: Result<K> = [next, [step({ type: 'Init' })]]
  return state.resourceVersion === null ? sayUp(init, true) : init
}

function onEvent<K extends Kind>(
  state: ReflectorState<K>,
  { event, row, resourceVersion }: Extract<Input<K>, { type: 'Event' }>,
  { now }: Moment,
): Result<K> {
  const { phase } = state
  if (phase.name === 'WATCHING') {
    const synthetic = phase.synthetic && event === 'ADDED'
    const next: ReflectorState<K> = {
      ...state,
      // Synthetic events come in no order: their versions say nothing about what has been seen.
      resourceVersion: synthetic || resourceVersion === '' ? state.resourceVersion : resourceVersion,
      phase: { ...phase, synthetic, stream: heard(phase.stream, now) },
    }
    const outputs: readonly Output<K>[] = row ? [step(stepOf(event, row, synthetic))] : NOTHING
    return state.problem === null || state.clusterDown ? [next, outputs] : sayUp([next, outputs], true)
  }
  if (phase.name === 'STREAMING') {
    const stream = heard(phase.stream, now)
    if (!row) return [{ ...state, phase: { ...phase, stream } }, NOTHING]
    const others = phase.deleted.filter(
      (other) => other.namespace !== row.namespace || other.name !== row.name,
    )
    if (event === 'DELETED') {
      return [{ ...state, phase: { ...phase, stream, deleted: [...others, row] } }, NOTHING]
    }
    return [{ ...state, phase: { ...phase, stream, deleted: others } }, [step({ type: 'InitApply', row })]]
  }
  return [state, NOTHING]
}

function stepOf<K extends Kind>(
  event: 'ADDED' | 'MODIFIED' | 'DELETED',
  row: Rows[K],
  synthetic: boolean,
): Step<K> {
  if (event === 'DELETED') return { type: 'Delete', row }
  return synthetic ? { type: 'Apply', row, partial: true } : { type: 'Apply', row }
}

function onBookmark<K extends Kind>(
  state: ReflectorState<K>,
  resourceVersion: string,
  initialEventsEnd: boolean,
  { now }: Moment,
): Result<K> {
  const { phase } = state
  if (phase.name === 'WATCHING') {
    const next: ReflectorState<K> = {
      ...state,
      resourceVersion,
      phase: { ...phase, synthetic: false, stream: heard(phase.stream, now) },
    }
    const outputs: Output<K>[] = [step({ type: 'Bookmark', resourceVersion })]
    return state.problem === null || state.clusterDown ? [next, outputs] : sayUp([next, outputs], true)
  }
  if (phase.name !== 'STREAMING') return [state, NOTHING]
  const stream = heard(phase.stream, now)
  if (!initialEventsEnd) return [{ ...state, phase: { ...phase, stream } }, NOTHING]
  // The same stream goes on as the watch.
  const [next, outputs] = completed<K>(
    { ...state, phase: { name: 'WATCHING', stream, synthetic: false } },
    resourceVersion,
  )
  if (phase.deleted.length === 0) return [next, outputs]
  // What they say of themselves is of before the content: the table has come further.
  const last = phase.deleted.length - 1
  const deletes = phase.deleted.map((row, index) =>
    step<K>({ type: 'Delete', row, resourceVersion, partial: index < last }),
  )
  return [next, [...outputs, ...deletes]]
}

/** The server ended a watch. It does so all the time; only a watch that gave nothing is suspicious. */
function onEnded<K extends Kind>(state: ReflectorState<K>, moment: Moment): Result<K> {
  const { phase } = state
  if (phase.name === 'STREAMING') return withoutStreaming(state, moment)
  if (phase.name !== 'WATCHING') return [state, NOTHING]
  if (isSettled(phase.stream, moment)) return go(state, 'WATCH', moment)
  const failure = {
    kind: 'TRANSPORT',
    code: 'RESET',
    message: 'the watch ended as soon as it began',
  } as const
  return retry(state, failure, 'WATCH', moment)
}

// ── Failures ────────────────────────────────────────────────────────────────────────────────────

function onFailed<K extends Kind>(state: ReflectorState<K>, failure: Failure, moment: Moment): Result<K> {
  const { phase } = state
  if (phase.name === 'HELD' || phase.name === 'WAITING') return [state, NOTHING]
  if (isStatus(failure, 401)) return onUnauthorized(state, failure, moment)
  switch (phase.name) {
    case 'STREAMING':
      return onStreamingFailed(state, failure, moment)
    case 'LISTING':
      return onListFailed(state, phase, failure, moment)
    case 'WATCHING':
      return onWatchFailed(state, phase, failure, moment)
  }
}

/** Tokens rotate. The client renews them on a 401, so the same request is made once more at once. */
function onUnauthorized<K extends Kind>(
  state: ReflectorState<K>,
  failure: Failure,
  moment: Moment,
): Result<K> {
  const next = state.phase.name === 'WATCHING' ? 'WATCH' : 'BEGIN'
  if (state.renewing || state.clusterDown) return retry(state, failure, next, moment)
  return go({ ...state, renewing: true }, next, moment)
}

function onStreamingFailed<K extends Kind>(
  state: ReflectorState<K>,
  failure: Failure,
  moment: Moment,
): Result<K> {
  if (isExpired(failure)) return beginAnew(state, failure, moment)
  if (isRetriable(failure)) {
    const streamFailures = state.streamFailures + 1
    if (streamFailures < STREAM_FAILURES) return retry({ ...state, streamFailures }, failure, 'BEGIN', moment)
    // Some proxies cut long answers; a list may come through.
    return retry(
      { ...state, streamFailures: 0, streamAfter: moment.now + STREAM_AGAIN_MS },
      failure,
      'BEGIN',
      moment,
    )
  }
  // The list will say whether the resource is there and may be read: nothing is learnt about streaming.
  if (isStatus(failure, 403, 404)) return list(state, moment)
  return withoutStreaming(state, moment)
}

/** Lists instead, and does not try again for a while: the server has the feature gate off, or is old. */
function withoutStreaming<K extends Kind>(state: ReflectorState<K>, moment: Moment): Result<K> {
  return list({ ...state, streamFailures: 0, streamAfter: moment.now + STREAM_AGAIN_MS }, moment)
}

function onListFailed<K extends Kind>(
  state: ReflectorState<K>,
  phase: Extract<Phase<K>, { name: 'LISTING' }>,
  failure: Failure,
  moment: Moment,
): Result<K> {
  if (isExpired(failure)) {
    // The pages took longer than etcd keeps history. One full list, which a compaction cannot cut.
    const betweenPages = phase.resourceVersion !== null && phase.paged
    if (betweenPages) return listFrom({ ...state, unavailable: true }, '', false, moment)
    return beginAnew(state, failure, moment)
  }
  if (isStatus(failure, 403)) return giveUpFor(FORBIDDEN_AGAIN_MS, state, failure, moment)
  if (isStatus(failure, 404, 405)) {
    const version = state.version + 1
    if (version < state.config.versions) return begin({ ...state, version }, moment)
    return giveUpFor(NOT_SERVED_AGAIN_MS, { ...state, version: 0 }, failure, moment)
  }
  const unavailable = state.unavailable || isStatus(failure, 400, 422)
  return retry({ ...state, unavailable }, failure, 'BEGIN', moment)
}

function onWatchFailed<K extends Kind>(
  state: ReflectorState<K>,
  phase: Extract<Phase<K>, { name: 'WATCHING' }>,
  failure: Failure,
  moment: Moment,
): Result<K> {
  if (isExpired(failure)) return beginAnew(state, failure, moment)
  // May be listed, perhaps, but not watched. The list decides.
  if (isStatus(failure, 403, 405)) return list({ ...state, pollUntil: moment.now + WATCH_AGAIN_MS }, moment)
  // An upgrade removes old versions of a resource: the newest may be served by now.
  if (isStatus(failure, 404)) return retry({ ...state, version: 0 }, failure, 'BEGIN', moment)
  // The server rejects our version as such: it is of another life of the cluster.
  if (isStatus(failure, 400, 422)) return retry({ ...state, unavailable: true }, failure, 'BEGIN', moment)
  if (failure.kind === 'TRANSPORT' && isSettled(phase.stream, moment)) {
    return onBroken(state, failure, moment)
  }
  return retry(state, failure, 'WATCH', moment)
}

/**
 * A connection that breaks in the middle of a good life is no news (load balancers do it): the watch is
 * resumed at once, and nothing is said. Soon after another failure it is news, but the server did
 * serve us in between: the wait does not grow.
 */
function onBroken<K extends Kind>(state: ReflectorState<K>, failure: Failure, moment: Moment): Result<K> {
  const { backoff, clusterDown } = state
  if (!clusterDown && !isTroubled(backoff, moment.now)) {
    return watch({ ...state, backoff: failed(backoff, moment.now) }, moment)
  }
  const served = { ...backoff, attempts: Math.min(backoff.attempts, 1) }
  return retry({ ...state, backoff: served }, failure, 'WATCH', moment)
}

/** The server has lost our version, or never had it: only its most recent state will do. */
function beginAnew<K extends Kind>(state: ReflectorState<K>, failure: Failure, moment: Moment): Result<K> {
  const next = { ...state, unavailable: true }
  // At once, but not for ever: an API server that forgets faster than it lists gets time.
  if (isTroubled(state.backoff, moment.now)) return retry(next, failure, 'BEGIN', moment)
  return go({ ...next, backoff: failed(state.backoff, moment.now) }, 'BEGIN', moment)
}

function retry<K extends Kind>(
  state: ReflectorState<K>,
  failure: Failure,
  next: 'BEGIN' | 'WATCH',
  moment: Moment,
): Result<K> {
  const backoff = failed(state.backoff, moment.now)
  const asked = Math.min((failure.kind === 'STATUS' && failure.retryAfterMs) || 0, RETRY_AFTER_MOST_MS)
  const at = moment.now + asked + delayMs(backoff, moment.random)
  return wait(
    sayDown({ ...state, backoff, renewing: false }, problemOf(failure, state.config.resource)),
    at,
    next,
  )
}

/** Nothing that time alone will mend, so it is tried ever more rarely: at last every `ms`. */
function giveUpFor<K extends Kind>(
  ms: number,
  state: ReflectorState<K>,
  failure: Failure,
  moment: Moment,
): Result<K> {
  const backoff = { attempts: state.backoff.attempts + 1, failedAt: moment.now }
  const pause = Math.min(ms, GIVEN_UP_FIRST_MS * 2 ** Math.min(state.backoff.attempts, 16))
  const problem = problemOf(failure, state.config.resource)
  const said = sayDown({ ...state, backoff, renewing: false }, problem)
  return wait(said, moment.now + jittered(pause, moment), 'BEGIN')
}

// ── Time, and the cluster ───────────────────────────────────────────────────────────────────────

function onWake<K extends Kind>(state: ReflectorState<K>, moment: Moment): Result<K> {
  const due = deadline(state)
  if (due === null || moment.now < due) return [state, NOTHING]
  const { phase } = state
  switch (phase.name) {
    case 'HELD':
      return [state, NOTHING]
    case 'WAITING':
      return go(state, phase.next, moment)
    case 'LISTING':
      return aborting(
        retry(
          state,
          { kind: 'TRANSPORT', code: 'TIMEOUT', message: 'the list stopped half-way' },
          'BEGIN',
          moment,
        ),
      )
    case 'STREAMING':
      return aborting(withoutStreaming(state, moment))
    case 'WATCHING': {
      const { openedAt, heardAt } = phase.stream
      if (openedAt === null) return [state, NOTHING]
      if (moment.now >= Math.min(heardAt + IDLE_MS, overdueAt(phase.stream, openedAt))) {
        // Half-open, or only quiet: a resume from the last version finds out and loses nothing.
        return aborting(go(state, 'WATCH', moment))
      }
      return state.clusterDown ? [state, NOTHING] : sayUp([state, NOTHING])
    }
  }
}

function onClusterUp<K extends Kind>(state: ReflectorState<K>, moment: Moment): Result<K> {
  const next = { ...state, clusterDown: false, backoff: NO_FAILURES, renewing: false }
  switch (state.phase.name) {
    case 'HELD':
      return begin(next, moment)
    case 'WAITING':
      return go(next, state.phase.next, moment)
    case 'WATCHING':
      // The stream may have died in the meantime without a word.
      return state.clusterDown ? aborting(watch(next, moment)) : [next, NOTHING]
    default:
      return [next, NOTHING]
  }
}

function onClusterDown<K extends Kind>(
  state: ReflectorState<K>,
  problem: FeedProblem,
  moment: Moment,
): Result<K> {
  const { phase } = state
  const [said, outputs] = sayDown({ ...state, clusterDown: true }, problem)
  switch (phase.name) {
    case 'HELD':
      return [said, outputs]
    case 'WAITING':
      return wait([said, outputs], phase.at, phase.next)
    case 'WATCHING':
      // It may be alive still: what it brings is welcome.
      if (phase.stream.openedAt !== null) return [said, outputs]
      return aborting(wait([said, outputs], moment.now, 'WATCH'))
    default:
      return aborting(wait([said, outputs], moment.now, 'BEGIN'))
  }
}

// ── Small parts ─────────────────────────────────────────────────────────────────────────────────

function go<K extends Kind>(state: ReflectorState<K>, next: 'BEGIN' | 'WATCH', moment: Moment): Result<K> {
  if (state.clusterDown) return wait([state, NOTHING], moment.now, next)
  return next === 'WATCH' ? watch(state, moment) : begin(state, moment)
}

/** While the cluster is down nothing is tried: its probe knows when to. */
function wait<K extends Kind>(
  [state, outputs]: Result<K>,
  at: number | null,
  next: 'BEGIN' | 'WATCH',
): Result<K> {
  return [{ ...state, phase: { name: 'WAITING', at: state.clusterDown ? null : at, next } }, outputs]
}

function sayDown<K extends Kind>(state: ReflectorState<K>, problem: FeedProblem): Result<K> {
  const { problem: said } = state
  if (said?.code === problem.code && said.message === problem.message) return [state, NOTHING]
  return [{ ...state, problem }, [step({ type: 'Down', problem })]]
}

/** Takes `Down` back; `first` where the event in hand is the proof of it. */
function sayUp<K extends Kind>([state, outputs]: Result<K>, first = false): Result<K> {
  if (state.problem === null) return [state, outputs]
  const up = step<K>({ type: 'Up' })
  return [{ ...state, problem: null }, first ? [up, ...outputs] : [...outputs, up]]
}
