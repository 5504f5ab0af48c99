/**
 * The CronJob controller: starts Jobs when they are due, as its concurrency policy allows, and keeps the
 * history short. Source: `pkg/controller/cronjob` (v2) and the page "CronJob" of the documentation.
 *
 * Schedules follow the cluster's wall clock; `speed` does not make days shorter.
 */
import type { ControlContext, Controller, Enqueue } from './control-context.ts'
import { stampOf } from './control-context.ts'
import { cronSchedule, type CronSchedule } from './cron-schedule.ts'
import {
  committed,
  CRON_JOBS,
  JOBS,
  keyOf,
  read,
  readAll,
  readOwned,
  splitKey,
  type CronJob,
  type Job,
  type ObjectReference,
} from './objects.ts'
import { endOf } from './job.ts'
import { controllerOf } from './ownership.ts'
import { controllerReference } from './pod-template.ts'

const from = { component: 'cronjob-controller' }

export function cronJobController({ registry, clock, events }: ControlContext): Controller {
  let enqueueLater: Enqueue = () => {}

  return {
    name: 'cronjob',
    watches: ['cronjobs', 'jobs'],
    start(enqueue) {
      enqueueLater = enqueue
      for (const cronJob of readAll(registry, CRON_JOBS)) enqueue(keyOf(cronJob))
    },
    observe(commit, enqueue) {
      const own = committed(commit, CRON_JOBS)
      if (own !== undefined) return enqueue(keyOf(own.object))
      const owner = controllerOf(commit.object)
      if (owner?.kind === 'CronJob') enqueue(`${commit.object.metadata.namespace}/${owner.name}`)
    },
    sync(key) {
      const { namespace, name } = splitKey(key)
      const cronJob = read(registry, CRON_JOBS, namespace, name)
      if (cronJob === undefined) return
      const settled = settle(cronJob)
      if (settled.metadata.deletionTimestamp === undefined && settled.spec.suspend !== true) startDue(settled)
    },
  }

  /** Takes note of Jobs that ended or vanished, and drops what exceeds the history. */
  function settle(cronJob: CronJob): CronJob {
    const jobs = readOwned(registry, JOBS, cronJob.metadata.uid)
    const byUid = new Map(jobs.map((job) => [job.metadata.uid, job]))
    let lastSuccess = cronJob.status?.lastSuccessfulTime
    const active: ObjectReference[] = []
    for (const reference of cronJob.status?.active ?? []) {
      const job = byUid.get(reference.uid ?? '')
      const end = job === undefined ? undefined : endOf(job)
      if (job !== undefined && end === undefined) active.push(reference)
      else if (job === undefined) {
        events.record(cronJob, 'Normal', 'MissingJob', `Active job went missing: ${reference.name}`, from)
      } else {
        const message = `Saw completed job: ${job.metadata.name}, condition: ${end?.type}`
        events.record(cronJob, 'Normal', 'SawCompletedJob', message, from)
      }
    }
    const listed = new Set(active.map(({ uid }) => uid))
    for (const job of jobs) {
      const end = endOf(job)
      if (end === undefined && !listed.has(job.metadata.uid)) active.push(referenceTo(job))
      const ended = end?.type === 'Complete' ? job.status?.completionTime : undefined
      if (ended !== undefined && (lastSuccess === undefined || ended > lastSuccess)) lastSuccess = ended
    }
    dropHistory(cronJob, jobs, 'Complete', cronJob.spec.successfulJobsHistoryLimit ?? 3)
    dropHistory(cronJob, jobs, 'Failed', cronJob.spec.failedJobsHistoryLimit ?? 1)
    return write(cronJob, {
      ...cronJob.status,
      active,
      ...(lastSuccess === undefined ? {} : { lastSuccessfulTime: lastSuccess }),
    })
  }

  function write(cronJob: CronJob, { active, ...rest }: NonNullable<CronJob['status']>): CronJob {
    const status = active === undefined || active.length === 0 ? rest : { active, ...rest }
    return registry.update(CRON_JOBS, { ...cronJob, status }, { subresource: 'status' }) as CronJob
  }

  function dropHistory(cronJob: CronJob, jobs: readonly Job[], type: string, limit: number): void {
    const ended = jobs
      .filter((job) => endOf(job)?.type === type && job.metadata.deletionTimestamp === undefined)
      .sort((a, b) => (a.status?.startTime ?? '').localeCompare(b.status?.startTime ?? ''))
    for (const { metadata } of ended.slice(0, Math.max(0, ended.length - limit))) {
      registry.delete(JOBS, metadata.namespace ?? '', metadata.name, { propagationPolicy: 'Background' })
      events.record(cronJob, 'Normal', 'SuccessfulDelete', `Deleted job ${metadata.name}`, from)
    }
  }

  function startDue(cronJob: CronJob): void {
    const key = keyOf(cronJob)
    let schedule: CronSchedule
    try {
      schedule = cronSchedule(cronJob.spec.schedule, cronJob.spec.timeZone)
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      const message = `invalid schedule: "${cronJob.spec.schedule}" : ${why}`
      events.record(cronJob, 'Warning', 'UnparseableSchedule', message, from)
      return
    }
    const now = clock.now()
    const { startingDeadlineSeconds, concurrencyPolicy } = cronJob.spec
    let earliest = Date.parse(cronJob.status?.lastScheduleTime ?? cronJob.metadata.creationTimestamp)
    if (startingDeadlineSeconds !== undefined)
      earliest = Math.max(earliest, now - startingDeadlineSeconds * 1000)
    const due = schedule.latest(earliest, now)
    const next = schedule.next(now)
    if (next !== undefined) enqueueLater(key, clock.until(next) + 0.001)
    if (due === undefined) return
    if (due.missed > 100) {
      const message = `too many missed start times: ${due.missed}. Set or decrease .spec.startingDeadlineSeconds or check clock skew`
      events.record(cronJob, 'Warning', 'TooManyMissedTimes', message, from)
    }
    const active = cronJob.status?.active ?? []
    if (concurrencyPolicy === 'Forbid' && active.length > 0) {
      const message = 'Not starting job because prior execution is running and concurrency policy is Forbid'
      events.record(cronJob, 'Normal', 'JobAlreadyActive', message, from)
      return
    }
    const name = `${cronJob.metadata.name}-${Math.floor(due.at / 60_000)}`
    const namespace = cronJob.metadata.namespace ?? ''
    if (read(registry, JOBS, namespace, name) !== undefined) return
    if (concurrencyPolicy === 'Replace') {
      for (const { name: old = '' } of active) {
        if (read(registry, JOBS, namespace, old) === undefined) continue
        registry.delete(JOBS, namespace, old, { propagationPolicy: 'Background' })
        events.record(cronJob, 'Normal', 'SuccessfulDelete', `Deleted job ${old}`, from)
      }
    }
    const { jobTemplate } = cronJob.spec
    const job = registry.create(JOBS, {
      apiVersion: JOBS.apiVersion,
      kind: JOBS.kind,
      metadata: {
        name,
        namespace,
        ...(jobTemplate.metadata?.labels === undefined ? {} : { labels: jobTemplate.metadata.labels }),
        annotations: {
          ...jobTemplate.metadata?.annotations,
          'batch.kubernetes.io/cronjob-scheduled-timestamp': stampOf(due.at),
        },
        ownerReferences: [controllerReference(cronJob, CRON_JOBS)],
      },
      spec: jobTemplate.spec,
    }) as Job
    events.record(cronJob, 'Normal', 'SuccessfulCreate', `Created job ${name}`, from)
    write(cronJob, {
      ...cronJob.status,
      active: [...(concurrencyPolicy === 'Replace' ? [] : active), referenceTo(job)],
      lastScheduleTime: stampOf(due.at),
    })
  }
}

function referenceTo({ metadata }: Job): ObjectReference {
  return {
    apiVersion: JOBS.apiVersion,
    kind: JOBS.kind,
    name: metadata.name,
    namespace: metadata.namespace ?? '',
    uid: metadata.uid,
    resourceVersion: metadata.resourceVersion,
  }
}
