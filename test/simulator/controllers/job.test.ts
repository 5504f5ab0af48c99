import { afterEach, describe, expect, test } from 'vitest'
import { JOBS, PODS, type Job } from '../../../src/simulator/controllers/objects.ts'
import { SmallCluster } from './small-cluster.ts'

let cluster = new SmallCluster()
afterEach(() => {
  cluster.close()
  cluster = new SmallCluster()
})

function job(script: string, spec: Partial<Job['spec']> = {}, restartPolicy = 'Never'): void {
  const container = { name: 'work', image: 'busybox:1.37', command: ['sh', '-c', script] }
  cluster.create(JOBS, 'work', {
    spec: { ...spec, template: { spec: { restartPolicy, containers: [container] } } },
  })
}

function status(): NonNullable<Job['status']> {
  return cluster.get(JOBS, 'work').status ?? {}
}

function conditions(): readonly string[] {
  return (status().conditions ?? [])
    .filter((each) => each.status === 'True')
    .map(({ type, reason }) => `${type} ${reason}`)
}

describe('a Job', () => {
  test('runs its pod to the end and is complete', () => {
    job('sleep 5; echo done')
    cluster.after(4)
    expect(status()).toMatchObject({ active: 1 })
    cluster.after(20)
    expect(status()).toMatchObject({
      succeeded: 1,
      startTime: expect.any(String),
      completionTime: expect.any(String),
    })
    expect(conditions()).toEqual(['SuccessCriteriaMet CompletionsReached', 'Complete CompletionsReached'])
    expect(cluster.pods()[0]?.status?.phase).toBe('Succeeded')
    expect(cluster.eventsOf('work')).toContain('Completed: Job completed')
  })

  test('runs as many pods at a time as parallelism says, until completions are reached', () => {
    job('sleep 10', { completions: 5, parallelism: 2 })
    let most = 0
    for (let i = 0; i < 120; i++) {
      cluster.after(1)
      most = Math.max(most, status().active ?? 0)
    }
    expect(most).toBe(2)
    expect(status()).toMatchObject({ succeeded: 5 })
    expect(cluster.pods()).toHaveLength(5)
  })

  test('tries again with growing pauses, and gives up after backoffLimit', () => {
    job('exit 1', { backoffLimit: 2 })
    cluster.after(8)
    expect(cluster.pods()).toHaveLength(1)
    cluster.after(10)
    expect(cluster.pods()).toHaveLength(2)
    cluster.after(60)
    expect(cluster.pods()).toHaveLength(3)
    expect(status()).toMatchObject({ failed: 3 })
    expect(conditions()).toContain('Failed BackoffLimitExceeded')
    expect(cluster.eventsOf('work')).toContain(
      'BackoffLimitExceeded: Job has reached the specified backoff limit',
    )
  })

  test('with OnFailure restarts the container in its pod, and counts that towards the limit', () => {
    job('exit 1', { backoffLimit: 2 }, 'OnFailure')
    cluster.after(120)
    expect(conditions()).toContain('Failed BackoffLimitExceeded')
    expect(cluster.pods().filter(({ metadata }) => !metadata.deletionTimestamp)).toEqual([])
  })

  test('ends at its deadline', () => {
    job('sleep 1000', { activeDeadlineSeconds: 30 })
    cluster.after(60)
    expect(conditions()).toContain('Failed DeadlineExceeded')
    expect(status().active).toBeUndefined()
    expect(cluster.pods()).toEqual([])
  })

  test('is removed with its pods some time after its end', () => {
    job('true', { ttlSecondsAfterFinished: 60 })
    cluster.after(30)
    expect(cluster.has(JOBS, 'work')).toBe(true)
    cluster.after(60)
    expect(cluster.has(JOBS, 'work')).toBe(false)
    expect(cluster.all(PODS)).toEqual([])
  })

  test('suspended gives up its pods, and starts anew when it is resumed', () => {
    job('sleep 20')
    cluster.after(10)
    cluster.change(JOBS, 'work', { suspend: true })
    cluster.after(10)
    expect(cluster.pods()).toEqual([])
    expect(conditions()).toEqual(['Suspended JobSuspended'])
    expect(status().startTime).toBeUndefined()
    cluster.change(JOBS, 'work', { suspend: false })
    cluster.after(60)
    expect(conditions()).toContain('Complete CompletionsReached')
  })

  test('indexed gives each pod its number and says which are done', () => {
    job('sleep 3', { completionMode: 'Indexed', completions: 4, parallelism: 4 })
    cluster.after(1)
    const names = cluster.pods().map(({ metadata }) => metadata.name)
    expect(names.map((name) => name.replace(/-[a-z0-9]{5}$/, ''))).toEqual([
      'work-0',
      'work-1',
      'work-2',
      'work-3',
    ])
    expect(cluster.pods()[2]?.metadata.annotations).toMatchObject({
      'batch.kubernetes.io/job-completion-index': '2',
    })
    cluster.after(30)
    expect(status()).toMatchObject({ succeeded: 4, completedIndexes: '0-3' })
  })

  test('without completions is complete when one succeeded and none is left', () => {
    job('sleep 4', { parallelism: 3 })
    cluster.after(60)
    expect(conditions()).toContain('Complete CompletionsReached')
    expect(cluster.pods()).toHaveLength(status().succeeded ?? 0)
  })

  test('counts a finished pod once, also when it is deleted', () => {
    job('sleep 8', { completions: 2, parallelism: 1 })
    cluster.after(14)
    const done = cluster.pods().find((pod) => pod.status?.phase === 'Succeeded')
    cluster.delete(PODS, done?.metadata.name ?? '')
    cluster.after(60)
    expect(status()).toMatchObject({ succeeded: 2 })
  })
})
