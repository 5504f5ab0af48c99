/**
 * The Deployment controller: rolling updates within maxSurge and maxUnavailable, Recreate, scaling (also
 * in the middle of a rollout, proportionally), pause and resume, progress deadline, and the status that
 * `kubectl rollout status` waits for.
 *
 * Invariant: it only creates, scales and deletes ReplicaSets; pods are the ReplicaSet controller's.
 * Source: `pkg/controller/deployment` of kubernetes and the page "Deployments" of its documentation.
 */
import type { ControlContext, Controller, Enqueue } from './control-context.ts'
import {
  byAge,
  DESIRED_REPLICAS,
  dropOldRevisions,
  ensureNewReplicaSet,
  MAX_REPLICAS,
} from './deployment-revision.ts'
import {
  committed,
  DEPLOYMENTS,
  keyOf,
  PODS,
  read,
  readAll,
  readOwned,
  REPLICA_SETS,
  splitKey,
  type Condition,
  type Deployment,
  type DeploymentStatus,
  type ReplicaSet,
} from './objects.ts'
import { claim, controllerOf, enqueueOwners, Orphans } from './ownership.ts'
import { conditionOf, isTerminal, withCondition } from './pod-template.ts'
import { scaledValue } from './quantity.ts'
import { findsItself } from './selector.ts'

const component = 'deployment-controller'
const NO_DEADLINE = 2 ** 31 - 1

export function deploymentController(context: ControlContext): Controller {
  const { registry } = context
  const orphans = new Orphans(REPLICA_SETS, registry)
  let enqueueLater: Enqueue = () => {}

  return {
    name: 'deployment',
    watches: ['deployments', 'replicasets', 'pods'],
    start(enqueue) {
      enqueueLater = enqueue
      for (const deployment of readAll(registry, DEPLOYMENTS)) enqueue(keyOf(deployment))
    },
    observe(commit, enqueue) {
      const own = committed(commit, DEPLOYMENTS)
      if (own !== undefined) return enqueue(keyOf(own.object))
      const pod = committed(commit, PODS)
      if (pod !== undefined) {
        // Recreate waits for the last old pod to be gone.
        if (commit.type !== 'DELETED') return
        const owner = controllerOf(pod.object)
        if (owner?.kind !== 'ReplicaSet') return
        const parent = read(registry, REPLICA_SETS, pod.object.metadata.namespace ?? '', owner.name)
        const deployment = parent && controllerOf(parent)
        if (deployment?.kind === 'Deployment') enqueue(`${pod.object.metadata.namespace}/${deployment.name}`)
        return
      }
      orphans.observe(commit)
      enqueueOwners(registry, commit, REPLICA_SETS, DEPLOYMENTS, (each) => each.spec.selector, enqueue)
    },
    sync(key) {
      const { namespace, name } = splitKey(key)
      const found = read(registry, DEPLOYMENTS, namespace, name)
      if (found !== undefined && findsItself(found)) new Rollout(context, orphans, enqueueLater, found).run()
    },
  }
}

/** One sync of one Deployment; holds its ReplicaSets as they are after each write. */
class Rollout {
  readonly #context: ControlContext
  readonly #orphans: Orphans<ReplicaSet>
  readonly #enqueueLater: Enqueue
  #deployment: Deployment
  /** Oldest first. */
  #old: ReplicaSet[] = []
  #new: ReplicaSet | undefined

  constructor(
    context: ControlContext,
    orphans: Orphans<ReplicaSet>,
    enqueueLater: Enqueue,
    deployment: Deployment,
  ) {
    this.#context = context
    this.#orphans = orphans
    this.#enqueueLater = enqueueLater
    this.#deployment = deployment
  }

  run(): void {
    const { selector } = this.#deployment.spec
    const all = claim(
      this.#context.registry,
      this.#deployment,
      DEPLOYMENTS,
      selector,
      REPLICA_SETS,
      this.#orphans,
    )
    if (this.#deployment.metadata.deletionTimestamp !== undefined) {
      this.#adopt(all, false)
      return this.#writeStatus()
    }
    this.#notePause()
    if (this.#deployment.spec.paused === true || this.#isScaling(all)) {
      this.#adopt(all, false)
      this.#scale()
      if (this.#deployment.spec.paused === true) dropOldRevisions(this.#context, this.#deployment, this.#old)
      return this.#writeStatus()
    }
    if (this.#deployment.spec.strategy?.type === 'Recreate') this.#recreate(all)
    else this.#roll(all)
  }

  get #replicas(): number {
    return this.#deployment.spec.replicas ?? 1
  }

  get #all(): ReplicaSet[] {
    return this.#new === undefined ? this.#old : [...this.#old, this.#new]
  }

  /** Both zero would never move: then one pod may be unavailable (API reference). */
  get #bounds(): { readonly surge: number; readonly unavailable: number } {
    const { type, rollingUpdate } = this.#deployment.spec.strategy ?? {}
    if (type === 'Recreate') return { surge: 0, unavailable: 0 }
    const surge = scaledValue(rollingUpdate?.maxSurge ?? '25%', this.#replicas, true)
    const unavailable = scaledValue(rollingUpdate?.maxUnavailable ?? '25%', this.#replicas, false)
    return {
      surge,
      unavailable: surge === 0 && unavailable === 0 ? 1 : Math.min(unavailable, this.#replicas),
    }
  }

  #adopt(all: readonly ReplicaSet[], create: boolean): void {
    const { surge } = this.#bounds
    const outcome = ensureNewReplicaSet(
      this.#context,
      this.#deployment,
      all,
      (others) => this.#newReplicas(0, sum(others, specReplicas)),
      this.#replicas + surge,
      create,
    )
    this.#deployment = outcome.deployment
    this.#new = outcome.newReplicaSet
    this.#old = all.filter(({ metadata }) => metadata.uid !== this.#new?.metadata.uid).sort(byAge)
    if (outcome.created && this.#new !== undefined && specReplicas(this.#new) > 0) {
      this.#say('up', this.#new, 0, specReplicas(this.#new))
    }
  }

  /** A change of `spec.replicas` since the ReplicaSets were last scaled. */
  #isScaling(all: readonly ReplicaSet[]): boolean {
    return all.some((each) => {
      const desired = each.metadata.annotations?.[DESIRED_REPLICAS]
      return specReplicas(each) > 0 && desired !== undefined && Number(desired) !== this.#replicas
    })
  }

  #notePause(): void {
    const { paused } = this.#deployment.spec
    if ((this.#deployment.spec.progressDeadlineSeconds ?? 600) === NO_DEADLINE) return
    const reason = conditionOf(this.#deployment.status?.conditions, 'Progressing')?.reason
    if (reason === 'ProgressDeadlineExceeded') return
    const isPaused = reason === 'DeploymentPaused'
    if ((paused === true) === isPaused) return
    this.#setStatus({
      ...this.#deployment.status,
      conditions: this.#with({
        type: 'Progressing',
        status: 'Unknown',
        reason: paused === true ? 'DeploymentPaused' : 'DeploymentResumed',
        message: paused === true ? 'Deployment is paused' : 'Deployment is resumed',
      }),
    })
  }

  #roll(all: readonly ReplicaSet[]): void {
    this.#adopt(all, true)
    if (this.#scaleNew() || this.#scaleOldDown()) return this.#writeStatus()
    if (this.#isComplete(this.#status())) dropOldRevisions(this.#context, this.#deployment, this.#old)
    this.#writeStatus()
  }

  #recreate(all: readonly ReplicaSet[]): void {
    this.#adopt(all, false)
    let scaled = false
    for (const each of this.#old) scaled = this.#scaleTo(each, 0) || scaled
    if (scaled) return this.#writeStatus()
    // Terminating pods of the old revision still run: the new one waits for them.
    const running = this.#old.some((each) =>
      readOwned(this.#context.registry, PODS, each.metadata.uid).some((pod) => !isTerminal(pod)),
    )
    if (running) return this.#writeStatus()
    this.#adopt(this.#all, true)
    this.#scaleNew()
    if (this.#isComplete(this.#status())) dropOldRevisions(this.#context, this.#deployment, this.#old)
    this.#writeStatus()
  }

  /** How many the new ReplicaSet may have now, given how many all others have. */
  #newReplicas(current: number, others: number): number {
    if (this.#deployment.spec.strategy?.type === 'Recreate') return this.#replicas
    const room = this.#replicas + this.#bounds.surge - current - others
    return room <= 0 ? current : current + Math.min(room, this.#replicas - current)
  }

  #scaleNew(): boolean {
    if (this.#new === undefined) return false
    const current = specReplicas(this.#new)
    const wanted =
      current > this.#replicas ? this.#replicas : this.#newReplicas(current, sum(this.#old, specReplicas))
    return this.#scaleTo(this.#new, wanted)
  }

  /** Unhealthy pods of old revisions first, then as many as stay available enough; oldest first. */
  #scaleOldDown(): boolean {
    if (sum(this.#old, specReplicas) === 0) return false
    const minAvailable = this.#replicas - this.#bounds.unavailable
    const newUnavailable =
      this.#new === undefined ? 0 : specReplicas(this.#new) - availableReplicas(this.#new)
    const most = sum(this.#all, specReplicas) - minAvailable - newUnavailable
    if (most <= 0) return false
    let scaled = 0
    for (const each of this.#old) {
      const unhealthy = specReplicas(each) - availableReplicas(each)
      const by = Math.min(most - scaled, unhealthy)
      if (by > 0 && this.#scaleTo(each, specReplicas(each) - by)) scaled += by
    }
    let spare = sum(this.#all, availableReplicas) - minAvailable
    for (const each of this.#old) {
      const by = Math.min(spare, specReplicas(each))
      if (by <= 0) continue
      if (this.#scaleTo(each, specReplicas(each) - by)) scaled += by
      spare -= by
    }
    return scaled > 0
  }

  #scale(): void {
    const active = this.#all.filter((each) => specReplicas(each) > 0)
    const only = active.length > 1 ? undefined : (active[0] ?? this.#new ?? this.#old.at(-1))
    if (only !== undefined) {
      this.#scaleTo(only, this.#replicas)
      return
    }
    if (this.#new !== undefined && this.#isSaturated(this.#new)) {
      for (const each of this.#old) this.#scaleTo(each, 0)
      return
    }
    if (this.#deployment.spec.strategy?.type === 'Recreate') return
    this.#scaleInProportion(active)
  }

  #isSaturated(replicaSet: ReplicaSet): boolean {
    return (
      specReplicas(replicaSet) === this.#replicas &&
      Number(replicaSet.metadata.annotations?.[DESIRED_REPLICAS]) === this.#replicas &&
      availableReplicas(replicaSet) === this.#replicas
    )
  }

  /** Spreads the difference over the ReplicaSets of a rollout by their size; the largest takes the rest. */
  #scaleInProportion(active: readonly ReplicaSet[]): void {
    const allowed = this.#replicas > 0 ? this.#replicas + this.#bounds.surge : 0
    const toAdd = allowed - sum(active, specReplicas)
    const sorted = [...active].sort(
      (a, b) => specReplicas(b) - specReplicas(a) || (toAdd > 0 ? byAge(b, a) : byAge(a, b)),
    )
    const sizes = new Map<ReplicaSet, number>()
    let added = 0
    for (const each of sorted) {
      const size = specReplicas(each)
      const max =
        Number(each.metadata.annotations?.[MAX_REPLICAS] ?? 0) || (this.#deployment.status?.replicas ?? size)
      const share = Math.round((size * (this.#replicas + this.#bounds.surge)) / max) - size
      const by = toAdd > 0 ? Math.min(share, toAdd - added) : Math.max(share, toAdd - added)
      sizes.set(each, toAdd === 0 ? size : size + by)
      if (toAdd !== 0) added += by
    }
    const [largest] = sorted
    if (largest !== undefined && toAdd !== 0) {
      sizes.set(largest, Math.max(0, (sizes.get(largest) ?? 0) + toAdd - added))
    }
    for (const [each, size] of sizes) this.#scaleTo(each, size)
  }

  /** Also writes the annotations that tell a later sync what was desired; true where replicas changed. */
  #scaleTo(replicaSet: ReplicaSet, replicas: number): boolean {
    const from = specReplicas(replicaSet)
    const annotations = {
      ...replicaSet.metadata.annotations,
      [DESIRED_REPLICAS]: String(this.#replicas),
      [MAX_REPLICAS]: String(this.#replicas + this.#bounds.surge),
    }
    const written = this.#context.registry.update(REPLICA_SETS, {
      ...replicaSet,
      metadata: { ...replicaSet.metadata, annotations },
      spec: { ...replicaSet.spec, replicas },
    }) as ReplicaSet
    if (this.#new === replicaSet) this.#new = written
    else this.#old = this.#old.map((each) => (each === replicaSet ? written : each))
    if (from === replicas) return false
    this.#say(replicas > from ? 'up' : 'down', written, from, replicas)
    return true
  }

  #say(direction: 'up' | 'down', { metadata }: ReplicaSet, from: number, to: number): void {
    const message = `Scaled ${direction} replica set ${metadata.name} from ${from} to ${to}`
    this.#context.events.record(this.#deployment, 'Normal', 'ScalingReplicaSet', message, { component })
  }

  #status(): DeploymentStatus {
    const replicas = sum(this.#all, (each) => each.status?.replicas ?? 0)
    const available = sum(this.#all, availableReplicas)
    const unavailable = Math.max(0, sum(this.#all, specReplicas) - available)
    const isAvailable = available >= this.#replicas - this.#bounds.unavailable
    const old = this.#deployment.status
    return {
      observedGeneration: this.#deployment.metadata.generation ?? 1,
      ...counts({
        replicas,
        updatedReplicas: this.#new?.status?.replicas ?? 0,
        readyReplicas: sum(this.#all, (each) => each.status?.readyReplicas ?? 0),
        availableReplicas: available,
        unavailableReplicas: unavailable,
      }),
      ...(old?.collisionCount === undefined ? {} : { collisionCount: old.collisionCount }),
      conditions: this.#with({
        type: 'Available',
        status: isAvailable ? 'True' : 'False',
        reason: isAvailable ? 'MinimumReplicasAvailable' : 'MinimumReplicasUnavailable',
        message: isAvailable
          ? 'Deployment has minimum availability.'
          : 'Deployment does not have minimum availability.',
      }),
    }
  }

  #isComplete(status: DeploymentStatus): boolean {
    return (
      (status.updatedReplicas ?? 0) === this.#replicas &&
      (status.replicas ?? 0) === this.#replicas &&
      (status.availableReplicas ?? 0) === this.#replicas
    )
  }

  #writeStatus(): void {
    let status = this.#status()
    const old = this.#deployment.status
    const deadline = this.#deployment.spec.progressDeadlineSeconds ?? 600
    const before = conditionOf(status.conditions, 'Progressing')
    const name = this.#new === undefined ? '' : ` "${this.#new.metadata.name}"`
    const subject =
      this.#new === undefined ? `Deployment "${this.#deployment.metadata.name}"` : `ReplicaSet${name}`
    const settled =
      (status.replicas ?? 0) === (status.updatedReplicas ?? 0) && before?.reason === 'NewReplicaSetAvailable'
    const paused = this.#deployment.spec.paused === true
    if (deadline !== NO_DEADLINE && !settled && !paused && !this.#deployment.metadata.deletionTimestamp) {
      if (this.#isComplete(status)) {
        status = this.#progress(
          status,
          'True',
          'NewReplicaSetAvailable',
          `${subject} has successfully progressed.`,
        )
      } else if (hasProgressed(old, status)) {
        status = this.#progress(status, 'True', 'ReplicaSetUpdated', `${subject} is progressing.`)
      } else if (before !== undefined && before.reason !== 'NewReplicaSetAvailable') {
        const since = before.lastUpdateTime ?? before.lastTransitionTime ?? ''
        const left = this.#context.clock.remaining(since, deadline)
        if (left <= 0 && before.reason !== 'ProgressDeadlineExceeded') {
          status = this.#progress(
            status,
            'False',
            'ProgressDeadlineExceeded',
            `${subject} has timed out progressing.`,
          )
        } else if (left > 0) {
          this.#enqueueLater(keyOf(this.#deployment), left + 1)
        }
      }
      if (before === undefined || (before.reason === 'NewReplicaSetAvailable' && !this.#isComplete(status))) {
        this.#enqueueLater(keyOf(this.#deployment), deadline + 1)
      }
    }
    const failure = this.#all
      .map((each) => conditionOf(each.status?.conditions, 'ReplicaFailure'))
      .find((condition) => condition !== undefined)
    const conditions =
      failure === undefined
        ? (status.conditions ?? []).filter(({ type }) => type !== 'ReplicaFailure')
        : withCondition(status.conditions, failure, this.#context.clock.stamp(), { updateTime: true })
    this.#setStatus({ ...status, conditions })
  }

  /** `lastUpdateTime` moves with every step forward: the deadline is counted from it. */
  #progress(
    status: DeploymentStatus,
    value: Condition['status'],
    reason: string,
    message: string,
  ): DeploymentStatus {
    const stamp = this.#context.clock.stamp()
    const next: Condition = { type: 'Progressing', status: value, reason, message }
    const conditions = withCondition(status.conditions, next, stamp, { updateTime: true }).map((each) =>
      each.type === 'Progressing' ? { ...each, lastUpdateTime: stamp } : each,
    )
    return { ...status, conditions }
  }

  #with(condition: Condition): readonly Condition[] {
    return withCondition(this.#deployment.status?.conditions, condition, this.#context.clock.stamp(), {
      updateTime: true,
    })
  }

  #setStatus(status: DeploymentStatus): void {
    this.#deployment = this.#context.registry.update(
      DEPLOYMENTS,
      { ...this.#deployment, status },
      { subresource: 'status' },
    ) as Deployment
  }
}

function hasProgressed(old: DeploymentStatus | undefined, now: DeploymentStatus): boolean {
  const stale = (status: DeploymentStatus | undefined) =>
    (status?.replicas ?? 0) - (status?.updatedReplicas ?? 0)
  return (
    (now.updatedReplicas ?? 0) > (old?.updatedReplicas ?? 0) ||
    stale(now) < stale(old) ||
    (now.readyReplicas ?? 0) > (old?.readyReplicas ?? 0) ||
    (now.availableReplicas ?? 0) > (old?.availableReplicas ?? 0)
  )
}

/** Zero counters are left out, as Go's `omitempty` does. */
export function counts<T extends Readonly<Record<string, number>>>(values: T): Partial<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== 0)) as Partial<T>
}

function sum(replicaSets: readonly ReplicaSet[], of: (each: ReplicaSet) => number): number {
  return replicaSets.reduce((total, each) => total + of(each), 0)
}

function specReplicas(replicaSet: ReplicaSet): number {
  return replicaSet.spec.replicas ?? 1
}

function availableReplicas(replicaSet: ReplicaSet): number {
  return replicaSet.status?.availableReplicas ?? 0
}
