/**
 * Events as controllers record them: `v1` Events in the namespace of the object they are about, counted
 * up when the same thing happens again, forgotten an hour after they last happened.
 *
 * Invariant: one live event per (object, component, type, reason, message); memory follows the number of
 * live events. Deliberately without the client's spam filter. Source: client-go `tools/record`, and
 * kube-apiserver's `--event-ttl` (1 h).
 */
import type { KubeObject, Registry } from '../registry.ts'
import type { ControlClock } from './control-context.ts'
import { EVENTS, read, readAll, type KubeEvent, type ObjectReference } from './objects.ts'

export interface EventRecorder {
  /**
   * Records that something happened to `object`. Writes at once: call it from `sync`, never from a commit
   * listener. Quietly does nothing in a namespace that is gone or going.
   */
  record(
    object: KubeObject,
    type: 'Normal' | 'Warning',
    reason: string,
    message: string,
    from: EventSource,
  ): void
  close(): void
}

export interface EventSource {
  readonly component: string
  readonly host?: string
  /** `spec.containers{web}`, where the event is about one container. */
  readonly fieldPath?: string
}

interface Known {
  readonly namespace: string
  readonly name: string
  lastMs: number
}

const ttlSeconds = 3600
const sweepSeconds = 60

export function eventRecorder(registry: Registry, clock: ControlClock, enabled: boolean): EventRecorder {
  if (!enabled) return { record: () => {}, close: () => {} }
  const known = new Map<string, Known>()
  let serial = 0
  let closed = false
  let cancelSweep = () => {}

  for (const event of readAll(registry, EVENTS)) {
    const lastMs = Date.parse(event.lastTimestamp ?? event.metadata.creationTimestamp)
    known.set(identity(event.involvedObject, event), {
      namespace: event.metadata.namespace ?? '',
      name: event.metadata.name,
      lastMs,
    })
  }

  function scheduleSweep(): void {
    cancelSweep = clock.after(sweepSeconds, () => {
      for (const [id, entry] of known) {
        if (clock.since(entry.lastMs) < ttlSeconds) continue
        known.delete(id)
        registry.finishDelete(EVENTS, entry.namespace, entry.name)
      }
      if (!closed) scheduleSweep()
    })
  }
  scheduleSweep()

  return {
    record(object, type, reason, message, from) {
      const namespace = object.metadata.namespace ?? 'default'
      const involvedObject: ObjectReference = {
        apiVersion: object.apiVersion,
        kind: object.kind,
        name: object.metadata.name,
        ...(object.metadata.namespace === undefined ? {} : { namespace: object.metadata.namespace }),
        uid: object.metadata.uid,
        resourceVersion: object.metadata.resourceVersion,
        ...(from.fieldPath === undefined ? {} : { fieldPath: from.fieldPath }),
      }
      const source = { component: from.component, ...(from.host === undefined ? {} : { host: from.host }) }
      const id = identity(involvedObject, { reason, message, type, source })
      const nowMs = clock.now()
      const stamp = clock.stamp()
      const entry = known.get(id)
      const earlier = entry === undefined ? undefined : read(registry, EVENTS, entry.namespace, entry.name)
      if (entry !== undefined && earlier !== undefined) {
        entry.lastMs = nowMs
        registry.update(EVENTS, { ...earlier, count: (earlier.count ?? 1) + 1, lastTimestamp: stamp })
        return
      }
      const home = registry.get({ group: '', resource: 'namespaces' }, '', namespace)
      if (home === undefined || home.metadata.deletionTimestamp !== undefined) return
      serial++
      const name = `${object.metadata.name}.${(BigInt(Math.floor(nowMs)) * 1_000_000n + BigInt(serial)).toString(16)}`
      registry.create(EVENTS, {
        apiVersion: 'v1',
        kind: 'Event',
        metadata: { name, namespace },
        involvedObject,
        reason,
        message,
        type,
        source,
        firstTimestamp: stamp,
        lastTimestamp: stamp,
        count: 1,
        eventTime: null,
        reportingComponent: from.component,
        reportingInstance: from.host ?? '',
      })
      known.set(id, { namespace, name, lastMs: nowMs })
    },
    close() {
      closed = true
      cancelSweep()
    },
  }
}

function identity(
  involved: ObjectReference,
  event: Pick<KubeEvent, 'reason' | 'message' | 'type' | 'source'>,
): string {
  return [
    involved.uid ?? `${involved.kind}/${involved.namespace}/${involved.name}`,
    involved.fieldPath,
    event.source?.component,
    event.type,
    event.reason,
    event.message,
  ].join('\n')
}
