import { describe, expect, it } from 'vitest'
import { ComposeError } from '../../../src/writes/compose/compose-error.ts'
import { composeDrain, type DrainedPod } from '../../../src/writes/compose/drain.ts'
import { composeTriggeredJob } from '../../../src/writes/compose/trigger.ts'
import { project } from '../../../src/kubernetes/projections/projections.ts'

function pod(
  name: string,
  owner: [string, string] | null,
  phase = 'Running',
  volumes: object[] = [],
): DrainedPod {
  const ownerReferences = owner && [
    { apiVersion: owner[0], kind: owner[1], name: 'o', uid: 'u', controller: true },
  ]
  return project('Pod')(
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        name,
        namespace: 'shop',
        uid: name,
        resourceVersion: '1',
        ...(ownerReferences && { ownerReferences }),
      },
      spec: { containers: [{ name: 'a', image: 'a' }], volumes },
      status: { phase },
    },
    'c',
  )
}

const CACHE = [{ name: 'cache', emptyDir: {} }]

describe('a drain', () => {
  const pods = [
    pod('web', ['apps/v1', 'ReplicaSet']),
    pod('cache', ['apps/v1', 'ReplicaSet'], 'Running', CACHE),
    pod('agent', ['apps/v1', 'DaemonSet'], 'Running', CACHE),
    pod('static', ['v1', 'Node']),
    pod('alone', null),
    pod('done', null, 'Succeeded', CACHE),
    pod('gone', ['apps/v1', 'DaemonSet'], 'Failed'),
  ]
  const names = (drain: ReturnType<typeof composeDrain>) => ({
    evicted: drain.evicted.map(({ name }) => name),
    skipped: drain.skipped.map(({ pod, reason }) => [pod.name, reason]),
    refused: drain.refused.map(({ pod, reason }) => [pod.name, reason]),
  })

  it('evicts what comes back elsewhere and what has finished, leaves what belongs to the node, and asks about the rest', () => {
    expect(names(composeDrain(pods))).toEqual({
      evicted: ['done', 'gone', 'web'],
      skipped: [
        ['agent', 'DAEMON_SET'],
        ['static', 'STATIC'],
      ],
      refused: [
        ['alone', 'UNMANAGED'],
        ['cache', 'EMPTY_DIR'],
      ],
    })
  })

  it('evicts pods that nobody makes anew by force, and those with data where that is said', () => {
    const { evicted, refused } = names(composeDrain(pods, { force: true, deleteEmptyDirData: true }))
    expect(evicted).toEqual(['alone', 'cache', 'done', 'gone', 'web'])
    expect(refused).toEqual([])
  })

  it('asks about pods of a DaemonSet that is gone', () => {
    const orphan = [pod('agent', ['apps/v1', 'DaemonSet'])]
    const hasDaemonSet = () => false
    expect(names(composeDrain(orphan, { hasDaemonSet })).refused).toEqual([['agent', 'DAEMON_SET_GONE']])
    expect(names(composeDrain(orphan, { hasDaemonSet, force: true })).evicted).toEqual(['agent'])
  })
})

describe('a triggered Job', () => {
  const cronJob = {
    apiVersion: 'batch/v1',
    kind: 'CronJob',
    metadata: { name: 'backup', namespace: 'shop', uid: 'uid-1' },
    spec: {
      schedule: '@daily',
      jobTemplate: {
        metadata: { labels: { app: 'backup' }, annotations: { note: 'x' } },
        spec: { template: { spec: { restartPolicy: 'Never', containers: [] } } },
      },
    },
  }

  it('is what its CronJob would make, and says that somebody made it', () => {
    const job = composeTriggeredJob(cronJob, 'seed')
    expect(job).toEqual({
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: {
        name: expect.stringMatching(/^backup-[a-z0-9]{10}$/),
        namespace: 'shop',
        labels: { app: 'backup' },
        annotations: { note: 'x', 'cronjob.kubernetes.io/instantiate': 'manual' },
        ownerReferences: [
          { apiVersion: 'batch/v1', kind: 'CronJob', name: 'backup', uid: 'uid-1', controller: true },
        ],
      },
      spec: cronJob.spec.jobTemplate.spec,
    })
  })

  it('has the same name for the same request, another for another, and never one that is too long', () => {
    const named = (name: string, seed: string) =>
      composeTriggeredJob({ ...cronJob, metadata: { ...cronJob.metadata, name } }, seed).metadata!.name!
    expect(named('backup', 'a')).toBe(named('backup', 'a'))
    expect(named('backup', 'a')).not.toBe(named('backup', 'b'))
    expect(named(`${'x'.repeat(51)}-.yz`, 'a')).toMatch(/^x{51}-[a-z0-9]{10}$/)
  })

  it('is refused for what is no CronJob of a cluster', () => {
    expect(() => composeTriggeredJob({ ...cronJob, spec: {} }, 'a')).toThrow(ComposeError)
  })
})
