/**
 * Records in a Redis Stream, shared by all replicas: its ids are theirs, so that order, and places to go on from,
 * are the same everywhere. https://redis.io/docs/latest/develop/data-types/streams/
 *
 * Records are sent in pipelines, one at a time. While Redis is away they wait, bounded; a pipeline without an
 * answer is sent again, so that a record may stand there twice: readers tell by its key.
 */
import { isUnconnected, type RedisConnection } from '../../events/redis/connection.ts'
import type { Clock } from '../../fleet/clock.ts'
import {
  AUDIT_TYPES,
  parseAuditId,
  type AuditEntry,
  type AuditSink,
  type AuditStore,
  type KeptEntry,
} from './audit.ts'

export interface AuditStreamOptions {
  /** Not closed here. */
  readonly redis: RedisConnection
  readonly clock: Clock
  /** About so many are kept (`MAXLEN ~`). */
  readonly most: number
  /** For the log. */
  readonly onProblem: (message: string) => void
  /** That wait for Redis. Default 10,000. */
  readonly waiting?: number
}

/** Of one pipeline. */
const BATCH = 500
const RETRY_MS = 1_000
/** What is left undone when the gateway ends. */
const LAST_MS = 1_500

export class AuditStream implements AuditSink, AuditStore {
  readonly #options: AuditStreamOptions
  readonly #key: string
  #waiting: AuditEntry[] = []
  #sending: Promise<void> | undefined
  #cancelRetry: (() => void) | undefined
  #lost = 0
  #told = false
  #closed = false

  constructor(options: AuditStreamOptions) {
    this.#options = options
    this.#key = `${options.redis.prefix}:1:{audit}`
  }

  /** Records of this process that are not kept in Redis, and never will be. */
  get lost(): number {
    return this.#lost
  }

  get ready(): boolean {
    return this.#options.redis.state.status === 'READY'
  }

  write(entry: AuditEntry): void {
    if (this.#closed) return
    const { waiting = 10_000 } = this.#options
    if (this.#waiting.length >= waiting) {
      this.#lost++
      this.#say(`Redis is away or slow: audit records are not kept there any more, from now on`)
      return
    }
    this.#waiting.push(entry)
    if (!this.#cancelRetry) this.#send()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#cancelRetry?.()
    this.#cancelRetry = undefined
    if (!this.ready) {
      this.#lost += this.#waiting.length
      return
    }
    let cancel = () => {}
    const late = new Promise<void>((resolve) => {
      cancel = this.#options.clock.after(LAST_MS, resolve)
    })
    await Promise.race([(this.#sending ?? Promise.resolve()).then(() => this.#drain()), late])
    cancel()
    this.#lost += this.#waiting.length
    if (this.#waiting.length > 0) this.#say(`${this.#waiting.length} audit records did not reach Redis`)
  }

  async before(id: string | undefined, count: number): Promise<readonly KeptEntry[]> {
    const end = id === undefined ? '+' : `(${id}`
    const found = await this.#options.redis.commands.xrevrange(this.#key, end, '-', 'COUNT', count)
    return found.flatMap(keptEntry)
  }

  async after(id: string, count: number): Promise<readonly KeptEntry[]> {
    const found = await this.#options.redis.commands.xrange(this.#key, `(${id}`, '+', 'COUNT', count)
    return found.flatMap(keptEntry)
  }

  async latest(): Promise<string> {
    const [newest] = await this.#options.redis.commands.xrevrange(this.#key, '+', '-', 'COUNT', 1)
    return newest?.[0] ?? '0-0'
  }

  #send(): void {
    this.#sending ??= this.#drain().finally(() => {
      this.#sending = undefined
    })
  }

  /** Never rejects. */
  async #drain(): Promise<void> {
    const { redis, most } = this.#options
    while (this.#waiting.length > 0) {
      if (!this.ready) return this.#retry()
      const batch = this.#waiting.slice(0, BATCH)
      const pipeline = redis.commands.pipeline()
      for (const entry of batch) {
        pipeline.xadd(this.#key, 'MAXLEN', '~', most, '*', 'record', JSON.stringify(entry))
      }
      let sent = 0
      try {
        const results = (await pipeline.exec()) ?? []
        // In order: what Redis refused, and all after it, is sent again.
        while (sent < batch.length && results[sent]?.[0] === null) sent++
        const refusal = results[sent]?.[0]
        if (refusal && !isUnconnected(refusal)) this.#say(`Redis refuses audit records: ${refusal.message}`)
      } catch {
        // Nothing is known of any of them.
      }
      this.#waiting = this.#waiting.slice(sent)
      if (sent < batch.length) return this.#retry()
      this.#onSent()
    }
  }

  #onSent(): void {
    if (!this.#told) return
    this.#told = false
    this.#options.onProblem(`audit records are kept in Redis again; so far ${this.#lost} were not`)
  }

  #retry(): void {
    if (this.#closed) return
    this.#cancelRetry ??= this.#options.clock.after(RETRY_MS, () => {
      this.#cancelRetry = undefined
      this.#send()
    })
  }

  #say(message: string): void {
    if (this.#told) return
    this.#told = true
    this.#options.onProblem(message)
  }
}

/** None, where it is not what we write: another version may share the stream. */
function keptEntry([id, fields]: [id: string, fields: string[]]): KeptEntry[] {
  try {
    const entry = JSON.parse(fields[fields.indexOf('record') + 1] ?? '') as AuditEntry
    parseAuditId(id)
    return AUDIT_TYPES.includes(entry.type) && Array.isArray(entry.clusters) ? [{ ...entry, id }] : []
  } catch {
    return []
  }
}
