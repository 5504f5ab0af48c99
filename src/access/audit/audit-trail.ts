/**
 * The audit trail of a gateway: the recorder with the sinks that are configured, and the records as those read
 * them who may. Where there is a Redis they are read there, of all replicas; while it is away, those of this
 * replica are read in memory, and that is said.
 *
 * Invariant: only whom the configuration names reads records, and only by an identity that holds in the whole
 * fleet: who administers one cluster can give its users any name.
 */
import type { RedisConnection } from '../../events/redis/connection.ts'
import type { Clock } from '../../fleet/clock.ts'
import type { Viewer } from '../viewer.ts'
import {
  parseAuditId,
  type AuditEntry,
  type AuditFilter,
  type AuditLog,
  type AuditNote,
  type AuditPage,
  type AuditReader,
  type AuditRecord,
  type AuditSink,
  type AuditStore,
  type KeptEntry,
} from './audit.ts'
import { AuditFile } from './audit-file.ts'
import { AuditRing } from './audit-ring.ts'
import { AuditStream } from './audit-stream.ts'
import { AuditRecorder } from './recorder.ts'

export interface AuditTrailOptions {
  readonly clock: Clock
  /** One structured line for each record; absent: none. */
  readonly onRecord?: (record: Omit<AuditRecord, 'id'>) => void
  /** For the log: records that could not be kept. */
  readonly onProblem: (message: string) => void
  /** Path of a file of JSON lines. */
  readonly file?: string
  /** That are kept to be read: in memory, and of all replicas in Redis. */
  readonly entries: number
  /** Not closed here. */
  readonly redis?: RedisConnection
  readonly readerUsers: readonly string[]
  readonly readerGroups: readonly string[]
}

/** Records that are looked through for one page. */
const MOST_LOOKED = 20_000
const CHUNK = 500
/** How soon records of other replicas are seen. */
const POLL_MS = 500
/** Keys that a follower remembers. */
const MOST_KEYS = 10_000

export class AuditTrail implements AuditLog {
  readonly #options: AuditTrailOptions
  readonly #recorder: AuditRecorder
  readonly #ring: AuditRing
  readonly #stream: AuditStream | undefined
  readonly #users: ReadonlySet<string>
  readonly #groups: ReadonlySet<string>

  constructor(options: AuditTrailOptions) {
    const { clock, file, redis, entries, onProblem, onRecord } = options
    this.#options = options
    this.#users = new Set(options.readerUsers)
    this.#groups = new Set(options.readerGroups)
    this.#ring = new AuditRing(entries)
    if (redis && entries > 0) this.#stream = new AuditStream({ redis, clock, most: entries, onProblem })
    const sinks: AuditSink[] = [this.#ring]
    if (onRecord) sinks.push(logSink(onRecord))
    if (file) sinks.push(new AuditFile({ path: file, clock, onProblem }))
    if (this.#stream) sinks.push(this.#stream)
    this.#recorder = new AuditRecorder({ clock, sinks })
  }

  record(note: AuditNote): void {
    this.#recorder.record(note)
  }

  mayRead({ user, clusters }: Viewer): boolean {
    if (clusters !== null) return false
    return this.#users.has(user.name) || user.groups.some((group) => this.#groups.has(group))
  }

  /** `viewer`: of a subscription, who it is by now. */
  readerFor(viewer: Viewer | (() => Viewer)): AuditReader {
    const isAllowed = () => this.mayRead(typeof viewer === 'function' ? viewer() : viewer)
    const check = () => {
      if (!isAllowed()) throw new Error('Who may not read audit records was about to be given some.')
    }
    return {
      get allowed() {
        return isAllowed()
      },
      list: async ({ filter = {}, first, after }) => {
        check()
        return this.#list(filter, first, after)
      },
      follow: async (filter, take, signal) => {
        check()
        const ended = new AbortController()
        const takeWhileAllowed = async (records: readonly AuditRecord[]) => {
          if (isAllowed()) await take(records)
          else ended.abort()
        }
        await this.#follow(filter, takeWhileAllowed, AbortSignal.any([signal, ended.signal]))
      },
    }
  }

  /** Writes what waits. Before the connection to Redis is closed. */
  close(): Promise<void> {
    return this.#recorder.close()
  }

  async #list(filter: AuditFilter, first: number, after: string | undefined): Promise<AuditPage> {
    if (after !== undefined) parseAuditId(after)
    const problem = this.#problem()
    if (this.#stream?.ready) {
      try {
        return { ...(await pageOf(this.#stream, filter, first, after)), problem }
      } catch {
        // It went away meanwhile.
      }
    }
    const away =
      this.#stream && 'Redis does not answer: these are records of one replica of the gateway only.'
    return { ...(await pageOf(this.#ring, filter, first, after)), problem: away ?? problem }
  }

  #problem(): string | null {
    if (this.#options.entries === 0) return 'No records are kept to be read: audit.entries is 0.'
    const lost = this.#stream?.lost ?? 0
    return lost === 0 ? null : `${lost} records are missing that could not be kept while Redis was away.`
  }

  async #follow(
    filter: AuditFilter,
    take: (records: readonly AuditRecord[]) => void | Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    const told = new Set<string>()
    const place = await this.#latest()
    while (!signal.aborted) {
      const entries = await this.#after(place)
      const fresh = entries.filter(({ key }) => !told.has(key))
      for (const { key } of fresh) told.add(key)
      for (const oldest of told) {
        if (told.size <= MOST_KEYS) break
        told.delete(oldest)
      }
      const records = fresh.filter((entry) => matches(filter, entry)).map(recordOf)
      if (records.length > 0) await take(records)
      if (entries.length < CHUNK) await this.#more(place, signal)
    }
  }

  async #latest(): Promise<Place> {
    const own = this.#ring.newest
    const kept = this.#stream?.ready ? await this.#stream.latest().catch(() => undefined) : undefined
    return { kept, own }
  }

  /** Moves the place on. */
  async #after(place: Place): Promise<readonly KeptEntry[]> {
    if (this.#stream?.ready) {
      // What is in memory by now is in Redis, or will be.
      const own = this.#ring.newest
      try {
        place.kept ??= await this.#stream.latest()
        const entries = await this.#stream.after(place.kept, CHUNK)
        place.kept = entries.at(-1)?.id ?? place.kept
        place.own = own
        return entries
      } catch {
        // It went away meanwhile.
      }
    }
    const entries = await this.#ring.after(place.own, CHUNK)
    place.own = entries.at(-1)?.id ?? place.own
    return entries
  }

  /** Resolves when there may be more, or after the signal. */
  #more(place: Place, signal: AbortSignal): Promise<void> {
    // Those that came while the last ones were taken tell no more of themselves.
    if (!this.#stream && this.#ring.newest !== place.own) return Promise.resolve()
    return new Promise((resolve) => {
      const done = () => {
        cancel()
        unlisten()
        signal.removeEventListener('abort', done)
        resolve()
      }
      const cancel = this.#stream ? this.#options.clock.after(POLL_MS, done) : () => {}
      const unlisten = this.#stream ? () => {} : this.#ring.onWrite(done)
      signal.addEventListener('abort', done, { once: true })
      if (signal.aborted) done()
    })
  }
}

/** How far a follower is: in Redis, once it was there, and in memory. */
interface Place {
  kept: string | undefined
  own: string
}

function logSink(onRecord: (record: Omit<AuditRecord, 'id'>) => void): AuditSink {
  return {
    write({ key: _key, ...record }: AuditEntry) {
      try {
        onRecord(record)
      } catch {
        // A log that fails must not hurt whoever records.
      }
    },
    close: () => Promise.resolve(),
  }
}

async function pageOf(
  store: AuditStore,
  filter: AuditFilter,
  first: number,
  after: string | undefined,
): Promise<Omit<AuditPage, 'problem'>> {
  const records: AuditRecord[] = []
  const keys = new Set<string>()
  let end = after
  for (let looked = 0; looked < MOST_LOOKED;) {
    const entries = await store.before(end, CHUNK)
    looked += entries.length
    for (const entry of entries) {
      const isOver = filter.since !== undefined && parseAuditId(entry.id)[0] < filter.since - SKEW_MS
      if (isOver) return { records, hasMore: false, end: end ?? null }
      if (matches(filter, entry) && !keys.has(entry.key)) {
        if (records.length >= first) return { records, hasMore: true, end: end ?? null }
        keys.add(entry.key)
        records.push(recordOf(entry))
      }
      end = entry.id
    }
    if (entries.length < CHUNK) return { records, hasMore: false, end: end ?? null }
  }
  return { records, hasMore: true, end: end ?? null }
}

/** A record may be kept later than it was made, and by another clock, but not much earlier. */
const SKEW_MS = 300_000

function matches(
  { types, users, clusters, outcomes, since, until }: AuditFilter,
  entry: AuditEntry,
): boolean {
  const { type, user, outcome, at } = entry
  if (types && !types.includes(type)) return false
  if (outcomes && !outcomes.includes(outcome)) return false
  if (users && !(user && users.includes(user.name))) return false
  if (clusters && !clusters.some((cluster) => entry.clusters.includes(cluster))) return false
  return (since === undefined || at >= since) && (until === undefined || at <= until)
}

function recordOf({ key: _key, ...record }: KeptEntry): AuditRecord {
  return record
}
