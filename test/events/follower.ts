/**
 * A follower that keeps a copy of what it follows, only from the events it is sent, and complains of whatever
 * a stream must not do. Its sink is ready when the test says so.
 */
import type { Eyes, LiveEvent, Payload, Sink } from '../../src/events/live.ts'
import type { Cluster } from '../../src/fleet/cluster.ts'
import type { Scope } from '../../src/fleet/selection.ts'

/** Payloads of the tests are events as JSON. */
export interface Told {
  readonly type: LiveEvent['type']
  readonly cluster: string | null
  readonly id: string | null
  readonly uid: string | null
  readonly namespace: string | null
  readonly name: string | null
  readonly resourceVersion: string | null
  readonly previous: string | null
  readonly reason: string | null
  readonly message: string | null
  readonly cursor: string | null
}

export function renderAll(events: readonly LiveEvent[]): readonly Payload[] {
  return events.map((event) => Buffer.from(JSON.stringify(toldOf(event))))
}

export function toldOf(event: LiveEvent): Told {
  const { type, cluster, object, previous, deletedReason, message, cursor } = event
  return {
    type,
    cluster: cluster?.name ?? null,
    id: object?.id ?? null,
    uid: object?.uid ?? null,
    namespace: object?.namespace ?? null,
    name: object?.name ?? null,
    resourceVersion: object?.resourceVersion ?? null,
    previous: previous?.resourceVersion ?? null,
    reason: deletedReason,
    message,
    cursor,
  }
}

/** Eyes that see everything, or what the test says. */
export function eyesOf(scope: (cluster: Cluster) => Scope | undefined = () => 'all', key = 'viewer'): Eyes {
  return { key, scope }
}

export class TestSink implements Sink {
  onReady: (() => void) | undefined
  /** What was told and not looked at. */
  told: Told[] = []
  /** The arrays as they were written. */
  writes: (readonly Payload[])[] = []
  ended: string | undefined
  #ready = true

  get ready(): boolean {
    return this.#ready
  }

  set ready(ready: boolean) {
    this.#ready = ready
    if (ready) this.onReady?.()
  }

  write(payloads: readonly Payload[]): void {
    if (this.ended !== undefined) throw new Error('It was written to after its end.')
    if (!this.ready) throw new Error('It was written to while it was not ready.')
    this.writes.push(payloads)
    for (const payload of payloads) this.told.push(JSON.parse(payload.toString()) as Told)
  }

  end(reason: string): void {
    if (this.ended !== undefined) throw new Error('It was ended twice.')
    this.ended = reason
  }

  /** `ADDED web-0`, `SYNCED`, `CLUSTER_DOWN east`, since it was asked last. */
  take(): string[] {
    return this.told.splice(0).map(({ type, name, cluster }) => {
      const of = name ?? (type.startsWith('CLUSTER') ? cluster : null)
      return of === null ? type : `${type} ${of}`
    })
  }
}
