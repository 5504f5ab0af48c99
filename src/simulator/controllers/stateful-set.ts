/**
 * The StatefulSet controller: pods with fixed names, created in order and removed in reverse (or all at
 * once with `Parallel`), each with its claims; rolling updates from the highest ordinal down to the
 * partition. Source: `pkg/controller/statefulset` and the page "StatefulSets" of the documentation.
 */
import type { KubeObject } from '../registry.ts'
import type { ControlContext, Controller, Enqueue } from './control-context.ts'
import { dropRevisions, ensureRevision, REVISION_HASH, type Revisions } from './controller-revision.ts'
import {
  committed,
  keyOf,
  PERSISTENT_VOLUME_CLAIMS,
  PODS,
  read,
  readAll,
  splitKey,
  STATEFUL_SETS,
  type Pod,
  type PodSpec,
  type PodTemplate,
  type StatefulSet,
} from './objects.ts'
import { claim, enqueueOwners, Orphans } from './ownership.ts'
import { availableIn, controllerReference, isReady, isTerminal, podFromTemplate } from './pod-template.ts'

const from = { component: 'statefulset-controller' }

export function statefulSetController({ registry, clock, events }: ControlContext): Controller {
  const orphans = new Orphans(PODS, registry)
  let enqueueLater: Enqueue = () => {}

  return {
    name: 'statefulset',
    watches: ['statefulsets', 'pods'],
    start(enqueue) {
      enqueueLater = enqueue
      for (const set of readAll(registry, STATEFUL_SETS)) enqueue(keyOf(set))
    },
    observe(commit, enqueue) {
      const own = committed(commit, STATEFUL_SETS)
      if (own !== undefined) return enqueue(keyOf(own.object))
      orphans.observe(commit)
      enqueueOwners(registry, commit, PODS, STATEFUL_SETS, (each) => each.spec.selector, enqueue)
    },
    sync(key) {
      const { namespace, name } = splitKey(key)
      const set = read(registry, STATEFUL_SETS, namespace, name)
      if (set === undefined) return
      const owned = claim(registry, set, STATEFUL_SETS, set.spec.selector, PODS, orphans)
      if (set.metadata.deletionTimestamp !== undefined) return
      const revisions = ensureRevision(registry, set, STATEFUL_SETS)
      const current = set.status?.currentRevision ?? revisions.update.metadata.name
      step(set, owned, revisions, current)
      const now = claim(registry, set, STATEFUL_SETS, set.spec.selector, PODS, orphans)
      writeStatus(set, now, revisions, current)
      dropRevisions(
        registry,
        revisions,
        set.spec.revisionHistoryLimit ?? 10,
        ({ metadata }) =>
          metadata.name === current ||
          owned.some((pod) => pod.metadata.labels?.[REVISION_HASH] === metadata.name),
      )
    },
  }

  /** Healthy: running, ready (for long enough) and not on its way out. */
  function isHealthy(set: StatefulSet, pod: Pod): boolean {
    if (pod.metadata.deletionTimestamp !== undefined || pod.status?.phase !== 'Running') return false
    const wait = availableIn(pod, set.spec.minReadySeconds ?? 0, clock)
    if (wait !== undefined && wait > 0) enqueueLater(keyOf(set), wait + 0.001)
    return wait === 0
  }

  function step(set: StatefulSet, pods: readonly Pod[], revisions: Revisions, current: string): void {
    const start = set.spec.ordinals?.start ?? 0
    const end = start + (set.spec.replicas ?? 1)
    const parallel = set.spec.podManagementPolicy === 'Parallel'
    const byOrdinal = new Map<number, Pod>()
    const condemned: Pod[] = []
    for (const pod of pods) {
      const ordinal = ordinalOf(set, pod)
      if (ordinal === undefined) continue
      if (ordinal >= start && ordinal < end) byOrdinal.set(ordinal, pod)
      else condemned.push(pod)
    }
    let waiting = false
    for (let ordinal = start; ordinal < end; ordinal++) {
      const pod = byOrdinal.get(ordinal)
      if (pod === undefined) {
        createReplica(set, ordinal, revisions, current)
        waiting = true
      } else if (pod.metadata.deletionTimestamp !== undefined) waiting = true
      else if (isTerminal(pod)) {
        removeReplica(set, pod)
        waiting = true
      } else if (!isHealthy(set, pod)) waiting = true
      if (waiting && !parallel) return
    }
    condemned.sort((a, b) => (ordinalOf(set, b) ?? 0) - (ordinalOf(set, a) ?? 0))
    for (const pod of condemned) {
      if (pod.metadata.deletionTimestamp === undefined) {
        if (set.spec.persistentVolumeClaimRetentionPolicy?.whenScaled === 'Delete') bindClaims(set, pod)
        removeReplica(set, pod)
      }
      if (!parallel) return
    }
    if (set.spec.updateStrategy?.type === 'OnDelete') return
    const partition = Math.max(start, start + (set.spec.updateStrategy?.rollingUpdate?.partition ?? 0))
    for (let ordinal = end - 1; ordinal >= partition; ordinal--) {
      const pod = byOrdinal.get(ordinal)
      if (pod === undefined) continue
      if (
        pod.metadata.labels?.[REVISION_HASH] !== revisions.update.metadata.name &&
        pod.metadata.deletionTimestamp === undefined
      ) {
        removeReplica(set, pod)
        return
      }
      if (!isHealthy(set, pod)) return
    }
  }

  function createReplica(set: StatefulSet, ordinal: number, revisions: Revisions, current: string): void {
    const name = `${set.metadata.name}-${ordinal}`
    const start = set.spec.ordinals?.start ?? 0
    const partition = set.spec.updateStrategy?.rollingUpdate?.partition ?? 0
    const currentReplicas = Number(set.status?.['currentReplicas'] ?? 0)
    const rolling = set.spec.updateStrategy?.type !== 'OnDelete'
    const keepsCurrent = rolling && ordinal < start + (partition > 0 ? partition : currentReplicas)
    const revision =
      (keepsCurrent ? revisions.all.find(({ metadata }) => metadata.name === current) : undefined) ??
      revisions.update
    const { template } = revision.data.spec
    ensureClaims(set, ordinal, name)
    registry.create(
      PODS,
      podFromTemplate(set, STATEFUL_SETS, template, {
        name,
        generateName: `${set.metadata.name}-`,
        labels: {
          'apps.kubernetes.io/pod-index': String(ordinal),
          [REVISION_HASH]: revision.metadata.name,
          'statefulset.kubernetes.io/pod-name': name,
        },
        spec: specOf(set, template, name, ordinal),
      }),
    )
    const message = `create Pod ${name} in StatefulSet ${set.metadata.name} successful`
    events.record(set, 'Normal', 'SuccessfulCreate', message, from)
  }

  function specOf(set: StatefulSet, { spec }: PodTemplate, name: string, ordinal: number): PodSpec {
    const claims = (set.spec.volumeClaimTemplates ?? []).map(({ metadata }) => ({
      name: metadata.name ?? '',
      persistentVolumeClaim: { claimName: claimName(set, metadata.name ?? '', ordinal) },
    }))
    const names = new Set(claims.map((each) => each.name))
    const volumes = [...claims, ...(spec.volumes ?? []).filter((each) => !names.has(each.name))]
    return {
      ...spec,
      hostname: name,
      ...(set.spec.serviceName === undefined ? {} : { subdomain: set.spec.serviceName }),
      ...(volumes.length === 0 ? {} : { volumes }),
    }
  }

  function ensureClaims(set: StatefulSet, ordinal: number, podName: string): void {
    const namespace = set.metadata.namespace ?? ''
    for (const { metadata, spec } of set.spec.volumeClaimTemplates ?? []) {
      const name = claimName(set, metadata.name ?? '', ordinal)
      if (read(registry, PERSISTENT_VOLUME_CLAIMS, namespace, name) !== undefined) continue
      const deletedWithSet = set.spec.persistentVolumeClaimRetentionPolicy?.whenDeleted === 'Delete'
      registry.create(PERSISTENT_VOLUME_CLAIMS, {
        apiVersion: 'v1',
        kind: 'PersistentVolumeClaim',
        metadata: {
          name,
          namespace,
          labels: { ...metadata.labels, ...set.spec.selector.matchLabels },
          ...(metadata.annotations === undefined ? {} : { annotations: metadata.annotations }),
          ...(deletedWithSet
            ? { ownerReferences: [{ ...controllerReference(set, STATEFUL_SETS), blockOwnerDeletion: false }] }
            : {}),
        },
        spec,
      })
      const message = `create Claim ${name} Pod ${podName} in StatefulSet ${set.metadata.name} success`
      events.record(set, 'Normal', 'SuccessfulCreate', message, from)
    }
  }

  /** `whenScaled: Delete`: the claims of a condemned pod go with it, through the garbage collector. */
  function bindClaims(set: StatefulSet, pod: Pod): void {
    for (const { persistentVolumeClaim } of pod.spec.volumes ?? []) {
      if (persistentVolumeClaim === undefined) continue
      const { claimName } = persistentVolumeClaim
      const held = read(registry, PERSISTENT_VOLUME_CLAIMS, pod.metadata.namespace ?? '', claimName)
      const templates = set.spec.volumeClaimTemplates ?? []
      if (held === undefined || !templates.some(({ metadata }) => claimName.startsWith(`${metadata.name}-`)))
        continue
      const owner = {
        apiVersion: 'v1',
        kind: 'Pod',
        name: pod.metadata.name,
        uid: pod.metadata.uid,
        controller: true,
      }
      registry.update(PERSISTENT_VOLUME_CLAIMS, {
        ...held,
        metadata: { ...held.metadata, ownerReferences: [owner] },
      })
    }
  }

  function removeReplica(set: StatefulSet, { metadata }: Pod): void {
    registry.delete(PODS, metadata.namespace ?? '', metadata.name)
    const message = `delete Pod ${metadata.name} in StatefulSet ${set.metadata.name} successful`
    events.record(set, 'Normal', 'SuccessfulDelete', message, from)
  }

  function writeStatus(set: StatefulSet, pods: readonly Pod[], revisions: Revisions, current: string): void {
    const updateRevision = revisions.update.metadata.name
    const live = pods.filter((pod) => pod.metadata.deletionTimestamp === undefined && !isTerminal(pod))
    const ofRevision = (name: string) =>
      live.filter((pod) => pod.metadata.labels?.[REVISION_HASH] === name).length
    const replicas = pods.length
    const readyReplicas = pods.filter((pod) => pod.status?.phase === 'Running' && isReady(pod)).length
    const availableReplicas = live.filter((pod) => isHealthy(set, pod)).length
    const updatedReplicas = ofRevision(updateRevision)
    const done = current !== updateRevision && updatedReplicas === replicas && readyReplicas === replicas
    const currentRevision = done ? updateRevision : current
    const currentReplicas = ofRevision(currentRevision)
    const status = {
      observedGeneration: set.metadata.generation ?? 1,
      replicas,
      ...(readyReplicas === 0 ? {} : { readyReplicas }),
      ...(currentReplicas === 0 ? {} : { currentReplicas }),
      ...(updatedReplicas === 0 ? {} : { updatedReplicas }),
      currentRevision,
      updateRevision,
      collisionCount: 0,
      availableReplicas,
    }
    registry.update(STATEFUL_SETS, { ...set, status }, { subresource: 'status' })
  }
}

function claimName(set: KubeObject, template: string, ordinal: number): string {
  return `${template}-${set.metadata.name}-${ordinal}`
}

function ordinalOf(set: StatefulSet, pod: Pod): number | undefined {
  const prefix = `${set.metadata.name}-`
  const rest = pod.metadata.name.slice(prefix.length)
  return pod.metadata.name.startsWith(prefix) && /^\d+$/.test(rest) ? Number(rest) : undefined
}
