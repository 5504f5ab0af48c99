import { describe, expect, it } from 'vitest'
import { project } from '../../../src/kubernetes/projections/projections.ts'
import type { Rows, WorkloadKind } from '../../../src/kubernetes/rows.ts'

function workload<K extends WorkloadKind>(
  kind: K,
  { metadata = {}, spec = {}, status = {} }: { metadata?: object; spec?: object; status?: object },
): Rows[K] {
  return project(kind)(
    { metadata: { name: 'web', namespace: 'shop', uid: 'u', generation: 2, ...metadata }, spec, status },
    'prod',
  )
}

describe('the rollout of a Deployment, as kubectl judges it', () => {
  const rollout = (spec: object, status: object) =>
    workload('Deployment', {
      spec: { replicas: 3, ...spec },
      status: { observedGeneration: 2, ...status },
    }).rollout
  const done = { replicas: 3, updatedReplicas: 3, readyReplicas: 3, availableReplicas: 3 }

  it('is complete when all replicas are new and available', () => {
    expect(rollout({}, done)).toEqual({ status: 'COMPLETE', reason: null, message: null })
  })

  it.each([
    ['Waiting for the new spec to be observed', { ...done, observedGeneration: 1 }],
    ['1 out of 3 new replicas have been updated', { ...done, updatedReplicas: 1 }],
    ['2 old replicas are pending termination', { ...done, replicas: 5 }],
    ['1 of 3 updated replicas are available', { ...done, availableReplicas: 1 }],
  ])('goes on: %s', (message, status) => {
    expect(rollout({}, status)).toMatchObject({ status: 'PROGRESSING', message })
  })

  it('has failed past its progress deadline, unless a newer spec is not observed yet', () => {
    const conditions = [
      { type: 'Progressing', status: 'False', reason: 'ProgressDeadlineExceeded', message: 'timed out' },
    ]
    expect(rollout({}, { ...done, conditions })).toMatchObject({ status: 'FAILED', message: 'timed out' })
    expect(rollout({}, { observedGeneration: 1, conditions }).status).toBe('PROGRESSING')
  })

  it('is paused in the middle, not when there is nothing left to do', () => {
    expect(rollout({ paused: true }, { ...done, updatedReplicas: 1 }).status).toBe('PAUSED')
    expect(rollout({ paused: true }, done).status).toBe('COMPLETE')
  })
})

describe('the rollout of a StatefulSet, as kubectl judges it', () => {
  const rollout = (spec: object, status: object) =>
    workload('StatefulSet', {
      spec: {
        replicas: 3,
        updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 0 } },
        ...spec,
      },
      status: { observedGeneration: 2, readyReplicas: 3, updatedReplicas: 3, ...status },
    }).rollout.status

  it.each<[string, object, object]>([
    ['COMPLETE', {}, {}],
    ['PROGRESSING', {}, { observedGeneration: 1 }],
    ['PROGRESSING', {}, { observedGeneration: 0 }],
    ['PROGRESSING', {}, { readyReplicas: 2 }],
    ['PROGRESSING', {}, { updatedReplicas: 2 }],
    [
      'COMPLETE',
      { updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 2 } } },
      { updatedReplicas: 1 },
    ],
    [
      'PROGRESSING',
      { updateStrategy: { type: 'RollingUpdate' } },
      { currentRevision: 'a', updateRevision: 'b' },
    ],
    [
      'COMPLETE',
      { updateStrategy: { type: 'RollingUpdate' } },
      { currentRevision: 'b', updateRevision: 'b' },
    ],
    ['COMPLETE', { updateStrategy: { type: 'OnDelete' } }, { currentRevision: 'a', updateRevision: 'b' }],
  ])('is %s', (status, spec, raw) => {
    expect(rollout(spec, raw)).toBe(status)
  })
})

describe('the rollout of a DaemonSet, as kubectl judges it', () => {
  const rollout = (status: object) =>
    workload('DaemonSet', {
      spec: { updateStrategy: { type: 'RollingUpdate' } },
      status: {
        observedGeneration: 2,
        desiredNumberScheduled: 4,
        updatedNumberScheduled: 4,
        numberAvailable: 4,
        ...status,
      },
    }).rollout

  it('is complete when every node has the new pod, available', () => {
    expect(rollout({}).status).toBe('COMPLETE')
    expect(rollout({ updatedNumberScheduled: 1 })).toMatchObject({
      status: 'PROGRESSING',
      message: '1 out of 4 new pods have been updated',
    })
    expect(rollout({ numberAvailable: 3 }).status).toBe('PROGRESSING')
    expect(rollout({ observedGeneration: 1 }).status).toBe('PROGRESSING')
  })
})

describe('Jobs, CronJobs and ReplicaSets', () => {
  it('a Job is complete, failed, suspended or at work by its conditions', () => {
    const rollout = (status: object, spec: object = {}) => workload('Job', { spec, status }).rollout.status
    expect(rollout({ conditions: [{ type: 'Complete', status: 'True' }] })).toBe('COMPLETE')
    expect(
      rollout({ conditions: [{ type: 'Failed', status: 'True', reason: 'BackoffLimitExceeded' }] }),
    ).toBe('FAILED')
    expect(rollout({ conditions: [{ type: 'FailureTarget', status: 'True' }] })).toBe('PROGRESSING')
    expect(rollout({}, { suspend: true })).toBe('PAUSED')
    expect(rollout({ active: 1 })).toBe('PROGRESSING')
  })

  it('a Job wants its completions, or its parallelism where it counts none', () => {
    expect(workload('Job', { spec: { completions: 5, parallelism: 2 } }).desired).toBe(5)
    expect(workload('Job', { spec: { parallelism: 2 } }).desired).toBe(2)
    expect(workload('Job', {})).toMatchObject({ desired: 1, parallelism: 1, backoffLimit: 6 })
  })

  it('a CronJob has the containers of its job, in batch/v1 and v1beta1', () => {
    const template = { spec: { containers: [{ name: 'run', image: 'cron:1' }] } }
    const row = workload('CronJob', {
      spec: { schedule: '*/5 * * * *', jobTemplate: { spec: { template } } },
      status: { active: [{ name: 'cron-1' }], lastScheduleTime: '2026-11-23T04:30:00Z' },
    })
    expect(row).toMatchObject({ schedule: '*/5 * * * *', active: 1, current: 1, selector: null })
    expect(row.containers.map(({ image }) => image)).toEqual(['cron:1'])
    expect(row.rollout.status).toBe('COMPLETE')
  })

  it('a ReplicaSet is complete when it has what it wants', () => {
    const row = (spec: object, status: object) =>
      workload('ReplicaSet', {
        metadata: { generation: 1 },
        spec,
        status: { observedGeneration: 1, ...status },
      })
    expect(row({ replicas: 0 }, {}).rollout.status).toBe('COMPLETE')
    expect(row({ replicas: 2 }, { replicas: 2, availableReplicas: 1 }).rollout.status).toBe('PROGRESSING')
    const conditions = [{ type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate', message: 'quota' }]
    expect(row({ replicas: 2 }, { conditions }).rollout).toMatchObject({ status: 'FAILED', message: 'quota' })
  })
})

describe("a workload's row", () => {
  it('has revision, strategy and selector', () => {
    const row = workload('Deployment', {
      metadata: { annotations: { 'deployment.kubernetes.io/revision': '7' } },
      spec: {
        selector: {
          matchLabels: { app: 'web' },
          matchExpressions: [{ key: 'tier', operator: 'In', values: ['front'] }],
        },
        strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: 0 } },
        template: {
          spec: { containers: [{ name: 'app', image: 'web:1', resources: { requests: { cpu: '250m' } } }] },
        },
      },
    })
    expect(row).toMatchObject({
      revision: 7,
      maxSurge: '25%',
      maxUnavailable: '0',
      desired: 1,
      cpuRequest: 0.25,
    })
    expect(row.selector).toEqual({
      matchLabels: { app: 'web' },
      matchExpressions: [{ key: 'tier', operator: 'In', values: ['front'] }],
    })
  })

  it('shares its containers with the pods of its template', () => {
    const template = { containers: [{ name: 'app', image: 'web:1' }] }
    const deployment = workload('Deployment', { spec: { template: { spec: template } } })
    const pod = project('Pod')({ metadata: { name: 'web-0' }, spec: template }, 'prod')
    expect(pod.containers[0]!.spec).toBe(deployment.containers[0])
  })
})
