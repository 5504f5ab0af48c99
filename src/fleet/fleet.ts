/**
 * The fleet: every cluster that the gateway knows, each with its tables, its health and its client.
 * Clusters come and go as their sources say; nothing here waits for any of them, and none disturbs
 * another.
 */
import { type Cluster, type ClusterHealth, ConnectedCluster } from './cluster.ts'
import { type Clock, systemClock } from './clock.ts'
import { type Feeding, watching } from './feeding.ts'
import { Turns } from './ingest-turns.ts'
import {
  type ClusterDefinition,
  type ClusterSource,
  combineSources,
  type SourceProblem,
} from './sources/source.ts'
import { SyncSlots } from './sync-slots.ts'

export type { Cluster, ClusterHealth } from './cluster.ts'

export interface Fleet {
  /** In order of their names. */
  readonly clusters: readonly Cluster[]
  cluster(name: string): Cluster | undefined
  /** Increases when a cluster is added or removed. */
  readonly revision: number
  /** After clusters were added or removed, or a cluster's `revision` changed. */
  onChange(listener: () => void): () => void
  close(): Promise<void>
}

interface FleetLimits {
  /** Initial states that are brought at a time, of one cluster and of all. Default 4 and 16. */
  readonly syncsPerCluster?: number
  readonly syncs?: number
  /** Milliseconds of one turn of the event loop that ingest may take. Default 4. */
  readonly sliceMs?: number
}

export interface FleetOptions {
  /** Started and closed by the fleet. Of clusters with one name, the first source's is kept. */
  readonly sources: readonly ClusterSource[]
  readonly clock?: Clock
  /** Closes the fleet. */
  readonly signal?: AbortSignal
  readonly limits?: FleetLimits
  /** Who fills the tables; by default this process, which watches every cluster. */
  readonly feeding?: Feeding
  /** In [0, 1); default `Math.random`. */
  readonly random?: () => number
  /** For the log: what is wrong with the sources, each time that any of them spoke. */
  readonly onSourceProblems?: (problems: readonly SourceProblem[]) => void
  /** For the log: a cluster went up, or down with this error, which may hold addresses. */
  readonly onClusterHealth?: (cluster: string, health: ClusterHealth, error: unknown) => void
  /** For the log: an object that could not be made a row. */
  readonly onObjectError?: (cluster: string, object: string, error: unknown) => void
}

/** Returns at once; clusters appear as the sources name them. */
export function createFleet(options: FleetOptions): Fleet {
  return new SourcedFleet(options)
}

class SourcedFleet implements Fleet {
  readonly #options: FleetOptions
  readonly #source: ClusterSource
  readonly #turns: Turns
  readonly #slots: SyncSlots
  readonly #clusters = new Map<string, ConnectedCluster>()
  readonly #listeners = new Set<() => void>()
  /** Clusters that were removed and are still closing. */
  readonly #closing = new Set<Promise<void>>()
  /** By name: until the tables of those that were removed are filled no more. */
  readonly #releasing = new Map<string, Promise<void>>()
  #sorted: readonly ConnectedCluster[] = []
  #revision = 0
  #closed: Promise<void> | undefined

  constructor(options: FleetOptions) {
    const { sources, signal, limits = {} } = options
    this.#options = options
    this.#turns = new Turns(limits.sliceMs === undefined ? {} : { sliceMs: limits.sliceMs })
    this.#slots = new SyncSlots(limits.syncs ?? 16)
    this.#source = combineSources(sources)
    if (signal?.aborted) void this.close()
    else {
      signal?.addEventListener('abort', () => void this.close(), { once: true })
      this.#source.start((definitions, problems) => {
        options.onSourceProblems?.(problems)
        this.#define(definitions)
      }, signal)
    }
  }

  get clusters(): readonly Cluster[] {
    return this.#sorted
  }

  get revision(): number {
    return this.#revision
  }

  cluster(name: string): Cluster | undefined {
    return this.#clusters.get(name)
  }

  onChange(listener: () => void): () => void {
    const own = () => listener()
    this.#listeners.add(own)
    return () => this.#listeners.delete(own)
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    this.#source.close()
    for (const cluster of this.#clusters.values()) this.#end(cluster)
    this.#clusters.clear()
    this.#sorted = []
    this.#listeners.clear()
    await Promise.all(this.#closing)
  }

  /** Makes the clusters what the sources say now; those that stay are not touched. */
  #define(definitions: readonly ClusterDefinition[]): void {
    if (this.#closed) return
    const added: ConnectedCluster[] = []
    const gone = new Set(this.#clusters.keys())
    for (const definition of definitions) {
      gone.delete(definition.name)
      const present = this.#clusters.get(definition.name)
      if (present?.fingerprint === definition.fingerprint) {
        present.redefine(definition)
        continue
      }
      // Another server, or other credentials: what is known may not be its, so it begins anew.
      if (present) this.#end(present)
      const cluster = this.#make(definition)
      this.#clusters.set(definition.name, cluster)
      added.push(cluster)
    }
    for (const name of gone) {
      const cluster = this.#clusters.get(name)
      this.#clusters.delete(name)
      if (cluster) this.#end(cluster)
    }
    if (added.length === 0 && gone.size === 0) return
    this.#sorted = [...this.#clusters.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
    this.#revision++
    for (const cluster of added) {
      cluster.start(this.#options.feeding ?? watching, this.#releasing.get(cluster.name))
    }
    this.#changed()
  }

  #make(definition: ClusterDefinition): ConnectedCluster {
    const { clock = systemClock, random = Math.random, limits = {} } = this.#options
    const { onClusterHealth, onObjectError } = this.#options
    return new ConnectedCluster(definition, {
      clock,
      random,
      turns: this.#turns,
      slots: this.#slots,
      syncsPerCluster: limits.syncsPerCluster ?? 4,
      onChange: () => this.#changed(),
      onHealth: onClusterHealth ?? (() => {}),
      onObjectError: onObjectError ?? (() => {}),
    })
  }

  #end(cluster: ConnectedCluster): void {
    const { name } = cluster
    const forget = () => {
      if (this.#releasing.get(name) === releasing) this.#releasing.delete(name)
    }
    const releasing: Promise<void> = cluster.release().then(forget, forget)
    this.#releasing.set(name, releasing)
    // A client that cannot be closed is of no use to anybody; its cluster is gone all the same.
    const closing = cluster.close().catch(() => {})
    this.#closing.add(closing)
    void closing.then(() => this.#closing.delete(closing))
  }

  #changed(): void {
    if (this.#closed) return
    for (const listener of this.#listeners) listener()
  }
}
