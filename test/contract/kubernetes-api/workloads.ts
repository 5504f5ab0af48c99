/** Chapter: the workloads – Deployment, StatefulSet, DaemonSet, Job, CronJob – as far as a client can observe what their controllers do. */
import { beforeAll, describe, expect, test } from 'vitest'
import { at, textAt, type KubeJson } from '../../support/kubernetes-http.ts'
import {
  deployment,
  expectFailure,
  names,
  needs,
  podSpec,
  podTemplate,
  untilGone,
  untilList,
  untilObject,
  condition,
  type Suite,
} from './server-under-test.ts'

const REVISION = 'deployment.kubernetes.io/revision'

export function describeWorkloads(suite: Suite): void {
  describe('workloads', () => {
    let namespace = ''
    let core = ''
    let apps = ''
    let batch = ''
    beforeAll(async () => {
      namespace = await suite.namespace()
      core = `/api/v1/namespaces/${namespace}`
      apps = `/apis/apps/v1/namespaces/${namespace}`
      batch = `/apis/batch/v1/namespaces/${namespace}`
    })
    const create = (path: string, body: unknown): Promise<KubeJson> =>
      suite.http.must(suite.http.post(path, body))
    const merge = (path: string, body: unknown): Promise<KubeJson> =>
      suite.http.must(suite.http.patch(path, 'merge', body))
    const podsOf = (app: string): string => `${core}/pods?labelSelector=app%3D${app}`
    const setsOf = (app: string): string => `${apps}/replicasets?labelSelector=app%3D${app}`
    const setImage = (path: string, image: string): Promise<KubeJson> =>
      suite.http.must(
        suite.http.patch(path, 'strategic', {
          spec: { template: { spec: { containers: [{ name: 'main', image }] } } },
        }),
      )

    describe('a Deployment', () => {
      test('makes a ReplicaSet named and labelled by the hash of its template, which makes pods', async () => {
        const made = await create(`${apps}/deployments`, deployment('rolls'))
        const done = await untilObject(suite, `${apps}/deployments/rolls`, {
          metadata: { annotations: { [REVISION]: '1' } },
          status: {
            observedGeneration: 1,
            replicas: 2,
            updatedReplicas: 2,
            readyReplicas: 2,
            availableReplicas: 2,
          },
        })
        expect(condition(done, 'Available')).toMatchObject({
          status: 'True',
          reason: 'MinimumReplicasAvailable',
        })
        await untilObject(suite, `${apps}/deployments/rolls`, {
          status: {
            conditions: expect.arrayContaining([
              expect.objectContaining({
                type: 'Progressing',
                status: 'True',
                reason: 'NewReplicaSetAvailable',
              }),
            ]),
          },
        })
        const [set] = await untilList(suite, setsOf('rolls'), (items) => expect(items).toHaveLength(1))
        const hash = set?.metadata.labels?.['pod-template-hash'] ?? ''
        expect(hash).toMatch(/^[a-z0-9]+$/)
        expect(set).toMatchObject({
          metadata: {
            name: `rolls-${hash}`,
            annotations: { [REVISION]: '1', 'deployment.kubernetes.io/desired-replicas': '2' },
            ownerReferences: [
              {
                kind: 'Deployment',
                name: 'rolls',
                uid: made.metadata.uid,
                controller: true,
                blockOwnerDeletion: true,
              },
            ],
          },
          spec: { replicas: 2, selector: { matchLabels: { app: 'rolls', 'pod-template-hash': hash } } },
        })
        const pods = await untilList(suite, podsOf('rolls'), (items) => expect(items).toHaveLength(2))
        for (const each of pods) {
          expect(each.metadata).toMatchObject({
            name: expect.stringMatching(new RegExp(`^rolls-${hash}-[a-z0-9]{5}$`)),
            generateName: `rolls-${hash}-`,
            labels: { app: 'rolls', 'pod-template-hash': hash },
            ownerReferences: [{ kind: 'ReplicaSet', name: `rolls-${hash}`, controller: true }],
          })
        }
      })

      test('rolls a new template out as the next revision, and back by the old template', async () => {
        const path = `${apps}/deployments/back`
        const first = await create(`${apps}/deployments`, deployment('back'))
        await untilObject(suite, path, { status: { readyReplicas: 2 } })
        await setImage(path, 'example.test/app:2')
        await untilObject(suite, path, {
          metadata: { annotations: { [REVISION]: '2' } },
          status: { observedGeneration: 2, updatedReplicas: 2, replicas: 2, readyReplicas: 2 },
        })
        const sets = await untilList(suite, setsOf('back'), (items) => {
          expect(new Set(items.map((set) => at(set, 'spec.replicas')))).toEqual(new Set([0, 2]))
        })
        expect(new Set(sets.map(({ metadata }) => metadata.annotations?.[REVISION]))).toEqual(
          new Set(['1', '2']),
        )
        const old = sets.find(({ metadata }) => metadata.annotations?.[REVISION] === '1')
        await merge(path, { spec: { template: at(first, 'spec.template') } })
        await untilObject(suite, path, {
          metadata: { annotations: { [REVISION]: '3' } },
          status: { updatedReplicas: 2, replicas: 2, readyReplicas: 2 },
        })
        // The same template is the same ReplicaSet again, under a new revision.
        const again = await untilObject(suite, `${apps}/replicasets/${old?.metadata.name}`, {
          metadata: { annotations: { [REVISION]: '3', 'deployment.kubernetes.io/revision-history': '1' } },
          spec: { replicas: 2 },
        })
        expect(again.metadata.uid).toBe(old?.metadata.uid)
      })

      test('never falls below what may be unavailable, nor exceeds the surge', async () => {
        const strategy = { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } }
        await create(`${apps}/deployments`, deployment('steady', { replicas: 3, strategy }))
        const path = `${apps}/deployments/steady`
        const before = await untilObject(suite, path, { status: { readyReplicas: 3 } })
        const {
          metadata,
          items: [first],
        } = (await suite.http.get(setsOf('steady'))).body
        const sets = await suite.http.watch(`${setsOf('steady')}&resourceVersion=${metadata.resourceVersion}`)
        const watch = await suite.http.watch(
          `${apps}/deployments?fieldSelector=metadata.name%3Dsteady&resourceVersion=${before.metadata.resourceVersion}`,
        )
        await setImage(path, 'example.test/app:2')
        await watch.until(({ object }) => {
          expect(Number(at(object, 'status.availableReplicas') ?? 0)).toBeGreaterThanOrEqual(3)
          return (
            at(object, 'status.updatedReplicas') === 3 &&
            at(object, 'status.replicas') === 3 &&
            at(object, 'status.observedGeneration') === 2
          )
        }, 30_000)
        watch.close()
        // What is asked of the ReplicaSets: the replicas that a status counts may lag behind it.
        const asked = new Map([[first?.metadata.name ?? '', 3]])
        for (const { object } of sets.drain()) {
          asked.set(object.metadata.name, Number(at(object, 'spec.replicas')))
          expect([...asked.values()].reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(4)
        }
        expect(asked.size).toBe(2)
        sets.close()
      })

      test('with a broken image keeps the old pods, and says when its deadline has passed', async () => {
        const path = `${apps}/deployments/stuck`
        await create(`${apps}/deployments`, deployment('stuck', { progressDeadlineSeconds: 2 }))
        await untilObject(suite, path, { status: { readyReplicas: 2 } })
        await setImage(path, 'registry.invalid/nope:1')
        await untilObject(suite, path, {
          status: {
            readyReplicas: 2,
            updatedReplicas: 1,
            unavailableReplicas: 1,
            conditions: expect.arrayContaining([
              expect.objectContaining({
                type: 'Progressing',
                status: 'False',
                reason: 'ProgressDeadlineExceeded',
              }),
            ]),
          },
        })
      })

      test('that is paused scales, but rolls nothing out', async () => {
        const path = `${apps}/deployments/paused`
        await create(`${apps}/deployments`, deployment('paused', { replicas: 1 }))
        await untilObject(suite, path, { status: { readyReplicas: 1 } })
        await merge(path, { spec: { paused: true } })
        await setImage(path, 'example.test/app:2')
        await merge(path, { spec: { replicas: 2 } })
        await untilObject(suite, path, { status: { replicas: 2, readyReplicas: 2, observedGeneration: 4 } })
        expect((await suite.http.get(setsOf('paused'))).body.items).toHaveLength(1)
        await merge(path, { spec: { paused: false } })
        await untilObject(suite, path, { status: { updatedReplicas: 2, replicas: 2, readyReplicas: 2 } })
        expect((await suite.http.get(setsOf('paused'))).body.items).toHaveLength(2)
      })

      test('with strategy Recreate ends the old pods before new ones start', async () => {
        const path = `${apps}/deployments/recreate`
        await create(`${apps}/deployments`, deployment('recreate', { strategy: { type: 'Recreate' } }))
        await untilObject(suite, path, { status: { readyReplicas: 2 } })
        await setImage(path, 'example.test/app:2')
        await untilObject(suite, path, {
          status: { observedGeneration: 2, updatedReplicas: 2, replicas: 2, readyReplicas: 2 },
        })
      })

      test('replaces a pod that is deleted', async () => {
        await create(`${apps}/deployments`, deployment('heals'))
        const pods = await untilList(suite, podsOf('heals'), (items) => {
          expect(items.filter((each) => at(each, 'status.phase') === 'Running')).toHaveLength(2)
        })
        const victim = pods[0]?.metadata.name ?? ''
        await suite.http.must(suite.http.delete(`${core}/pods/${victim}`))
        await untilList(suite, podsOf('heals'), (items) => {
          expect(items.map(({ metadata }) => metadata.name)).not.toContain(victim)
          expect(items.filter((each) => at(each, 'status.phase') === 'Running')).toHaveLength(2)
        })
      })

      test('scaled to none keeps its ReplicaSet and loses its pods', async () => {
        await create(`${apps}/deployments`, deployment('zero'))
        await untilObject(suite, `${apps}/deployments/zero`, { status: { readyReplicas: 2 } })
        await merge(`${apps}/deployments/zero/scale`, { spec: { replicas: 0 } })
        await untilList(suite, podsOf('zero'), (items) => expect(items).toEqual([]))
        expect((await suite.http.get(setsOf('zero'))).body.items).toHaveLength(1)
        const body = await untilObject(suite, `${apps}/deployments/zero`, {
          status: { observedGeneration: 2 },
        })
        expect(at(body, 'status.replicas') ?? 0).toBe(0)
      })

      test('deleted and created again under its name is another object', async () => {
        const first = await create(`${apps}/deployments`, deployment('reborn'))
        await untilObject(suite, `${apps}/deployments/reborn`, { status: { readyReplicas: 2 } })
        await suite.http.must(suite.http.delete(`${apps}/deployments/reborn`))
        const second = await create(`${apps}/deployments`, deployment('reborn'))
        expect(second.metadata.uid).not.toBe(first.metadata.uid)
        const body = await untilObject(suite, `${apps}/deployments/reborn`, { status: { readyReplicas: 2 } })
        expect(body.metadata.annotations?.[REVISION]).toBe('1')
      })
    })

    describe('a StatefulSet', () => {
      const set = (name: string, spec: object = {}): object => ({
        apiVersion: 'apps/v1',
        kind: 'StatefulSet',
        metadata: { name },
        spec: {
          serviceName: name,
          replicas: 3,
          selector: { matchLabels: { app: name } },
          template: podTemplate(name),
          ...spec,
        },
      })

      test('starts its pods in order, under names that stay', async () => {
        const { metadata } = (await suite.http.get(podsOf('ordered'))).body
        const watch = await suite.http.watch(
          `${podsOf('ordered')}&resourceVersion=${metadata.resourceVersion}`,
        )
        await create(`${apps}/statefulsets`, set('ordered'))
        const order: string[] = []
        await watch.until(({ type, object }) => {
          const ready = condition(object, 'Ready') as { readonly status?: string } | undefined
          if (type === 'ADDED') order.push(`create ${object.metadata.name}`)
          else if (ready?.status === 'True') order.push(`ready ${object.metadata.name}`)
          return order.includes('ready ordered-2')
        }, 30_000)
        watch.close()
        expect(order.filter((step, index) => order.indexOf(step) === index)).toEqual([
          'create ordered-0',
          'ready ordered-0',
          'create ordered-1',
          'ready ordered-1',
          'create ordered-2',
          'ready ordered-2',
        ])
        const body = await untilObject(suite, `${apps}/statefulsets/ordered`, {
          status: { replicas: 3, readyReplicas: 3, currentReplicas: 3, updatedReplicas: 3 },
        })
        const revision = textAt(body, 'status.updateRevision')
        expect(revision).toMatch(/^ordered-[a-z0-9]+$/)
        const { body: first } = await suite.http.get(`${core}/pods/ordered-0`)
        expect(first.metadata.labels).toMatchObject({
          'statefulset.kubernetes.io/pod-name': 'ordered-0',
          'controller-revision-hash': revision,
        })
      })

      test('makes a claim for each pod, which is bound and outlives it', async () => {
        const volumeClaimTemplates = [
          {
            metadata: { name: 'data' },
            spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
          },
        ]
        await create(`${apps}/statefulsets`, set('stores', { replicas: 2, volumeClaimTemplates }))
        await untilObject(suite, `${apps}/statefulsets/stores`, { status: { readyReplicas: 2 } }, 60_000)
        const claim = await untilObject(suite, `${core}/persistentvolumeclaims/data-stores-1`, {
          spec: { volumeName: expect.stringMatching(/^pvc-/) },
          status: { phase: 'Bound', capacity: { storage: '1Gi' } },
        })
        const volume = await suite.http.get(`/api/v1/persistentvolumes/${textAt(claim, 'spec.volumeName')}`)
        expect(volume.body).toMatchObject({
          spec: { claimRef: { namespace, name: 'data-stores-1', uid: claim.metadata.uid } },
          status: { phase: 'Bound' },
        })
        await merge(`${apps}/statefulsets/stores/scale`, { spec: { replicas: 1 } })
        await untilGone(suite, `${core}/pods/stores-1`)
        expect((await suite.http.get(`${core}/persistentvolumeclaims/data-stores-1`)).status).toBe(200)
      })

      test('updates from the highest number down, one at a time', async () => {
        await create(`${apps}/statefulsets`, set('updates', { replicas: 2 }))
        const path = `${apps}/statefulsets/updates`
        const before = await untilObject(suite, path, { status: { readyReplicas: 2 } })
        await setImage(path, 'example.test/app:2')
        const after = await untilObject(
          suite,
          path,
          { status: { observedGeneration: 2, updatedReplicas: 2, readyReplicas: 2 } },
          60_000,
        )
        expect(textAt(after, 'status.updateRevision')).not.toBe(textAt(before, 'status.updateRevision'))
        for (const name of ['updates-0', 'updates-1']) {
          const { body } = await suite.http.get(`${core}/pods/${name}`)
          expect(at(body, 'spec.containers.0.image')).toBe('example.test/app:2')
        }
      })
    })

    test('a DaemonSet runs one pod on every node', async () => {
      await create(`${apps}/daemonsets`, {
        apiVersion: 'apps/v1',
        kind: 'DaemonSet',
        metadata: { name: 'every' },
        spec: { selector: { matchLabels: { app: 'every' } }, template: podTemplate('every') },
      })
      const count = suite.server.nodeNames.length
      await untilObject(suite, `${apps}/daemonsets/every`, {
        status: {
          desiredNumberScheduled: count,
          currentNumberScheduled: count,
          numberReady: count,
          numberAvailable: count,
          updatedNumberScheduled: count,
          numberMisscheduled: 0,
        },
      })
      const { body } = await suite.http.get(podsOf('every'))
      expect(body.items.map((each) => textAt(each, 'spec.nodeName')).toSorted()).toEqual(
        [...suite.server.nodeNames].toSorted(),
      )
    })

    describe('a Job', () => {
      const job = (name: string, spec: object, command: string[]): object => ({
        apiVersion: 'batch/v1',
        kind: 'Job',
        metadata: { name },
        spec: {
          ...spec,
          template: { spec: { restartPolicy: 'Never', containers: [{ name: 'main', image: 'x', command }] } },
        },
      })

      test('runs its pods to completion, so many at a time', async () => {
        await create(
          `${batch}/jobs`,
          job('three', { completions: 3, parallelism: 2 }, ['sh', '-c', 'exit 0']),
        )
        const done = await untilObject(suite, `${batch}/jobs/three`, {
          status: { succeeded: 3, startTime: expect.any(String), completionTime: expect.any(String) },
        })
        expect(condition(done, 'Complete')).toMatchObject({ status: 'True' })
        const pods = await untilList(suite, `${core}/pods?labelSelector=job-name%3Dthree`, (items) => {
          expect(items).toHaveLength(3)
        })
        for (const each of pods) {
          expect(each).toMatchObject({
            metadata: { ownerReferences: [{ kind: 'Job', name: 'three', controller: true }] },
            status: {
              phase: 'Succeeded',
              containerStatuses: [{ state: { terminated: { exitCode: 0, reason: 'Completed' } } }],
            },
          })
        }
      })

      test('fails when its pods have failed too often', async () => {
        await create(`${batch}/jobs`, job('fails', { backoffLimit: 0 }, ['sh', '-c', 'exit 3']))
        const failed = await untilObject(suite, `${batch}/jobs/fails`, {
          status: {
            failed: 1,
            conditions: expect.arrayContaining([
              expect.objectContaining({ type: 'Failed', status: 'True', reason: 'BackoffLimitExceeded' }),
            ]),
          },
        })
        expect(at(failed, 'status.succeeded') ?? 0).toBe(0)
      })

      test('that is suspended starts nothing until it is resumed', async (context) => {
        needs(context, suite, 24, 'Job suspend')
        await create(`${batch}/jobs`, job('waits', { suspend: true }, ['sh', '-c', 'exit 0']))
        await untilObject(suite, `${batch}/jobs/waits`, {
          status: { conditions: [{ type: 'Suspended', status: 'True' }] },
        })
        expect((await suite.http.get(`${core}/pods?labelSelector=job-name%3Dwaits`)).body.items).toEqual([])
        await merge(`${batch}/jobs/waits`, { spec: { suspend: false } })
        await untilObject(suite, `${batch}/jobs/waits`, { status: { succeeded: 1 } })
      })

      test('takes its pods with it when it is deleted in the background', async () => {
        await create(`${batch}/jobs`, job('gone', {}, ['sh', '-c', 'exit 0']))
        await untilObject(suite, `${batch}/jobs/gone`, { status: { succeeded: 1 } })
        await suite.http.must(suite.http.delete(`${batch}/jobs/gone?propagationPolicy=Background`))
        await untilList(suite, `${core}/pods?labelSelector=job-name%3Dgone`, (items) =>
          expect(items).toEqual([]),
        )
      })
    })

    describe('a CronJob', () => {
      const cron = (name: string, spec: object): object => {
        const version = suite.server.minor >= 21 ? 'batch/v1' : 'batch/v1beta1'
        const template = { spec: podSpec({ restartPolicy: 'Never' }) }
        return {
          apiVersion: version,
          kind: 'CronJob',
          metadata: { name },
          spec: { jobTemplate: { spec: { template } }, ...spec },
        }
      }
      const path = (): string =>
        `/apis/${suite.server.minor >= 21 ? 'batch/v1' : 'batch/v1beta1'}/namespaces/${namespace}/cronjobs`

      test('makes a Job a minute, which it owns', async () => {
        await create(path(), cron('minutely', { schedule: '* * * * *' }))
        const [made] = await untilList(
          suite,
          `${batch}/jobs`,
          (items) =>
            expect(names({ items } as KubeJson).filter((name) => name.startsWith('minutely-'))).not.toEqual(
              [],
            ),
          90_000,
        ).then((items) => items.filter(({ metadata }) => metadata.name.startsWith('minutely-')))
        expect(made?.metadata).toMatchObject({
          name: expect.stringMatching(/^minutely-\d+$/),
          ownerReferences: [{ kind: 'CronJob', name: 'minutely', controller: true }],
        })
        await untilObject(suite, `${path()}/minutely`, {
          status: { lastScheduleTime: expect.stringMatching(/:00Z$/) },
        })
      }, 120_000)

      test('with a schedule that is none is 422', async () => {
        const answer = await suite.http.post(path(), cron('never', { schedule: 'every now and then' }))
        expectFailure(answer, 422, 'Invalid', /spec\.schedule: Invalid value/)
      })
    })
  })
}
