/**
 * A client that believes its stream and nothing else: it subscribes to every kind through the real
 * `graphql-ws` client, keeps a copy of the fleet only from what it is sent, and moves to another replica
 * with `after` when its connection ends, however that happened. What contradicts its copy is written down.
 *
 * It knows no code of `src/` but the names of kinds: a fault of our own must not hide in the test's tools.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient, type Client } from 'graphql-ws'
import { WebSocket } from 'ws'
import { ALL_KINDS } from '../../src/kubernetes/kinds.ts'
import { ADMIN } from './test-tokens.ts'

export interface CheckerClientOptions {
  readonly name: string
  /** The replicas' endpoints: `http://127.0.0.1:4000/graphql`. */
  readonly urls: readonly string[]
  /** Index of the replica to begin with; default 0. */
  readonly first?: number
  /** Default: every kind. */
  readonly kinds?: readonly string[]
  /** Go on after this cursor, with an empty copy, instead of a snapshot. */
  readonly after?: string
  /** Default: the administrator's. */
  readonly token?: string
}

/** An object as the stream told it last. */
export interface Held {
  readonly id: string
  readonly uid: string
  readonly kind: string
  readonly cluster: string
  readonly namespace: string | null
  readonly name: string
  readonly resourceVersion: string
}

export interface Told {
  readonly uid: string
  readonly object: string
  /** `performance.now()`. */
  readonly at: number
}

interface LiveMessage {
  readonly objectChanges: {
    readonly type: string
    readonly cursor: string | null
    readonly deletedReason: string | null
    readonly message: string | null
    readonly cluster: { readonly name: string } | null
    readonly coverage: readonly { readonly cluster: string; readonly state: string }[]
    readonly object: (Omit<Held, 'cluster'> & { readonly cluster: { readonly name: string } }) | null
  }
}
type LiveEvent = LiveMessage['objectChanges']

const DOCUMENT = /* GraphQL */ `
  subscription Checker($kinds: [Kind!]!, $snapshot: Boolean, $after: String) {
    objectChanges(kinds: $kinds, snapshot: $snapshot, after: $after) {
      type
      cursor
      deletedReason
      message
      cluster {
        name
      }
      coverage {
        cluster
        state
      }
      object {
        id
        uid
        kind
        cluster {
          name
        }
        namespace
        name
        resourceVersion
      }
    }
  }
`

/** Between two connections; enough for a replica to have died before it is asked again. */
const PAUSE_MS = 100

export class CheckerClient {
  readonly name: string
  readonly kinds: readonly string[]
  /** By global id. */
  readonly copy = new Map<string, Held>()
  /** uids that were ever in the copy. */
  readonly known = new Set<string>()
  /** DELETED, in order, with the reason that was given. */
  readonly deleted: (Told & { readonly reason: string })[] = []
  /**
   * What a RESYNC, or a new snapshot, did not show again; `at` is when that began. `current`: though its
   * cluster was said to be shown whole.
   */
  readonly dropped: (Told & { readonly current: boolean })[] = []
  /** Events that contradict the copy. Nothing may ever be here. */
  readonly surprises: string[] = []
  /** Clusters that are said to be down. */
  readonly down = new Set<string>()
  readonly counts = { events: 0, connections: 0, resumes: 0, resyncs: 0, synced: 0, replayed: 0, errors: 0 }
  /** Why connections ended, counted. */
  readonly endings = new Map<string, number>()
  /** Sentences of RESYNC events, counted. */
  readonly resyncReasons = new Map<string, number>()
  readonly #urls: readonly string[]
  readonly #closing = new AbortController()
  readonly #running: Promise<void>
  readonly #waiting = new Set<() => void>()
  readonly #began = performance.now()
  #turn: number
  #cursor: string | undefined
  /** All that was sent since the cursor moved last: it can come again after a resume. */
  readonly #sinceCursor = new Set<string>()
  #tolerated: ReadonlySet<string> = new Set()
  #phase: 'scan' | 'replay' | 'live' = 'scan'
  readonly #seen = new Set<string>()
  #scanBegan = 0
  readonly #token: string
  #socket: WebSocket | undefined
  #client: Client | undefined

  constructor(options: CheckerClientOptions) {
    const { name, urls, first = 0, kinds = ALL_KINDS, after, token = ADMIN.token } = options
    this.name = name
    this.#urls = urls
    this.kinds = kinds
    this.#token = token
    this.#turn = first
    this.#cursor = after
    this.#running = this.#run()
  }

  /** Index of the replica that it is connected to, or tries to reach. */
  get replica(): number {
    return this.#turn % this.#urls.length
  }

  /** What it would resume with. */
  get cursor(): string | undefined {
    return this.#cursor
  }

  /** SYNCED has come, and the connection stands. */
  get live(): boolean {
    return this.#phase === 'live' && this.#socket !== undefined
  }

  /** Resolves when the condition holds, looked at after each event. */
  until(condition: (client: this) => boolean, what: string, timeoutMs = 30_000): Promise<void> {
    if (condition(this)) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(look)
        reject(new Error(`${this.name}: ${what} did not come within ${timeoutMs} ms: ${this.describe()}`))
      }, timeoutMs)
      const look = (): void => {
        if (!condition(this)) return
        clearTimeout(timer)
        this.#waiting.delete(look)
        resolve()
      }
      this.#waiting.add(look)
    })
  }

  untilLive(timeoutMs?: number): Promise<void> {
    return this.until(({ live }) => live, 'SYNCED', timeoutMs)
  }

  /** Tears the connection, without a close frame, and goes to another replica. */
  cut(): void {
    this.#socket?.terminate()
  }

  /** Stops reading its socket, as a browser's tab in a debugger does. */
  pause(): void {
    this.#socket?.pause()
  }

  resume(): void {
    this.#socket?.resume()
  }

  describe(): string {
    const { events, connections, resumes, resyncs, replayed } = this.counts
    return `${this.copy.size} objects, ${events} events, ${this.deleted.length} DELETED, ${connections} connections, ${resumes} resumes (${replayed} repeated), ${resyncs} RESYNC, ${this.dropped.length} dropped, ${this.surprises.length} surprises`
  }

  async close(): Promise<void> {
    this.#closing.abort()
    this.resume()
    await this.#client?.dispose()
    await this.#running
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing
    while (!signal.aborted) {
      const ending = await this.#follow(this.#urls[this.replica]!)
      this.#socket = undefined
      if (signal.aborted) return
      count(this.endings, ending)
      this.#turn += 1
      await sleep(PAUSE_MS, undefined, { signal }).catch(() => undefined)
    }
  }

  /** One connection; answers why it ended. */
  #follow(url: string): Promise<string> {
    const after = this.#cursor
    this.#begin(after)
    const client = createClient({
      url: url.replace(/^http/, 'ws'),
      webSocketImpl: WebSocket,
      retryAttempts: 0,
      connectionAckWaitTimeout: 10_000,
      connectionParams: { authorization: `Bearer ${this.#token}` },
      on: {
        connected: (socket) => {
          this.#socket = socket as WebSocket
          this.counts.connections += 1
        },
      },
    })
    this.#client = client
    return new Promise<string>((resolve) => {
      client.subscribe<LiveMessage>(
        { query: DOCUMENT, variables: { kinds: this.kinds, snapshot: true, after: after ?? null } },
        {
          next: ({ data, errors }) => {
            if (data && !errors) this.#take(data.objectChanges)
            else {
              this.counts.errors += 1
              this.#surprised(`an answer with errors: ${JSON.stringify(errors)}`)
            }
          },
          error: (error) => resolve(sentence(error)),
          complete: () => resolve('complete'),
        },
      )
    }).then(async (ending) => {
      await client.dispose()
      return ending
    })
  }

  #begin(after: string | undefined): void {
    // A new stream tells anew which clusters are down.
    this.down.clear()
    if (after === undefined) this.#scan()
    else {
      this.counts.resumes += 1
      this.#tolerated = new Set(this.#sinceCursor)
      this.#phase = 'replay'
    }
  }

  #scan(): void {
    this.#phase = 'scan'
    this.#seen.clear()
    this.#scanBegan = performance.now()
  }

  #take(event: LiveEvent): void {
    this.counts.events += 1
    if (event.cursor !== null && event.cursor !== this.#cursor) {
      this.#cursor = event.cursor
      this.#sinceCursor.clear()
    }
    switch (event.type) {
      case 'ADDED':
      case 'MODIFIED':
        this.#set(event)
        break
      case 'DELETED':
        this.#delete(event)
        break
      case 'SYNCED':
        this.#synced(event)
        break
      case 'RESYNC':
        this.counts.resyncs += 1
        count(this.resyncReasons, event.message ?? '(no message)')
        this.#scan()
        break
      case 'CLUSTER_DOWN':
        if (event.cluster) this.down.add(event.cluster.name)
        break
      case 'CLUSTER_UP':
        if (event.cluster) this.down.delete(event.cluster.name)
        break
      default:
        this.#surprised(`an event of the unknown type ${event.type}`)
    }
    for (const look of this.#waiting) look()
  }

  #set({ type, object, cluster }: LiveEvent): void {
    if (object === null) {
      this.#surprised(`${type} without an object`)
      return
    }
    const held: Held = { ...object, cluster: object.cluster.name }
    if (cluster?.name !== held.cluster) this.#surprised(`${type} ${show(held)} names another cluster`)
    const before = this.copy.get(held.id)
    this.#judge(type, held, before)
    // Another object of the same name: what is sent whole does not tell of the one before.
    if (before && before.uid !== held.uid && (this.#phase === 'scan' || this.#tolerated.has(held.id))) {
      this.dropped.push({ uid: before.uid, object: show(before), at: this.#scanBegan, current: false })
    }
    this.copy.set(held.id, held)
    this.known.add(held.uid)
    this.#seen.add(held.id)
    this.#sinceCursor.add(held.id)
  }

  /** While the stream is continuous each event has to fit what came before it. */
  #judge(type: string, held: Held, before: Held | undefined): void {
    if (this.#tolerated.has(held.id)) return
    const known =
      this.#phase === 'scan' ? this.#seen.has(held.id) && before !== undefined : before !== undefined
    const wrong =
      type === 'ADDED'
        ? known && `ADDED of something known`
        : !known
          ? `MODIFIED of something unknown`
          : before?.uid !== held.uid
            ? `MODIFIED into another object`
            : BigInt(held.resourceVersion) <= BigInt(before.resourceVersion) &&
              `MODIFIED from ${before.resourceVersion} to what is no newer`
    if (wrong === false) return
    if (this.#phase === 'replay') this.counts.replayed += 1
    else this.#surprised(`${wrong} (${this.#phase}): ${show(held)}`)
  }

  #delete({ object, deletedReason }: LiveEvent): void {
    if (object === null) {
      this.#surprised('DELETED without an object')
      return
    }
    const held: Held = { ...object, cluster: object.cluster.name }
    const before = this.copy.get(held.id)
    if (before?.uid === held.uid) {
      this.copy.delete(held.id)
      this.deleted.push({
        uid: held.uid,
        object: show(held),
        at: performance.now(),
        reason: deletedReason ?? '(no reason)',
      })
    } else if (!this.#tolerated.has(held.id)) {
      if (this.#phase === 'replay') this.counts.replayed += 1
      else this.#surprised(`DELETED of something unknown (${this.#phase}): ${show(held)}`)
    }
    this.#sinceCursor.add(held.id)
  }

  #surprised(what: string): void {
    const seconds = (performance.now() - this.#began) / 1000
    this.surprises.push(`${what}, after ${seconds.toFixed(1)} s, of replica ${this.replica}`)
  }

  #synced({ coverage }: LiveEvent): void {
    this.counts.synced += 1
    if (this.#phase === 'scan') {
      const whole = new Set(coverage.flatMap(({ cluster, state }) => (state === 'CURRENT' ? [cluster] : [])))
      for (const [id, held] of this.copy) {
        if (this.#seen.has(id)) continue
        this.copy.delete(id)
        this.dropped.push({
          uid: held.uid,
          object: show(held),
          at: this.#scanBegan,
          current: whole.has(held.cluster),
        })
      }
      this.#tolerated = new Set()
    }
    this.#phase = 'live'
    this.#seen.clear()
  }
}

function show({ cluster, kind, namespace, name, resourceVersion }: Held): string {
  return `${cluster} ${kind} ${namespace === null ? '' : `${namespace}/`}${name} at ${resourceVersion}`
}

function sentence(error: unknown): string {
  if (error instanceof Error) return error.message
  if (typeof error === 'object' && error !== null && 'code' in error) {
    const { code, reason } = error as { readonly code: unknown; readonly reason?: unknown }
    return `closed with ${String(code)}${typeof reason === 'string' && reason !== '' ? ` ${reason}` : ''}`
  }
  // What `ws` hands out where no connection came to be.
  if (typeof error === 'object' && error !== null && 'message' in error) return String(error.message)
  return JSON.stringify(error)
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}
