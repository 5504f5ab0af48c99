/**
 * The watch feed: follows one resource of one API server and hands its table the steps. It runs the
 * reflector (`reflector.ts`), which decides; here requests are made, bytes become rows, and time passes.
 *
 * Invariants: at most one request is under way, and nothing of an ended one is ever handed on; an object
 * that cannot be read is counted and said, and stops nothing; the event loop turns every few milliseconds
 * (`ingest-turns.ts`), and a server that sends faster than that is paused at its socket.
 *
 * It deliberately does not know whether the cluster is up: its cluster says so.
 */
import { type ApiClient, type ByteStream, type Status } from '../kubernetes/client.ts'
import { KINDS, type Projection, resourcePath } from '../kubernetes/kinds.ts'
import type { Kind, Rows } from '../kubernetes/rows.ts'
import type { Clock } from './clock.ts'
import type { FeedProblem } from './feed.ts'
import { type Decoder, ListItems, MalformedAnswer, WatchLines } from './ingest.ts'
import type { Turns } from './ingest-turns.ts'
import { reflect } from './reflector.ts'
import { type Failure, failureOfError, failureOfStatus } from './reflector-failure.ts'
import { deadline, type Input, type Output, type ReflectorState, startReflector } from './reflector-state.ts'
import type { SyncSlot, SyncSlots } from './sync-slots.ts'
import type { TableReader, TableWriter } from './table.ts'

export interface WatchFeedOptions<K extends Kind> {
  readonly kind: K
  /** The cluster's name, for its rows. */
  readonly cluster: string
  readonly client: ApiClient
  readonly project: Projection<K>
  /** Where it has content, that is gone on from. */
  readonly table: Pick<TableReader<K>, 'status' | 'whole'> & TableWriter<K>
  readonly clock: Clock
  readonly turns: Turns
  readonly slots: Pick<SyncSlots, 'request'>
  /** In [0, 1); default `Math.random`. */
  readonly random?: () => number
  /** Bytes came from the API server. */
  readonly onContact?: () => void
  /** A request failed; the cluster may want to know why sooner. */
  readonly onFailure?: (failure: Failure) => void
  /** An object could not be made a row. `object` names it as well as it can be named. */
  readonly onObjectError?: (object: string, error: unknown) => void
}

/** Counted since the feed began. */
export interface FeedCounters {
  readonly events: number
  readonly objectErrors: number
  /** Complete initial states. */
  readonly syncs: number
  readonly requests: number
}

/** Of the API server's answer to a watch until its headers: they come at once, or something is wrong. */
const WATCH_TIMEOUT_MS = 15_000
/** For the first byte of an initial state, before others get its turn. */
const PATIENCE_MS = 2_000
const LIST_TIMEOUT_MS = 30_000
/** Bytes that wait to be parsed: past the one the socket is read no further, below the other it is again. */
const PAUSE_AT = 1024 * 1024
const RESUME_AT = 256 * 1024

interface Exchange {
  readonly decoder: Decoder
  readonly verb: 'watch' | 'list'
  stream: ByteStream | undefined
  /** When the last bytes came; epoch milliseconds, 0 before. */
  heardAt: number
  paused: boolean
  /** The last word of the answer, which waits until all before it is handed on. */
  ending: { readonly error: Error | undefined } | undefined
  /** Left to a later turn. */
  queued: boolean
}

interface WatchEvent {
  readonly type?: string
  readonly object?: {
    readonly metadata?: {
      readonly name?: string
      readonly namespace?: string
      readonly resourceVersion?: string
      readonly annotations?: Readonly<Record<string, string>>
    }
  }
}

export class WatchFeed<K extends Kind> {
  readonly kind: K
  readonly #options: WatchFeedOptions<K>
  readonly #random: () => number
  #state: ReflectorState<K>
  #exchange: Exchange | undefined
  #slot: SyncSlot | undefined
  #cancelPatience: (() => void) | undefined
  #timer: { readonly at: number; readonly cancel: () => void } | undefined
  #closed = false
  #events = 0
  #objectErrors = 0
  #syncs = 0
  #requests = 0

  constructor(options: WatchFeedOptions<K>) {
    const { kind, table, random = Math.random } = options
    const { asOf, resourceVersion, problem } = table.status
    this.kind = kind
    this.#options = options
    this.#random = random
    this.#state = startReflector(
      {
        resource: KINDS[kind].resource,
        versions: KINDS[kind].versions.length,
        streamingLists: true,
      },
      { resourceVersion: asOf === null ? null : resourceVersion, whole: table.whole, problem },
    )
  }

  get counters(): FeedCounters {
    return {
      events: this.#events,
      objectErrors: this.#objectErrors,
      syncs: this.#syncs,
      requests: this.#requests,
    }
  }

  /** The API server answers: begin, or go on at once. Nothing is asked before the first call. */
  clusterUp(): void {
    this.#put({ type: 'ClusterUp' })
  }

  /** It does not: the table is not current, and nothing is tried until `clusterUp`. */
  clusterDown(problem: FeedProblem): void {
    this.#put({ type: 'ClusterDown', problem })
  }

  /** Ends its request and its timer. The table stays as it is, but for a content that is not whole yet. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#options.table.apply({ type: 'Cancel' })
    this.#end()
    this.#giveSlotBack()
    this.#timer?.cancel()
    this.#timer = undefined
  }

  // ── The reflector's inputs and outputs ────────────────────────────────────────────────────────

  #put(input: Input<K>, now = this.#options.clock.now()): void {
    if (this.#closed) return
    const moment = { now, random: this.#random() }
    const [state, outputs] = reflect(this.#state, input, moment)
    this.#state = state
    for (const output of outputs) this.#perform(output)
    // Objects only ever put the deadline off: a timer that fires early looks again.
    if (input.type === 'Event' || input.type === 'Item' || input.type === 'Heard') return
    const { name } = this.#state.phase
    if (name !== 'STREAMING' && name !== 'LISTING') {
      this.#giveSlotBack()
    }
    this.#arm()
  }

  #perform(output: Output<K>): void {
    switch (output.type) {
      case 'Step':
        if (output.step.type === 'InitDone') this.#syncs++
        this.#options.table.apply(output.step)
        return
      case 'Abort':
        this.#end()
        return
      case 'Request':
        if (!output.initial || this.#slot) this.#request(output)
        else this.#slot = this.#options.slots.request(() => this.#begin(output))
    }
  }

  /** The turn has come. A server that hangs must not make the tables of other clusters wait for it. */
  #begin(request: Extract<Output<K>, { type: 'Request' }>): void {
    this.#request(request)
    this.#cancelPatience = this.#options.clock.after(PATIENCE_MS, () => {
      if (!this.#exchange?.heardAt) this.#slot?.lend()
    })
  }

  #giveSlotBack(): void {
    this.#slot?.release()
    this.#slot = undefined
    this.#cancelPatience?.()
    this.#cancelPatience = undefined
  }

  #arm(): void {
    const due = deadline(this.#state)
    if (due === null || this.#closed) {
      this.#timer?.cancel()
      this.#timer = undefined
      return
    }
    if (this.#timer && this.#timer.at <= due) return
    this.#timer?.cancel()
    const { clock } = this.#options
    const cancel = clock.after(Math.max(0, due - clock.now()), () => {
      this.#timer = undefined
      // Of an object that comes slowly the reflector knows nothing yet.
      if (this.#exchange) this.#put({ type: 'Heard', at: this.#exchange.heardAt })
      // Where the clock was set back since, its time has come all the same.
      this.#put({ type: 'Wake' }, Math.max(due, clock.now()))
    })
    this.#timer = { at: due, cancel }
  }

  // ── Requests ──────────────────────────────────────────────────────────────────────────────────

  #request({ verb, query, version }: Extract<Output<K>, { type: 'Request' }>): void {
    const { client, kind, onContact } = this.#options
    const { group, resource, versions } = KINDS[kind]
    const exchange: Exchange = {
      decoder: verb === 'watch' ? new WatchLines() : new ListItems(),
      verb,
      stream: undefined,
      heardAt: 0,
      paused: false,
      ending: undefined,
      queued: false,
    }
    this.#exchange = exchange
    this.#requests++
    const stream = client.stream(
      {
        path: resourcePath({ group, resource, version: versions[version] ?? versions[0] }),
        query,
        timeoutMs: verb === 'watch' ? WATCH_TIMEOUT_MS : LIST_TIMEOUT_MS,
      },
      {
        onStart: () => {
          onContact?.()
          if (this.#exchange === exchange) this.#put({ type: 'Opened' })
        },
        onData: (chunk) => {
          onContact?.()
          if (this.#exchange === exchange) this.#receive(exchange, chunk)
        },
        onEnd: () => this.#finish(exchange, undefined),
        onError: (error) => this.#finish(exchange, error),
      },
    )
    if (this.#exchange === exchange) exchange.stream = stream
    else stream.abort()
  }

  /** Ends the request under way; nothing more of it is heard. */
  #end(): void {
    const exchange = this.#exchange
    this.#exchange = undefined
    exchange?.stream?.abort()
  }

  #receive(exchange: Exchange, chunk: Buffer): void {
    const { decoder } = exchange
    exchange.heardAt = this.#options.clock.now()
    decoder.write(chunk)
    if (!exchange.queued && this.#drain(exchange)) this.#leave(exchange)
    decoder.keep()
    // Only what waits for a turn: of an object that is not whole yet, the rest has to come.
    if (exchange.queued && !exchange.paused && decoder.pending > PAUSE_AT && exchange.stream) {
      exchange.paused = true
      exchange.stream.pause()
    }
  }

  #finish(exchange: Exchange, error: Error | undefined): void {
    if (this.#exchange !== exchange || exchange.ending) return
    exchange.ending = { error }
    if (!exchange.queued && this.#drain(exchange)) this.#leave(exchange)
  }

  /** Leaves the rest of what came to later turns. */
  #leave(exchange: Exchange): void {
    exchange.queued = true
    this.#options.turns.later(() => {
      const more = this.#drain(exchange)
      if (!more) exchange.queued = false
      const enough = !more || exchange.decoder.pending < RESUME_AT
      if (exchange.paused && enough && this.#exchange === exchange) {
        exchange.paused = false
        exchange.stream?.resume()
      }
      return more
    })
  }

  /** Hands on what came, as far as this turn has time; true where something is left. */
  #drain(exchange: Exchange): boolean {
    const { decoder, verb } = exchange
    const { turns } = this.#options
    try {
      while (this.#exchange === exchange) {
        if (turns.spent) return true
        const text = decoder.next()
        if (text === undefined) {
          if (exchange.ending) this.#conclude(exchange, exchange.ending.error)
          return false
        }
        if (verb === 'watch') this.#takeEvent(text)
        else this.#takeItem(text)
      }
    } catch (error) {
      // The bytes are not what they should be. What follows them cannot be trusted either.
      this.#fail(failureOfError(error))
    }
    return false
  }

  #conclude(exchange: Exchange, error: Error | undefined): void {
    if (error) return this.#fail(failureOfError(error))
    if (exchange.decoder instanceof ListItems) {
      const page = exchange.decoder.end()
      this.#exchange = undefined
      this.#put({ type: 'PageEnd', ...page })
    } else {
      this.#exchange = undefined
      this.#put({ type: 'Ended' })
    }
  }

  #fail(failure: Failure): void {
    this.#end()
    this.#options.onFailure?.(failure)
    this.#put({ type: 'Failed', failure })
  }

  // ── Objects ───────────────────────────────────────────────────────────────────────────────────

  #takeItem(text: string): void {
    this.#put({ type: 'Item', row: this.#project(parse(text)) })
  }

  #takeEvent(text: string): void {
    const { type, object } = parse(text) as WatchEvent
    switch (type) {
      case 'ADDED':
      case 'MODIFIED':
      case 'DELETED': {
        this.#events++
        const row = this.#project(object)
        const resourceVersion = row?.resourceVersion ?? object?.metadata?.resourceVersion ?? ''
        return this.#put({ type: 'Event', event: type, resourceVersion, row })
      }
      case 'BOOKMARK': {
        const { resourceVersion = '', annotations } = object?.metadata ?? {}
        const initialEventsEnd = annotations?.['k8s.io/initial-events-end'] === 'true'
        return this.#put({ type: 'Bookmark', resourceVersion, initialEventsEnd })
      }
      case 'ERROR':
        return this.#fail(failureOfStatus(object as Status))
      default:
        throw new MalformedAnswer(`a watch event is of the unknown type ${String(type)}`)
    }
  }

  #project(object: unknown): Rows[K] | undefined {
    const { project, cluster, kind, onObjectError } = this.#options
    try {
      return project(object, cluster)
    } catch (error) {
      this.#objectErrors++
      const { namespace = '', name = '?' } = (object as WatchEvent['object'])?.metadata ?? {}
      onObjectError?.(`${kind} ${namespace === '' ? name : `${namespace}/${name}`}`, error)
      return undefined
    }
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new MalformedAnswer('an object is not JSON', { cause })
  }
}
