/** Chapter: what scheduler, kubelet and the controllers beside the workloads' do, as far as a client can observe it. */
import { beforeAll, describe, expect, test } from 'vitest'
import { at, textAt, type KubeJson } from '../../support/kubernetes-http.ts'
import {
  deployment,
  expectFailure,
  needs,
  pod,
  untilList,
  untilObject,
  condition,
  type Suite,
} from './server-under-test.ts'

export function describeControllers(suite: Suite): void {
  describe('controllers', () => {
    let namespace = ''
    let core = ''
    let apps = ''
    beforeAll(async () => {
      namespace = await suite.namespace()
      core = `/api/v1/namespaces/${namespace}`
      apps = `/apis/apps/v1/namespaces/${namespace}`
    })
    const create = (path: string, body: unknown): Promise<KubeJson> =>
      suite.http.must(suite.http.post(path, body))
    const merge = (path: string, body: unknown): Promise<KubeJson> =>
      suite.http.must(suite.http.patch(path, 'merge', body))

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
          expect(items[0]).toMatchObject({ type: 'Warning', reason: 'FailedScheduling' })
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
