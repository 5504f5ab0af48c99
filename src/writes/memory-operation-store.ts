/**
 * Operations in the memory of one replica: they end with it, and no other knows of them. Otherwise it is what the
 * store in Redis is, so that nothing above it has to know which one there is.
 */
import { identityOf } from '../access/viewer.ts'
import type { Clock } from '../fleet/clock.ts'
import { keptHead, keptRecord } from './kept.ts'
import {
  ENDED,
  LeaseLost,
  type OperationHead,
  type OperationLease,
  type OperationProgress,
  type OperationRecord,
  type OperationStore,
  type StepName,
  type StepRecord,
} from './operation.ts'

/** Operations are known for so long after their end. */
const KEPT_MS = 24 * 3_600_000

/** Of all; those that ended first go first. */
const MAX_OPERATIONS = 10_000

/** Of all operations, as characters of JSON. */
const MAX_SIZE = 256 * 1024 * 1024

/** What has ended is looked through so often. */
const SWEEP_MS = 60_000

/** One operation, with its listeners. */
interface Entry {
  readonly head: OperationHead
  readonly owner: string
  /** In order of their creation. */
  readonly serial: number
  progress: OperationProgress
  readonly steps: Map<StepName, StepRecord>
  cancelled: boolean
  revision: number
  /** Whoever drives it. */
  holder: AbortController | undefined
  readonly cancel: AbortController
  size: number
}

interface Limits {
  /** From its end. Default 24 hours. */
  readonly keepMs?: number
  readonly operations?: number
  readonly size?: number
}

export function createMemoryOperationStore(clock: Clock, limits: Limits = {}): OperationStore {
  return new MemoryOperationStore(clock, limits)
}

class MemoryOperationStore implements OperationStore {
  readonly shared = false
  readonly #clock: Clock
  readonly #limits: Required<Limits>
  /** In order of their creation. */
  readonly #entries = new Map<string, Entry>()
  readonly #listeners = new Map<string, Set<() => void>>()
  #serial = 0
  #size = 0
  #stopSweep: () => void

  constructor(clock: Clock, { keepMs = KEPT_MS, operations = MAX_OPERATIONS, size = MAX_SIZE }: Limits) {
    this.#clock = clock
    this.#limits = { keepMs, operations, size }
    this.#stopSweep = clock.after(SWEEP_MS, () => this.#sweep())
  }

  async create(head: OperationHead): Promise<OperationLease | undefined> {
    if (this.#known(head.id)) return undefined
    if (this.#isFull()) this.#forget()
    const kept = keptHead(head)
    const entry: Entry = {
      head: kept,
      owner: identityOf(kept.owner),
      serial: ++this.#serial,
      progress: { state: 'PENDING', waves: [], events: [], finishedAt: null },
      steps: new Map(),
      cancelled: false,
      revision: 1,
      holder: undefined,
      cancel: new AbortController(),
      size: 0,
    }
    this.#entries.set(head.id, entry)
    this.#grow(entry, sizeOf(kept))
    this.#tell(head.id)
    return this.#hold(entry)
  }

  async read(id: string): Promise<OperationRecord | undefined> {
    const entry = this.#known(id)
    return entry && recordOf(entry)
  }

  async list(owner: string | undefined, first: number, after?: string): Promise<readonly OperationRecord[]> {
    const last = after === undefined ? Infinity : this.#known(after)?.serial
    if (last === undefined) return []
    const page: OperationRecord[] = []
    for (const entry of [...this.#entries.values()].toReversed()) {
      if (page.length >= first) break
      if (entry.serial >= last || (owner !== undefined && owner !== entry.owner)) continue
      if (this.#known(entry.head.id)) page.push(recordOf(entry))
    }
    return page
  }

  async takeOver(id: string): Promise<OperationLease | undefined> {
    const entry = this.#entries.get(id)
    return entry && isOrphan(entry) ? this.#hold(entry) : undefined
  }

  async orphans(): Promise<readonly string[]> {
    return [...this.#entries.values()].filter(isOrphan).map(({ head }) => head.id)
  }

  async requestCancel(id: string): Promise<void> {
    const entry = this.#entries.get(id)
    if (!entry || entry.cancelled || hasEnded(entry)) return
    entry.cancelled = true
    entry.revision++
    entry.cancel.abort()
    this.#tell(id)
  }

  onChange(id: string, listener: () => void): () => void {
    const own = () => listener()
    const listeners = this.#listeners.get(id) ?? new Set()
    this.#listeners.set(id, listeners.add(own))
    return () => {
      listeners.delete(own)
      if (listeners.size === 0 && this.#listeners.get(id) === listeners) this.#listeners.delete(id)
    }
  }

  async close(): Promise<void> {
    this.#stopSweep()
    for (const { holder } of this.#entries.values()) holder?.abort()
    this.#listeners.clear()
  }

  #hold(entry: Entry): OperationLease {
    const { id } = entry.head
    const holder = new AbortController()
    entry.holder = holder
    const write = (change: () => void) => {
      if (entry.holder !== holder || holder.signal.aborted) throw new LeaseLost(id)
      change()
      entry.revision++
      this.#tell(id)
    }
    return {
      id,
      signal: holder.signal,
      cancelled: entry.cancel.signal,
      step: async (name, record) => {
        write(() => {
          const kept = keptRecord(record)
          const before = entry.steps.get(name)
          this.#grow(entry, sizeOf(kept) - (before ? sizeOf(before) : 0))
          entry.steps.set(name, kept)
        })
      },
      progress: async (progress) => {
        write(() => {
          this.#grow(entry, sizeOf(progress) - sizeOf(entry.progress))
          entry.progress = progress
        })
      },
      release: async () => {
        if (entry.holder === holder) entry.holder = undefined
      },
    }
  }

  #tell(id: string): void {
    for (const listener of this.#listeners.get(id) ?? []) listener()
  }

  #grow(entry: Entry, by: number): void {
    entry.size += by
    this.#size += by
  }

  #sweep(): void {
    this.#forget()
    this.#stopSweep = this.#clock.after(SWEEP_MS, () => this.#sweep())
  }

  /** `undefined`: there is none, or its time is over. */
  #known(id: string): Entry | undefined {
    const entry = this.#entries.get(id)
    if (!entry || !this.#isOver(entry)) return entry
    this.#drop(entry)
    return undefined
  }

  /** What has ended goes after its time, and where there is too much of it; what goes on stays. */
  #forget(): void {
    const ended = [...this.#entries.values()].filter(hasEnded).toSorted((a, b) => endOf(a) - endOf(b))
    for (const entry of ended) {
      if (!this.#isOver(entry) && !this.#isFull()) return
      this.#drop(entry)
    }
  }

  #isOver(entry: Entry): boolean {
    return hasEnded(entry) && endOf(entry) + this.#limits.keepMs <= this.#clock.now()
  }

  #isFull(): boolean {
    return this.#entries.size >= this.#limits.operations || this.#size >= this.#limits.size
  }

  #drop(entry: Entry): void {
    this.#entries.delete(entry.head.id)
    this.#size -= entry.size
  }
}

function recordOf({ head, progress, steps, cancelled, revision }: Entry): OperationRecord {
  return { ...head, ...progress, steps: new Map(steps), cancelRequested: cancelled, revision }
}

function hasEnded({ progress }: Entry): boolean {
  return ENDED.has(progress.state)
}

function isOrphan(entry: Entry): boolean {
  return entry.holder === undefined && !hasEnded(entry)
}

function endOf({ head, progress }: Entry): number {
  return progress.finishedAt ?? head.createdAt
}

function sizeOf(value: unknown): number {
  return JSON.stringify(value).length
}
