/** Chapter: what controllers, scheduler and kubelet do, as far as a client can observe it. */
import { beforeAll, describe, expect, test } from 'vitest'
import { at, textAt, type KubeJson } from '../../support/kubernetes-http.ts'
import {
  deployment,
  expectFailure,
  names,
  needs,
  pod,
  podSpec,
  podTemplate,
  untilGone,
  untilList,
  untilObject,
  type Suite,
} from './server-under-test.ts'

const REVISION = 'deployment.kubernetes.io/revision'
const condition = (object: unknown, type: string): unknown =>
  (at(object, 'status.conditions') as readonly { readonly type: string }[] | undefined)?.find(
    (entry) => entry.type === type,
  )

export function describeControllers(suite: Suite): void {
  describe('controllers', () => {
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

    describe('a pod', () => {
      test('is scheduled, started and Ready, with conditions, addresses and container states', async () => {
        await create(`${core}/pods`, pod('alone'))
        const running = await untilObject(suite, `${core}/pods/alone`, {
          spec: { nodeName: expect.stringMatching(/./) },
          status: {
            phase: 'Running',
            podIP: expect.stringMatching(/^\d+\./),
            hostIP: expect.stringMatching(/^\d+\./),
            startTime: expect.any(String),
            containerStatuses: [
              {
                name: 'main',
                ready: true,
                restartCount: 0,
                state: { running: { startedAt: expect.any(String) } },
              },
            ],
          },
        })
        for (const type of ['PodScheduled', 'Initialized', 'ContainersReady', 'Ready']) {
          expect(condition(running, type), type).toMatchObject({ status: 'True' })
        }
        expect(suite.server.nodeNames).toContain(textAt(running, 'spec.nodeName'))
        await untilList(suite, `${core}/events?fieldSelector=involvedObject.name%3Dalone`, (items) => {
          expect(items.map(({ reason }) => reason)).toContain('Scheduled')
        })
      })

      test('that fits no node is Pending and Unschedulable, with the scheduler’s words', async () => {
        await create(`${core}/pods`, pod('nowhere', {}, { nodeSelector: { 'no-such-label': 'x' } }))
        const pending = await untilObject(suite, `${core}/pods/nowhere`, {
          status: {
            phase: 'Pending',
            conditions: [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable' }],
          },
        })
        expect(textAt(pending, 'status.conditions.0.message')).toMatch(
          new RegExp(`^0/${suite.server.nodeNames.length} nodes are available: .*node`),
        )
        await untilList(suite, `${core}/events?fieldSelector=involvedObject.name%3Dnowhere`, (items) => {
          expect(items).toMatchObject([{ type: 'Warning', reason: 'FailedScheduling' }])
        })
      })

      test('that asks for more than any node has is Unschedulable, too', async () => {
        const containers = [{ name: 'main', image: 'x', resources: { requests: { cpu: '10000' } } }]
        await create(`${core}/pods`, pod('huge', {}, { containers }))
        const pending = await untilObject(suite, `${core}/pods/huge`, {
          status: { conditions: [{ reason: 'Unschedulable' }] },
        })
        expect(textAt(pending, 'status.conditions.0.message')).toMatch(/Insufficient cpu/)
      })

      test('whose image cannot be pulled waits with ErrImagePull or ImagePullBackOff', async () => {
        const containers = [{ name: 'main', image: 'registry.invalid/nope:1' }]
        await create(`${core}/pods`, pod('no-image', {}, { containers }))
        await untilObject(suite, `${core}/pods/no-image`, {
          status: {
            phase: 'Pending',
            containerStatuses: [
              {
                ready: false,
                state: { waiting: { reason: expect.stringMatching(/^(ErrImagePull|ImagePullBackOff)$/) } },
              },
            ],
          },
        })
      })

      test('tolerates a taint, or keeps off the node', async () => {
        const [node = ''] = suite.server.nodeNames
        const taint = { key: 'fleetgraph.test/only', value: suite.unique('t'), effect: 'NoSchedule' }
        await merge(`/api/v1/nodes/${node}`, { spec: { taints: [taint] } })
        try {
          const selector = { nodeSelector: { 'kubernetes.io/hostname': node } }
          await create(`${core}/pods`, pod('intolerant', {}, selector))
          await create(
            `${core}/pods`,
            pod('tolerant', {}, { ...selector, tolerations: [{ key: taint.key, operator: 'Exists' }] }),
          )
          await untilObject(suite, `${core}/pods/tolerant`, {
            spec: { nodeName: node },
            status: { phase: 'Running' },
          })
          await untilObject(suite, `${core}/pods/intolerant`, {
            status: { conditions: [{ reason: 'Unschedulable' }] },
          })
        } finally {
          await merge(`/api/v1/nodes/${node}`, { spec: { taints: null } })
        }
        // A node that has room again takes who waits for it.
        await untilObject(suite, `${core}/pods/intolerant`, { status: { phase: 'Running' } }, 60_000)
      })
    })

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
        const watch = await suite.http.watch(
          `${apps}/deployments?fieldSelector=metadata.name%3Dsteady&resourceVersion=${before.metadata.resourceVersion}`,
        )
        await setImage(path, 'example.test/app:2')
        await watch.until(({ object }) => {
          const replicas = Number(at(object, 'status.replicas'))
          expect(replicas).toBeLessThanOrEqual(4)
          expect(Number(at(object, 'status.availableReplicas') ?? 0)).toBeGreaterThanOrEqual(3)
          return (
            at(object, 'status.updatedReplicas') === 3 &&
            replicas === 3 &&
            at(object, 'status.observedGeneration') === 2
          )
        }, 30_000)
        watch.close()
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

    describe('a Service', () => {
      const service = (name: string, spec: object = {}): object => ({
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name },
        spec: { selector: { app: name }, ports: [{ port: 80, targetPort: 8080 }], ...spec },
      })

      test('gets a cluster address of its own, which does not change', async () => {
        const made = await create(`${core}/services`, service('address'))
        expect(made).toMatchObject({
          spec: {
            type: 'ClusterIP',
            clusterIP: expect.stringMatching(/^\d+\.\d+\.\d+\.\d+$/),
            ports: [{ port: 80, protocol: 'TCP', targetPort: 8080 }],
            sessionAffinity: 'None',
          },
        })
        const moved = await suite.http.patch(`${core}/services/address`, 'merge', {
          spec: { clusterIP: '10.96.9.9' },
        })
        expectFailure(moved, 422, 'Invalid', /spec\.clusterIPs?\[0\]: Invalid value/)
      })

      test('of type NodePort gets a port, of type LoadBalancer an address as well', async () => {
        const node = await create(`${core}/services`, service('node-port', { type: 'NodePort' }))
        const port = Number(at(node, 'spec.ports.0.nodePort'))
        expect(port).toBeGreaterThanOrEqual(30000)
        expect(port).toBeLessThanOrEqual(32767)
        await create(`${core}/services`, service('balanced', { type: 'LoadBalancer' }))
        const balanced = await untilObject(suite, `${core}/services/balanced`, {
          status: { loadBalancer: { ingress: [{ ip: expect.stringMatching(/^\d+\./) }] } },
        })
        expect(at(balanced, 'spec.ports.0.nodePort')).toBeTypeOf('number')
      })

      test('without an address stays so; a wrong port is 422', async () => {
        const headless = await create(`${core}/services`, service('headless', { clusterIP: 'None' }))
        expect(at(headless, 'spec.clusterIP')).toBe('None')
        const wrong = await suite.http.post(`${core}/services`, service('wrong', { ports: [{ port: 0 }] }))
        expectFailure(wrong, 422, 'Invalid', /spec\.ports\[0\]\.port: Invalid value: 0/)
      })

      test('has EndpointSlices of the pods that it selects, ready or not', async (context) => {
        needs(context, suite, 21, 'discovery.k8s.io/v1')
        const slices = `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3Dserved`
        const made = await create(`${core}/services`, service('served'))
        await create(`${apps}/deployments`, deployment('served'))
        const [slice] = await untilList(suite, slices, (items) => {
          expect(items).toHaveLength(1)
          expect(at(items[0], 'endpoints')).toMatchObject([
            {
              conditions: { ready: true },
              targetRef: { kind: 'Pod', namespace },
              nodeName: expect.any(String),
            },
            { conditions: { ready: true }, targetRef: { kind: 'Pod', namespace } },
          ])
        })
        expect(slice).toMatchObject({
          metadata: {
            name: expect.stringMatching(/^served-/),
            ownerReferences: [{ kind: 'Service', name: 'served', uid: made.metadata.uid, controller: true }],
          },
          addressType: 'IPv4',
          ports: [{ port: 8080, protocol: 'TCP' }],
        })
        await merge(`${apps}/deployments/served/scale`, { spec: { replicas: 0 } })
        await untilList(suite, slices, (items) => expect(at(items[0], 'endpoints') ?? []).toEqual([]))
        await suite.http.must(suite.http.delete(`${core}/services/served`))
        await untilList(suite, slices, (items) => expect(items).toEqual([]))
      })
    })

    test('a node reports itself Ready and renews its lease', async () => {
      for (const name of suite.server.nodeNames) {
        const { body } = await suite.http.get(`/api/v1/nodes/${name}`)
        expect(condition(body, 'Ready'), name).toMatchObject({ status: 'True', reason: 'KubeletReady' })
        expect(body).toMatchObject({
          metadata: { labels: { 'kubernetes.io/hostname': name } },
          status: {
            capacity: { cpu: expect.any(String), memory: expect.any(String), pods: expect.any(String) },
            allocatable: { cpu: expect.any(String) },
            nodeInfo: { kubeletVersion: expect.stringMatching(/^v1\./) },
            addresses: expect.arrayContaining([expect.objectContaining({ type: 'InternalIP' })]),
          },
        })
        const lease = await suite.http.get(
          `/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/${name}`,
        )
        expect(lease.body).toMatchObject({ spec: { holderIdentity: name, renewTime: expect.any(String) } })
      }
    })

    test('a cordoned node takes no new pods', async () => {
      const node = suite.server.nodeNames.at(-1) ?? ''
      await merge(`/api/v1/nodes/${node}`, { spec: { unschedulable: true } })
      try {
        await untilObject(suite, `/api/v1/nodes/${node}`, {
          spec: { taints: [{ key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' }] },
        })
        await create(
          `${core}/pods`,
          pod('kept-out', {}, { nodeSelector: { 'kubernetes.io/hostname': node } }),
        )
        const waiting = await untilObject(suite, `${core}/pods/kept-out`, {
          status: { conditions: [{ type: 'PodScheduled', reason: 'Unschedulable' }] },
        })
        expect(textAt(waiting, 'status.conditions.0.message')).toMatch(/unschedulable/)
      } finally {
        await merge(`/api/v1/nodes/${node}`, { spec: { unschedulable: null } })
      }
    })

    test('a ResourceQuota counts what is used, and refuses what is too much', async () => {
      const limited = await suite.namespace()
      const path = `/api/v1/namespaces/${limited}`
      await create(`${path}/resourcequotas`, {
        apiVersion: 'v1',
        kind: 'ResourceQuota',
        metadata: { name: 'few' },
        spec: { hard: { pods: '1' } },
      })
      await untilObject(suite, `${path}/resourcequotas/few`, {
        status: { hard: { pods: '1' }, used: { pods: '0' } },
      })
      await create(`${path}/pods`, pod('first'))
      await untilObject(suite, `${path}/resourcequotas/few`, { status: { used: { pods: '1' } } })
      const second = await suite.http.post(`${path}/pods`, pod('second'))
      expectFailure(
        second,
        403,
        'Forbidden',
        'pods "second" is forbidden: exceeded quota: few, requested: pods=1, used: pods=1, limited: pods=1',
      )
    })

    test('events tell what happened, and are found by the object that they are about', async () => {
      const made = await create(`${apps}/deployments`, deployment('told', { replicas: 1 }))
      const events = await untilList(
        suite,
        `${core}/events?fieldSelector=involvedObject.kind%3DDeployment,involvedObject.uid%3D${made.metadata.uid}`,
        (items) => expect(items).not.toEqual([]),
      )
      expect(events[0]).toMatchObject({
        type: 'Normal',
        reason: 'ScalingReplicaSet',
        involvedObject: { kind: 'Deployment', name: 'told', namespace, uid: made.metadata.uid },
        message: expect.stringMatching(/^Scaled up replica set told-[a-z0-9]+ (from 0 )?to 1$/),
        count: 1,
        source: { component: 'deployment-controller' },
      })
    })
  })
}
