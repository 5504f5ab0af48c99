/**
 * The Job controller: parallelism and completions, indexed jobs, back-off of failing pods and its limit,
 * deadline, suspension, and removal some time after the end. Source: `pkg/controller/job`,
 * `pkg/controller/ttlafterfinished` and the page "Jobs" of the documentation.
 *
 * Invariant: a finished pod is counted once, also after it is deleted. What the real controller keeps in a
 * finalizer on the pod, this one keeps in memory, so that pods stay free of finalizers.
 */
import type { ControlContext, Controller, Enqueue } from './control-context.ts'
import {
  committed,
  JOBS,
  keyOf,
  PODS,
  read,
  readAll,
  readOwned,
  splitKey,
  type Condition,
  type Job,
  type Pod,
  type PodSpec,
} from './objects.ts'
import { controllerOf } from './ownership.ts'
import {
  conditionOf,
  isActive,
  isReady,
  isTerminal,
  podFromTemplate,
  randomSuffix,
  withCondition,
} from './pod-template.ts'
import { createPod, deletePod } from './replica-set.ts'

const from = { component: 'job-controller' }
const INDEX = 'batch.kubernetes.io/job-completion-index'
const shortestBackoffSeconds = 10
const longestBackoffSeconds = 360

interface Tally {
  /** Uids of finished pods that the status has counted. */
  readonly counted: Set<string>
  /** Milliseconds of the last failure that was counted, and how many in a row. */
  lastFailureMs: number
  failuresInARow: number
}

export function jobController(context: ControlContext): Controller {
  const { registry, clock, events, random } = context
  const tallies = new Map<string, Tally>()
  let enqueueLater: Enqueue = () => {}

  return {
    name: 'job',
    watches: ['jobs', 'pods'],
    start(enqueue) {
      enqueueLater = enqueue
      for (const job of readAll(registry, JOBS)) {
        // What had ended before this controller came is in the status already.
        const ended = job.status?.startTime === undefined ? [] : readOwned(registry, PODS, job.metadata.uid)
        tallyOf(
          job,
          ended.filter(isTerminal).map(({ metadata }) => metadata.uid),
        )
        enqueue(keyOf(job))
      }
    },
    observe(commit, enqueue) {
      const own = committed(commit, JOBS)
      if (own !== undefined) {
        if (commit.type === 'DELETED') tallies.delete(own.object.metadata.uid)
        else enqueue(keyOf(own.object))
        return
      }
      const owner = controllerOf(commit.object)
      if (owner?.kind === 'Job') enqueue(`${commit.object.metadata.namespace}/${owner.name}`)
    },
    sync(key) {
      const { namespace, name } = splitKey(key)
      const job = read(registry, JOBS, namespace, name)
      if (job === undefined || job.metadata.deletionTimestamp !== undefined) return
      const end = endOf(job)
      if (end === undefined) work(job)
      else removeLater(job, end)
    },
  }

  function tallyOf(job: Job, counted: readonly string[] = []): Tally {
    let tally = tallies.get(job.metadata.uid)
    if (tally === undefined) {
      tally = { counted: new Set(counted), lastFailureMs: 0, failuresInARow: 0 }
      tallies.set(job.metadata.uid, tally)
    }
    return tally
  }

  function removeLater(job: Job, end: Condition): void {
    const ttl = job.spec.ttlSecondsAfterFinished
    if (ttl === undefined) return
    const left = clock.remaining(end.lastTransitionTime ?? job.metadata.creationTimestamp, ttl)
    if (left > 0) enqueueLater(keyOf(job), left + 0.001)
    else {
      registry.delete(JOBS, job.metadata.namespace ?? '', job.metadata.name, {
        propagationPolicy: 'Foreground',
      })
    }
  }

  function work(job: Job): void {
    const tally = tallyOf(job)
    const suspended = job.spec.suspend === true
    const pods = readOwned(registry, PODS, job.metadata.uid)
    let succeeded = job.status?.succeeded ?? 0
    let failed = job.status?.failed ?? 0
    const doneIndexes = parseIndexes(job.status?.completedIndexes)
    for (const pod of pods) {
      if (!isTerminal(pod) || tally.counted.has(pod.metadata.uid)) continue
      tally.counted.add(pod.metadata.uid)
      if (pod.status?.phase === 'Succeeded') {
        const index = indexOf(pod)
        if (index === undefined) succeeded++
        else if (!doneIndexes.has(index)) {
          doneIndexes.add(index)
          succeeded++
        }
        tally.failuresInARow = 0
      } else {
        failed++
        tally.failuresInARow++
        tally.lastFailureMs = clock.now()
      }
    }
    let active = pods.filter(isActive)
    const failure = failureOf(job, active, failed)
    const { completions } = job.spec
    const complete =
      completions === undefined || completions === null
        ? succeeded > 0 && active.length === 0 && !suspended
        : succeeded >= completions
    let conditions = job.status?.conditions ?? []
    const stamp = clock.stamp()
    const add = (condition: Condition) => {
      conditions = withCondition(conditions, { ...condition, lastProbeTime: stamp }, stamp)
    }
    let startTime = job.status?.startTime
    let completionTime = job.status?.completionTime

    if (failure !== undefined) {
      for (const pod of active) deletePod(registry, events, job, pod, from)
      active = []
      add({ type: 'FailureTarget', status: 'True', ...failure })
      add({ type: 'Failed', status: 'True', ...failure })
      events.record(job, 'Warning', failure.reason, failure.message, from)
    } else if (complete) {
      for (const pod of active) deletePod(registry, events, job, pod, from)
      active = []
      const why = { reason: 'CompletionsReached', message: 'Reached expected number of succeeded pods' }
      add({ type: 'SuccessCriteriaMet', status: 'True', ...why })
      add({ type: 'Complete', status: 'True', ...why })
      completionTime = stamp
      events.record(job, 'Normal', 'Completed', 'Job completed', from)
    } else if (suspended) {
      for (const pod of active) deletePod(registry, events, job, pod, from)
      active = []
      if (conditionOf(conditions, 'Suspended')?.status !== 'True') {
        add({ type: 'Suspended', status: 'True', reason: 'JobSuspended', message: 'Job suspended' })
        events.record(job, 'Normal', 'Suspended', 'Job suspended', from)
      }
      startTime = undefined
    } else {
      if (conditionOf(conditions, 'Suspended')?.status === 'True') {
        add({ type: 'Suspended', status: 'False', reason: 'JobResumed', message: 'Job resumed' })
        events.record(job, 'Normal', 'Resumed', 'Job resumed', from)
        startTime = stamp
      }
      startTime ??= stamp
      const { activeDeadlineSeconds } = job.spec
      if (activeDeadlineSeconds !== undefined) {
        enqueueLater(keyOf(job), Math.max(0, clock.remaining(startTime, activeDeadlineSeconds)) + 0.001)
      }
      active = [...active, ...startPods(job, tally, active, succeeded, doneIndexes)]
    }

    const current = read(registry, JOBS, job.metadata.namespace ?? '', job.metadata.name)
    if (current === undefined) return
    const terminating = readOwned(registry, PODS, job.metadata.uid).filter(
      (pod) => pod.metadata.deletionTimestamp !== undefined && !isTerminal(pod),
    ).length
    const status: Job['status'] = {
      ...(conditions.length === 0 ? {} : { conditions }),
      ...(startTime === undefined ? {} : { startTime }),
      ...(completionTime === undefined ? {} : { completionTime }),
      ...(active.length === 0 ? {} : { active: active.length }),
      ...(succeeded === 0 ? {} : { succeeded }),
      ...(failed === 0 ? {} : { failed }),
      ...(doneIndexes.size === 0 ? {} : { completedIndexes: indexesText(doneIndexes) }),
      uncountedTerminatedPods: {},
      ready: active.filter(isReady).length,
      terminating,
    }
    registry.update(JOBS, { ...current, status }, { subresource: 'status' })
  }

  function failureOf(
    job: Job,
    active: readonly Pod[],
    failed: number,
  ): { readonly reason: string; readonly message: string } | undefined {
    const limit = job.spec.backoffLimit ?? 6
    // With OnFailure the pod stays and its containers restart: those restarts count.
    const restarts = active.reduce(
      (total, { status }) =>
        total + (status?.containerStatuses ?? []).reduce((sum, { restartCount }) => sum + restartCount, 0),
      0,
    )
    const onFailure = job.spec.template.spec.restartPolicy === 'OnFailure'
    if (failed > limit || (onFailure && (limit === 0 ? restarts > 0 : restarts >= limit))) {
      return { reason: 'BackoffLimitExceeded', message: 'Job has reached the specified backoff limit' }
    }
    const { startTime } = job.status ?? {}
    const deadline = job.spec.activeDeadlineSeconds
    if (deadline !== undefined && startTime !== undefined && job.spec.suspend !== true) {
      if (clock.remaining(startTime, deadline) <= 0) {
        return { reason: 'DeadlineExceeded', message: 'Job was active longer than specified deadline' }
      }
    }
    return undefined
  }

  function startPods(
    job: Job,
    tally: Tally,
    active: readonly Pod[],
    succeeded: number,
    doneIndexes: ReadonlySet<number>,
  ): readonly Pod[] {
    const { parallelism = 1, completions } = job.spec
    // Without completions any success means the work is found: no new pods then.
    const open =
      completions === undefined || completions === null
        ? succeeded > 0
          ? active.length
          : parallelism
        : Math.min(parallelism, completions - succeeded)
    if (active.length > open) {
      const extra = [...active]
        .sort((a, b) => Number(isReady(a)) - Number(isReady(b)))
        .slice(0, active.length - open)
      for (const pod of extra) deletePod(registry, events, job, pod, from)
      return []
    }
    const missing = open - active.length
    if (missing <= 0) return []
    if (tally.failuresInARow > 0) {
      const delay = Math.min(longestBackoffSeconds, shortestBackoffSeconds * 2 ** (tally.failuresInARow - 1))
      const wait = delay - clock.since(tally.lastFailureMs)
      if (wait > 0) {
        enqueueLater(keyOf(job), wait + 0.001)
        return []
      }
    }
    const indexed = job.spec.completionMode === 'Indexed'
    const taken = new Set(active.map(indexOf))
    const started: Pod[] = []
    for (
      let index = 0;
      started.length < missing && index < Math.max(completions ?? 0, missing + active.length);
      index++
    ) {
      if (indexed && (taken.has(index) || doneIndexes.has(index))) continue
      const { template } = job.spec
      const input = indexed
        ? podFromTemplate(job, JOBS, template, {
            name: `${job.metadata.name}-${index}-${randomSuffix(random)}`,
            generateName: `${job.metadata.name}-${index}-`,
            labels: { ...jobLabels(job), [INDEX]: String(index) },
            annotations: { [INDEX]: String(index) },
            spec: { ...withIndexVariable(template.spec), hostname: `${job.metadata.name}-${index}` },
          })
        : podFromTemplate(job, JOBS, template, { labels: jobLabels(job) })
      started.push(createPod(registry, events, job, input, from))
    }
    return started
  }
}

function jobLabels(job: Job): Record<string, string> {
  const { name, uid } = job.metadata
  return {
    'batch.kubernetes.io/controller-uid': uid,
    'batch.kubernetes.io/job-name': name,
    'controller-uid': uid,
    'job-name': name,
  }
}

export function endOf(job: Job): Condition | undefined {
  return job.status?.conditions?.find(
    ({ type, status }) => (type === 'Complete' || type === 'Failed') && status === 'True',
  )
}

const indexed = new WeakMap<PodSpec, PodSpec>()

function withIndexVariable(spec: PodSpec): PodSpec {
  let result = indexed.get(spec)
  if (result === undefined) {
    const variable = {
      name: 'JOB_COMPLETION_INDEX',
      valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: `metadata.labels['${INDEX}']` } },
    }
    const containers = spec.containers.map((each) => ({ ...each, env: [...(each.env ?? []), variable] }))
    result = { ...spec, containers }
    indexed.set(spec, result)
  }
  return result
}

function indexOf(pod: Pod): number | undefined {
  const text = pod.metadata.annotations?.[INDEX]
  return text === undefined ? undefined : Number(text)
}

/** `0-2,5` (API reference, JobStatus.completedIndexes). */
function parseIndexes(text: string | undefined): Set<number> {
  const indexes = new Set<number>()
  for (const part of text === undefined || text === '' ? [] : text.split(',')) {
    const [first = 0, last = first] = part.split('-').map(Number)
    for (let index = first; index <= last; index++) indexes.add(index)
  }
  return indexes
}

function indexesText(indexes: ReadonlySet<number>): string {
  const sorted = [...indexes].sort((a, b) => a - b)
  const parts: string[] = []
  for (let i = 0; i < sorted.length; i++) {
    const first = sorted[i]
    while (sorted[i + 1] === (sorted[i] ?? 0) + 1) i++
    parts.push(first === sorted[i] ? `${first}` : `${first}-${sorted[i]}`)
  }
  return parts.join(',')
}
