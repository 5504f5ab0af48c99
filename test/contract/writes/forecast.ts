/**
 * The contract between what is reckoned of a change and an API server: dry runs, disruption budgets and policies are
 * judged by what it really answers – a real control plane, and the simulator.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { AuthorizedFleet } from '../../../src/access/authorized-fleet.ts'
import { viewerOf } from '../../../src/access/viewer.ts'
import type { KubernetesJson } from '../../../src/kubernetes/json.ts'
import { KINDS, resourcePath } from '../../../src/kubernetes/kinds.ts'
import { computeBlastRadius, type BlastRadius } from '../../../src/writes/blast-radius.ts'
import type { Action } from '../../../src/writes/change.ts'
import { createPolicies, type PolicyOptions } from '../../../src/writes/policies.ts'
import { eventually } from '../../support/eventually.ts'
import { FakeFleet } from '../../support/fake-fleet.ts'
import { ScopedPolicy } from '../../support/scoped-policy.ts'
import { carryOut, contextFor, ReachedCluster, stepOf } from '../../support/steps.ts'
import type { WritesSubject } from './writes.ts'

const NAMESPACE = 'forecast'
const GROUPS = ['system:authenticated', 'forecast:admins']

export function describeForecast(name: string, start: () => Promise<WritesSubject>): void {
  describe(`what is reckoned of a change, with ${name}`, () => {
    let subject: WritesSubject
    let cluster: ReachedCluster
    const post = (path: string, body: object) =>
      cluster.client.json<KubernetesJson>({ method: 'POST', path, body })
    const inNamespace = (group: string, resource: string) => `/${group}/namespaces/${NAMESPACE}/${resource}`

    const deployment = (name: string, replicas: number, image = 'registry.k8s.io/pause:3.10') => ({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name, namespace: NAMESPACE },
      spec: {
        replicas,
        selector: { matchLabels: { app: name } },
        template: {
          metadata: { labels: { app: name } },
          spec: {
            containers: [{ name: 'main', image, resources: { requests: { cpu: '100m', memory: '64Mi' } } }],
          },
        },
      },
    })

    /** Of a dry run by a user of one step. */
    async function forecast(
      kind: 'Deployment' | 'Pod',
      name: string,
      action: Action,
      groups = GROUPS,
    ): Promise<BlastRadius> {
      const apiVersion = kind === 'Pod' ? 'v1' : 'apps/v1'
      const step = stepOf({ apiVersion, kind, namespace: NAMESPACE, name }, action)
      const done = await carryOut(step, contextFor(cluster, 'ada', { dryRun: true }, GROUPS))
      const { index, object, purpose } = step
      const result = { ...done, index, object, purpose, dryRun: true, startedAt: 0, finishedAt: 0 }
      const fleet = new AuthorizedFleet(
        new FakeFleet(cluster),
        viewerOf({ name: 'ada', groups }),
        new ScopedPolicy({ reached: 'all' }),
      )
      const change = { verb: 'applyManifest', digest: '', steps: [step], known: [], title: '' } as const
      return computeBlastRadius(fleet, change, [result], new AbortController().signal)
    }

    const applying = (manifest: object): Action => ({
      type: 'APPLY',
      manifest: manifest as KubernetesJson,
      force: true,
    })

    beforeAll(async () => {
      subject = await start()
      cluster = new ReachedCluster(subject.kubeconfig)
      await post('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } })
      const rbac = 'rbac.authorization.k8s.io'
      await post(`/apis/${rbac}/v1/clusterrolebindings`, {
        apiVersion: `${rbac}/v1`,
        kind: 'ClusterRoleBinding',
        metadata: { name: 'forecast-admins' },
        roleRef: { apiGroup: rbac, kind: 'ClusterRole', name: 'cluster-admin' },
        subjects: [{ apiGroup: rbac, kind: 'Group', name: 'forecast:admins' }],
      })
      const budgets = inNamespace('apis/policy/v1', 'poddisruptionbudgets')
      for (const [name, replicas, minAvailable] of [
        ['web', 3, 2],
        ['held', 1, 1],
      ] as const) {
        await post(budgets, {
          apiVersion: 'policy/v1',
          kind: 'PodDisruptionBudget',
          metadata: { name },
          spec: { minAvailable, selector: { matchLabels: { app: name } } },
        })
        const context = contextFor(cluster, 'ada', {}, GROUPS)
        const step = stepOf(
          { apiVersion: 'apps/v1', kind: 'Deployment', namespace: NAMESPACE, name },
          applying(deployment(name, replicas)),
        )
        expect(await carryOut(step, context)).toMatchObject({ outcome: 'CREATED' })
      }
      await eventually(async () => {
        const { items } = await cluster.client.json<{ items: { status: object }[] }>({ path: budgets })
        expect(items.map(({ status }) => status)).toMatchObject([
          { currentHealthy: 1, disruptionsAllowed: 0 },
          { currentHealthy: 3, disruptionsAllowed: 1 },
        ])
      })
      for (const kind of ['Node', 'Pod', 'Deployment', 'ReplicaSet'] as const) {
        const { group, versions, resource } = KINDS[kind]
        const path = resourcePath({ group, version: versions[0], resource })
        const { items } = await cluster.client.json<{ items: object[] }>({ path })
        cluster.load(
          kind,
          items.map((item) => ({ apiVersion: group === '' ? 'v1' : `${group}/v1`, kind, ...item })),
        )
      }
    }, 120_000)

    afterAll(async () => {
      await cluster?.client.close()
      await subject?.close()
    })

    test('a restart replaces the pods, and takes none away before another is there', async () => {
      const edit = { type: 'RESTART', at: '2026-01-01T00:00:00Z' } as const
      expect(await forecast('Deployment', 'web', { type: 'EDIT', edit })).toMatchObject({
        updated: 1,
        workloads: 1,
        podsAdded: 0,
        podsRemoved: 0,
        podsReplaced: 3,
        capacity: [{ cpuRequested: 0, memoryRequested: 0, fits: true }],
        budgets: [],
        unknown: [],
      })
    })

    test('what the API server fills in replaces nothing, another image everything', async () => {
      const scaled = await forecast('Deployment', 'web', applying(deployment('web', 4)))
      expect(scaled).toMatchObject({ updated: 1, podsAdded: 1, podsReplaced: 0 })
      expect(scaled.capacity).toMatchObject([
        { cpuRequested: 0.1, memoryRequested: 64 * 2 ** 20, fits: true },
      ])
      expect(await forecast('Deployment', 'web', applying(deployment('web', 3)))).toMatchObject({
        updated: 0,
        podsReplaced: 0,
      })
      const image = 'registry.k8s.io/pause:3.9'
      expect(await forecast('Deployment', 'web', applying(deployment('web', 3, image)))).toMatchObject({
        podsReplaced: 3,
      })
    })

    test('too many replicas do not fit', async () => {
      const { podsAdded, capacity } = await forecast('Deployment', 'big', applying(deployment('big', 5_000)))
      expect(podsAdded).toBe(5_000)
      expect(capacity).toMatchObject([{ cpuRequested: 500, fits: false }])
    })

    test('a scale to one takes more away than the budget allows', async () => {
      expect(await forecast('Deployment', 'web', { type: 'SCALE', to: 1 })).toMatchObject({
        podsRemoved: 2,
        budgets: [{ namespace: NAMESPACE, name: 'web', disruptionsAllowed: 1, podsAffected: 2 }],
      })
    })

    test('a deletion takes all of them', async () => {
      const action = { type: 'DELETE', ifPresent: false, untilGone: false } as const
      expect(await forecast('Deployment', 'web', action)).toMatchObject({
        deleted: 1,
        podsRemoved: 3,
        budgets: [{ name: 'web', podsAffected: 3 }],
      })
    })

    test('an eviction that its budget refuses is told with the budget', async () => {
      const [pod] = cluster
        .table('Pod')
        .byLabels({ matchLabels: { app: 'held' }, matchExpressions: [] })
        .all()
      const action = { type: 'EVICT', patienceMs: 0, untilGone: false } as const
      expect(await forecast('Pod', pod!.name, action)).toMatchObject({
        podsReplaced: 1,
        budgets: [{ name: 'held', disruptionsAllowed: 0, podsAffected: 1 }],
      })
    })

    test('budgets are read as the viewer, who may not', async () => {
      const { budgets, unknown } = await forecast('Deployment', 'web', { type: 'SCALE', to: 1 }, [
        'system:authenticated',
      ])
      expect(budgets).toEqual([])
      expect(unknown).toEqual([
        expect.stringMatching(
          /^The PodDisruptionBudgets of forecast of reached could not be read: .*forbidden/,
        ),
      ])
    })

    test('policies judge what the API server would store', async () => {
      const options: PolicyOptions = {
        protectedNamespaces: [],
        protectedClusters: [],
        maxReplicas: 4,
        allowedRegistries: ['registry.k8s.io'],
        allowHostPath: false,
        confirmAbove: 0,
        policies: [
          {
            name: 'defaults',
            action: 'deny',
            // Nobody wrote it: the API server fills it in, and gives numbers for numbers.
            expression:
              "object.spec.template.spec.restartPolicy == 'Always' && object.spec.replicas + 0 == replicas",
          },
          {
            name: 'keeps-image',
            action: 'deny',
            expression: 'oldObject == null || images(object) == images(oldObject)',
          },
        ],
      }
      const judge = createPolicies(options).judgeFor({ confirmed: false, objects: 1 })
      const context = contextFor(cluster, 'ada', { dryRun: true, judge }, GROUPS)
      const apply = (name: string, manifest: object) =>
        carryOut(
          stepOf(
            { apiVersion: 'apps/v1', kind: 'Deployment', namespace: NAMESPACE, name },
            applying(manifest),
          ),
          context,
        )
      expect(await apply('new', deployment('new', 4))).toMatchObject({ outcome: 'CREATED', error: null })
      const refused = (policy: string) => ({ outcome: 'FAILED', error: { code: 'POLICY_VIOLATION', policy } })
      expect(await apply('new', deployment('new', 5))).toMatchObject(refused('maxReplicas'))
      expect(await apply('new', deployment('new', 1, 'nginx:1'))).toMatchObject(refused('allowedRegistries'))
      expect(await apply('web', deployment('web', 3, 'registry.k8s.io/pause:3.9'))).toMatchObject(
        refused('keeps-image'),
      )
      expect(await apply('web', deployment('web', 4))).toMatchObject({ outcome: 'UPDATED', error: null })
    })
  })
}
