/**
 * What can be followed, and what a follower is told: the contract between whoever asks for changes (the
 * graph, through the AuthorizedFleet), whoever brings them (the hub) and whoever sends them on (the
 * server's sockets).
 */
import type { Cluster } from '../fleet/cluster.ts'
import type { Scope, Selection } from '../fleet/selection.ts'
import type { Kind, Row } from '../kubernetes/rows.ts'

/**
 * Whose eyes a stream is seen with. Rights change while streams are open: the hub asks again when it is told so
 * (`rightsChanged`), and never keeps an answer beyond that.
 */
export interface Eyes {
  /** Names what may be seen now: followers with one key may see the same, and are told the same. */
  readonly key: string
  /** What may be followed of one table; `undefined`: nothing. The same object while it says the same. */
  scope(cluster: Cluster, kind: Kind): Scope | undefined
  /** Whether that is decided, and not nothing for as long as it is found out. Absent: it always is. */
  isDecided?(cluster: Cluster, kind: Kind): boolean
  /** Set by whoever is to know when these eyes see less than before. */
  witness?: Witness | undefined
}

/** Keeps account of what streams lose. There may be one for each stream that is open: it holds little. */
export interface Witness {
  /** Of these clusters, by their names, less is seen than before, or nothing. Told within two seconds. */
  lost(clusters: readonly string[]): void
}

/** Rows to be followed. */
export interface RowsRequest<R extends Row = Row> {
  readonly type: 'rows'
  readonly kinds: readonly R['kind'][]
  /** Which clusters; asked again when one joins the fleet or its labels change. Must be pure. */
  readonly clusters: (cluster: Cluster) => boolean
  readonly selection: Selection<R>
  /** Sent at most once in so many milliseconds, changes of one object put together; 0: at once. */
  readonly throttleMs: number
}

/**
 * Something that is made anew from whole tables (a summary): a SYNCED event without a cursor when a follower
 * joins, and whenever it may be another one. A payload that is the same as the last is not sent. `start` has
 * no meaning for it.
 */
export interface RecomputedRequest {
  readonly type: 'recomputed'
  readonly kinds: readonly Kind[]
  readonly clusters: (cluster: Cluster) => boolean
  /** At most once in so many milliseconds; the first one at once. */
  readonly intervalMs: number
}

/**
 * The health and the labels of clusters: ADDED, MODIFIED and DELETED with `cluster` and no object. There are
 * no positions: every cursor is `null`, and any `after` gives RESYNC.
 */
export interface ClustersRequest {
  readonly type: 'clusters'
  readonly clusters: (cluster: Cluster) => boolean
}

export type LiveRequest<R extends Row = Row> = RowsRequest<R> | RecomputedRequest | ClustersRequest

/** Where one follower begins. Followers of one request may begin in different places. */
export interface LiveStart {
  /** First what is there, as ADDED, then one SYNCED. Ignored with `after`, but for its RESYNC. */
  readonly snapshot: boolean
  /**
   * Go on after this cursor: first all changes since, then SYNCED. Where that is not possible RESYNC, then
   * what is there as ADDED, then SYNCED: whoever keeps a copy drops what did not come again in between.
   */
  readonly after?: string
}

/**
 * `ADDED`: came into being, or into the filter. `MODIFIED`. `DELETED`: with the last state, and `reason`.
 * `SYNCED`: all that `snapshot` or `after` asked for has been sent; later events are as they happen.
 * `RESYNC`: events were left out; ADDED for everything and SYNCED follow. `CLUSTER_DOWN`: a cluster is not
 * followed at the moment, its objects stay; `CLUSTER_UP`: it is again, and the differences have been sent. At
 * its start, and after RESYNC, a stream tells CLUSTER_DOWN of each cluster that is not followed then.
 */
export const LIVE_EVENT_TYPES = [
  'ADDED',
  'MODIFIED',
  'DELETED',
  'SYNCED',
  'RESYNC',
  'CLUSTER_UP',
  'CLUSTER_DOWN',
] as const
export type LiveEventType = (typeof LIVE_EVENT_TYPES)[number]

/** Why an object is DELETED for a follower. */
export const DELETED_REASONS = [
  /** The object is gone. */
  'OBJECT_DELETED',
  /** It does not match the filter any more. */
  'FILTER',
  /** The viewer may not see it any more. */
  'FORBIDDEN',
  /** Its cluster left the fleet, or the filter. */
  'CLUSTER_REMOVED',
] as const
export type DeletedReason = (typeof DELETED_REASONS)[number]

export interface LiveEvent<R extends Row = Row> {
  readonly type: LiveEventType
  /** Of ADDED, MODIFIED and DELETED. */
  readonly object: R | null
  /** Of MODIFIED and DELETED: what the follower was told of it last. */
  readonly previous: R | null
  /** Of DELETED. */
  readonly deletedReason: DeletedReason | null
  /** The cluster of the object, or the one that is up or down; `null` for SYNCED and RESYNC. */
  readonly cluster: Cluster | null
  /** Of DELETED, RESYNC and CLUSTER_DOWN: a sentence for a person. */
  readonly message: string | null
  /**
   * All up to here has been sent: a valid `after`. `null`: the one before it still holds, and where there was
   * none, nothing can be gone on from: within a snapshot, and in streams that have no positions. Made when it
   * is read.
   */
  readonly cursor: string | null
}

/** An event as bytes: one JSON text without a line break, the same for everyone in a group. */
export type Payload = Buffer

/**
 * Turns events into payloads, one for one; called once for a group, in order, with the fleet as it is at that
 * moment, and what the follower who gave it may see of it. A snapshot, or what one follower alone missed, is
 * rendered for that follower.
 */
export type Render<P = Payload> = (events: readonly LiveEvent[]) => readonly P[]

/** Where payloads go: one follower's end of a socket. */
export interface Sink<P = Payload> {
  /** False while what was written before has not gone out: nothing is written then. */
  readonly ready: boolean
  /** In order. For one batch every sink of a group gets the same array, so that work on it can be shared. */
  write(payloads: readonly P[]): void
  /** Set by the hub; the sink calls it when it is ready again. */
  onReady: (() => void) | undefined
  /**
   * Takes back what was written and nobody has read yet, oldest first; a sink that cannot, a socket, has none. What
   * may be seen may have become less since.
   */
  recall?(): readonly P[]
  /** The stream is over, by the server: it closes, or the request cannot be followed any more. */
  end(reason: string): void
}

/** What an iterator throws whose stream the server ended, as `Sink.end` tells others. */
export class StreamEnded extends Error {
  override readonly name = 'StreamEnded'
  readonly code = 'STREAM_ENDED'
}

/** A follower; `leave` ends it, after which its sink is not touched again. Idempotent. */
export interface Membership {
  leave(): void
}

/** What `Hub.join` takes. */
export interface Join {
  /** Followers with one key share all work while their eyes see the same: it names the document and the variables. */
  readonly key: string
  readonly eyes: Eyes
  readonly request: LiveRequest
  /** That of a follower who is there, with the rights of the group, is used for all of it. */
  readonly render: Render
  readonly start: LiveStart
  readonly sink: Sink
}

/** The hub, as its users see it; `hub.ts` is it. */
export interface LiveHub {
  /** Throws `PositionError` where `start.after` is no cursor. Nothing is written before it returns. */
  join(join: Join): Membership
  /**
   * The same for one follower alone, as events: for executors that know no groups. Ends with the signal or
   * with `return`; throws `StreamEnded` where it is the server that ends it. What is not pulled waits within
   * the bounds that sockets have.
   */
  iterate(
    request: LiveRequest,
    eyes: Eyes,
    start: LiveStart,
    signal?: AbortSignal,
  ): AsyncIterableIterator<LiveEvent>
}

/**
 * What a subscription's source stream is: what to follow and where to begin. An executor that knows the hub
 * joins it, so that work is shared; any other iterates.
 */
export class LiveSource implements AsyncIterable<LiveEvent> {
  readonly hub: LiveHub
  readonly request: LiveRequest
  readonly eyes: Eyes
  readonly start: LiveStart
  readonly #signal: AbortSignal | undefined

  constructor(hub: LiveHub, request: LiveRequest, eyes: Eyes, start: LiveStart, signal?: AbortSignal) {
    this.hub = hub
    this.request = request
    this.eyes = eyes
    this.start = start
    this.#signal = signal
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<LiveEvent> {
    return this.hub.iterate(this.request, this.eyes, this.start, this.#signal)
  }
}
