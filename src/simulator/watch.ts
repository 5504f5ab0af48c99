/**
 * Live watches of one cluster. Commits go into one bounded queue per resource; each watch has a place in
 * it and is pumped when its socket can take more, so that no watch has a queue of its own and a slow one
 * holds nobody up: whoever falls behind the queue's start is cut off.
 *
 * Invariant: a watch gets every commit of its resource after its start, once, in order; an event is
 * serialised once for all watches that see it alike. Deliberately knows nothing of users or URLs.
 */
import type { ServerResponse } from 'node:http'
import { rowsTable, type TableFormat } from './printers.ts'
import type { KubeObject, ResourceKey } from './registry.ts'
import { groupVersion, keyOf, type ServedResource } from './resources.ts'
import type { Predicate } from './selectors.ts'
import type { HistoryEntry, Storage } from './storage.ts'
import { expired } from './status-error.ts'
import { toView } from './views.ts'

export interface WatchRequest {
  readonly served: ServedResource
  /** Undefined: the whole cluster. */
  readonly namespace: string | undefined
  readonly matches: Predicate | undefined
  /** Where to start: after this revision. */
  readonly from: number
  /** Objects to send first, as ADDED. */
  readonly initial: readonly KubeObject[] | undefined
  /** Whether the end of the initial events is marked (KEP-3157). */
  readonly marksInitialEnd: boolean
  readonly bookmarks: boolean
  readonly timeoutMs: number
  readonly format: TableFormat | 'object' | 'metadata'
  readonly response: ServerResponse
}

export interface WatchHubOptions {
  readonly storage: Storage
  /** Milliseconds between bookmarks. Default 60,000. */
  readonly bookmarkIntervalMs?: number
  /** Commits of one resource that a slow watch may lag behind. Default 10,000. */
  readonly maxLag?: number
}

interface QueueItem {
  readonly entry: HistoryEntry
  /** Serialised events by view and type, while watches are being pumped. */
  frames: Map<string, Buffer> | undefined
}

interface Queue {
  items: QueueItem[]
  /** Absolute index of items[0]. */
  start: number
  readonly watches: Set<Watch>
}

/** Longest stretch of one pump before other callbacks get their turn, in milliseconds. */
const sliceMs = 5
/** Bytes gathered into one write. */
const batchBytes = 1024 * 1024

export class WatchHub {
  readonly #storage: Storage
  readonly #queues = new Map<string, Queue>()
  readonly #dirty = new Set<Queue>()
  readonly #maxLag: number
  readonly #bookmarks: NodeJS.Timeout
  readonly #unsubscribe: () => void
  #planned: NodeJS.Immediate | undefined
  #frozen = false

  constructor({ storage, bookmarkIntervalMs = 60_000, maxLag = 10_000 }: WatchHubOptions) {
    this.#storage = storage
    this.#maxLag = maxLag
    this.#unsubscribe = storage.onCommit((entry) => this.#enqueue(entry))
    this.#bookmarks = setInterval(() => this.#sendBookmarks(), bookmarkIntervalMs)
    this.#bookmarks.unref()
  }

  /** Live watches by `group/resource`. */
  get live(): Readonly<Record<string, number>> {
    const counts: Record<string, number> = {}
    for (const [id, { watches }] of this.#queues) if (watches.size > 0) counts[id] = watches.size
    return counts
  }

  /** Starts answering; the response's head is written at once. */
  add(request: WatchRequest): void {
    const queue = this.#queue(request.served.definition)
    const missed = this.#storage.since(request.from)
    const { response } = request
    response.writeHead(200, {
      'content-type': request.format === 'object' ? 'application/json' : 'application/json;stream=watch',
      'cache-control': 'no-cache, private',
    })
    response.flushHeaders()
    if (missed === undefined) {
      const oldest = this.#storage.oldestRevision
      const { status } = expired(`too old resource version: ${request.from} (${oldest + 1})`)
      response.end(`${JSON.stringify({ type: 'ERROR', object: status })}\n`)
      return
    }
    const id = keyOf(request.served.definition)
    const backlog = missed.filter((entry) => keyOf(entry.key) === id)
    const watch = new Watch(request, queue, backlog, this.#storage, () => this.#frozen)
    queue.watches.add(watch)
    response.on('close', () => {
      watch.close()
      queue.watches.delete(watch)
      this.#trim(queue)
    })
    watch.pump()
  }

  /** Ends every watch: cleanly, or by tearing the socket. */
  drop(how: 'end' | 'destroy' = 'destroy'): void {
    for (const { watches } of this.#queues.values()) {
      for (const watch of watches) {
        if (how === 'end') watch.end()
        else watch.destroy()
      }
    }
  }

  freeze(): void {
    this.#frozen = true
  }

  thaw(): void {
    this.#frozen = false
    for (const queue of this.#queues.values()) this.#dirty.add(queue)
    this.#plan()
  }

  close(): void {
    clearInterval(this.#bookmarks)
    clearImmediate(this.#planned)
    this.#unsubscribe()
    this.drop()
  }

  #queue(key: ResourceKey): Queue {
    const id = keyOf(key)
    let queue = this.#queues.get(id)
    if (queue === undefined) this.#queues.set(id, (queue = { items: [], start: 0, watches: new Set() }))
    return queue
  }

  #enqueue(entry: HistoryEntry): void {
    const queue = this.#queues.get(keyOf(entry.key))
    if (queue === undefined || queue.watches.size === 0) return
    queue.items.push({ entry, frames: undefined })
    this.#dirty.add(queue)
    this.#plan()
  }

  #plan(): void {
    this.#planned ??= setImmediate(() => this.#pump())
  }

  #pump(): void {
    this.#planned = undefined
    const started = performance.now()
    for (const queue of this.#dirty) {
      this.#dirty.delete(queue)
      for (const watch of queue.watches) watch.pump()
      this.#trim(queue)
      if (performance.now() - started > sliceMs && this.#dirty.size > 0) {
        this.#plan()
        return
      }
    }
  }

  #trim(queue: Queue): void {
    let least = queue.start + queue.items.length
    for (const watch of queue.watches) {
      const lag = queue.start + queue.items.length - watch.position
      if (lag > this.#maxLag) watch.destroy()
      else least = Math.min(least, watch.position)
    }
    const done = least - queue.start
    // Frames of what stays queued (for blocked watches) are let go: memory over a second serialisation.
    for (let i = done; i < queue.items.length; i++) queue.items[i]!.frames = undefined
    if (done <= 0) return
    queue.items = done === queue.items.length ? [] : queue.items.slice(done)
    queue.start = least
  }

  #sendBookmarks(): void {
    if (this.#frozen) return
    for (const { watches } of this.#queues.values()) for (const watch of watches) watch.bookmark()
  }
}

class Watch {
  /** Absolute index in the queue of the next item to look at. */
  position: number
  readonly #request: WatchRequest
  readonly #queue: Queue
  readonly #storage: Storage
  readonly #frozen: () => boolean
  readonly #timeout: NodeJS.Timeout
  #initial: readonly KubeObject[]
  #initialNext = 0
  #backlog: readonly HistoryEntry[]
  #backlogNext = 0
  #marksInitialEnd: boolean
  readonly #initialRevision: number
  #blocked = false
  #again: NodeJS.Immediate | undefined
  #closed = false
  #columnsSent = false

  constructor(
    request: WatchRequest,
    queue: Queue,
    backlog: readonly HistoryEntry[],
    storage: Storage,
    frozen: () => boolean,
  ) {
    this.#request = request
    this.#queue = queue
    this.#storage = storage
    this.#frozen = frozen
    this.#initial = request.initial ?? []
    this.#backlog = backlog
    this.#marksInitialEnd = request.marksInitialEnd
    this.#initialRevision = request.from
    this.position = queue.start + queue.items.length
    this.#timeout = setTimeout(() => this.end(), request.timeoutMs)
    this.#timeout.unref()
  }

  /** Writes what there is, until the socket is full or the slice is over. */
  pump(): void {
    if (this.#closed || this.#blocked || this.#again !== undefined || this.#frozen()) return
    const started = performance.now()
    let batch: Buffer[] = []
    let size = 0
    const flush = (): boolean => {
      if (size === 0) return true
      const bytes = batch.length === 1 ? batch[0]! : Buffer.concat(batch, size)
      batch = []
      size = 0
      if (this.#request.response.write(bytes)) return true
      this.#blocked = true
      this.#request.response.once('drain', () => {
        this.#blocked = false
        // Not at once: a socket that takes all says so before the event loop has turned.
        this.#again ??= setImmediate(() => {
          this.#again = undefined
          this.pump()
        })
      })
      return false
    }
    for (;;) {
      const frame = this.#next()
      if (frame === undefined) break
      if (frame !== nothing) {
        batch.push(frame)
        size += frame.length
      }
      if (size >= batchBytes && !flush()) return
      if (performance.now() - started > sliceMs) {
        if (!flush()) return
        this.#again = setImmediate(() => {
          this.#again = undefined
          this.pump()
        })
        return
      }
    }
    flush()
  }

  bookmark(): void {
    if (!this.#request.bookmarks || this.#closed || this.#blocked || this.#marksInitialEnd) return
    this.pump()
    if (this.#blocked || this.#again !== undefined) return
    this.#request.response.write(this.#bookmarkFrame(this.#storage.revision, false))
  }

  end(): void {
    if (this.#closed) return
    this.bookmark()
    this.close()
    this.#request.response.end()
  }

  destroy(): void {
    this.close()
    this.#request.response.destroy()
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timeout)
    clearImmediate(this.#again)
  }

  #next(): Buffer | undefined {
    const first = this.#initial[this.#initialNext++]
    if (first !== undefined) return this.#frame('ADDED', first, undefined)
    this.#initial = []
    if (this.#marksInitialEnd) {
      this.#marksInitialEnd = false
      return this.#bookmarkFrame(this.#initialRevision, true)
    }
    const missed = this.#backlog[this.#backlogNext++]
    if (missed !== undefined) return this.#event(missed, undefined)
    this.#backlog = []
    const item = this.#queue.items[this.position - this.#queue.start]
    if (item === undefined) return undefined
    this.position++
    return this.#event(item.entry, item)
  }

  /** What this watch sees of a commit: nothing, or an event that depends on its selectors. */
  #event(entry: HistoryEntry, item: QueueItem | undefined): Buffer {
    const { object, previous, type } = entry
    const { namespace, matches, from } = this.#request
    if (entry.revision <= from) return nothing
    if (namespace !== undefined && (object.metadata.namespace ?? '') !== namespace) return nothing
    if (matches === undefined) return this.#frame(type, object, item)
    const now = type !== 'DELETED' && matches(object)
    const before = type !== 'ADDED' && previous !== undefined && matches(previous)
    if (now) return this.#frame(before ? 'MODIFIED' : 'ADDED', object, item)
    if (!before) return nothing
    // Left the selection: the last state that was in it, at the revision at which it left.
    const { resourceVersion } = object.metadata
    const last =
      type === 'DELETED' ? object : { ...previous, metadata: { ...previous.metadata, resourceVersion } }
    return this.#frame('DELETED', last, type === 'DELETED' ? item : undefined)
  }

  #frame(type: string, object: KubeObject, item: QueueItem | undefined): Buffer {
    const { served, format } = this.#request
    if (typeof format === 'object') {
      const table = rowsTable(served, [object], format, this.#storage.now(), !this.#columnsSent)
      this.#columnsSent = true
      return Buffer.from(`${JSON.stringify({ type, object: table })}\n`)
    }
    const key = `${type} ${format} ${served.group}/${served.version}`
    const shared = item?.frames?.get(key)
    if (shared !== undefined) return shared
    const view = format === 'metadata' ? metadataOnly(object) : toView(served, object)
    const bytes = Buffer.from(`{"type":"${type}","object":${JSON.stringify(view)}}\n`)
    if (item !== undefined && this.#queue.watches.size > 1) (item.frames ??= new Map()).set(key, bytes)
    return bytes
  }

  #bookmarkFrame(revision: number, initialEnd: boolean): Buffer {
    const { served, format } = this.#request
    const annotations = initialEnd ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {}
    const metadata = { resourceVersion: String(revision), creationTimestamp: null, ...annotations }
    const object: unknown =
      typeof format === 'object'
        ? {
            kind: 'Table',
            apiVersion: 'meta.k8s.io/v1',
            metadata: { resourceVersion: String(revision) },
            columnDefinitions: [],
            rows: [
              {
                cells: [],
                object: { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata },
              },
            ],
          }
        : format === 'metadata'
          ? { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata }
          : { kind: served.kind, apiVersion: groupVersion(served.group, served.version), metadata }
    return Buffer.from(`${JSON.stringify({ type: 'BOOKMARK', object })}\n`)
  }
}

const nothing = Buffer.alloc(0)

export function metadataOnly(object: KubeObject): unknown {
  return { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: object.metadata }
}
