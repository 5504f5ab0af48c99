/**
 * The contract between our reviews and an API server: what we find out by asking about a viewer has to be what
 * the server grants that viewer when they ask themselves – of a real control plane, and of the simulator.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ReviewedBy } from '../../../src/access/cluster-policy.ts'
import type { Action, ReadRight } from '../../../src/access/policy.ts'
import { AskedReviews } from '../../../src/access/reviews.ts'
import { viewerOf, type Viewer } from '../../../src/access/viewer.ts'
import { systemClock } from '../../../src/fleet/clock.ts'
import { createApiClient } from '../../../src/kubernetes/api-client.ts'
import { ApiError, type ApiClient } from '../../../src/kubernetes/client.ts'
import { KINDS, resourcePath } from '../../../src/kubernetes/kinds.ts'
import { connectionOf, parseKubeconfig } from '../../../src/kubernetes/kubeconfig.ts'
import type { Kind } from '../../../src/kubernetes/rows.ts'
import { eventually } from '../../support/eventually.ts'
import { FakeCluster, FakeFleet } from '../../support/fake-fleet.ts'

export interface ReviewsSubject {
  /** A kubeconfig with one context, of a user who may do anything. */
  readonly kubeconfig: string
  /** Of a user of `REVIEWED_USERS`, by name. */
  readonly tokens: Readonly<Record<string, string>>
  close(): Promise<void>
}

/** By name: their groups. */
export const REVIEWED_USERS = {
  ada: ['developers', 'on call, second line'],
  eve: ['operators'],
  nobody: [],
} as const

const RBAC = { apiVersion: 'rbac.authorization.k8s.io/v1' }
const NAMESPACES = ['blue', 'green', 'red']

/** A cluster that the gateway reaches, with a table of its namespaces. */
class ReachedCluster extends FakeCluster {
  override readonly client: ApiClient

  constructor(client: ApiClient) {
    super('reviewed')
    this.client = client
  }
}

export function describeReviews(name: string, start: () => Promise<ReviewsSubject>): void {
  describe(`reviews, with ${name}`, () => {
    let subject: ReviewsSubject
    let client: ApiClient
    let cluster: ReachedCluster
    let reviews: AskedReviews

    const create = (path: string, body: object) => client.json({ method: 'POST', path, body })
    const role = (kind: 'Role' | 'ClusterRole', name: string, rules: readonly object[], namespace?: string) =>
      create(
        `/apis/rbac.authorization.k8s.io/v1${namespace ? `/namespaces/${namespace}` : ''}/${kind.toLowerCase()}s`,
        { ...RBAC, kind, metadata: { name }, rules },
      )
    const bind = (
      name: string,
      role: { readonly kind: string; readonly name: string },
      subject: { readonly kind: 'User' | 'Group'; readonly name: string },
      namespace?: string,
    ) => {
      const kind = namespace ? 'RoleBinding' : 'ClusterRoleBinding'
      const apiGroup = 'rbac.authorization.k8s.io'
      return create(
        `/apis/rbac.authorization.k8s.io/v1${namespace ? `/namespaces/${namespace}` : ''}/${kind.toLowerCase()}s`,
        {
          ...RBAC,
          kind,
          metadata: { name },
          roleRef: { apiGroup, ...role },
          subjects: [{ apiGroup, ...subject }],
        },
      )
    }
    const rule = (apiGroup: string, resources: string[], verbs: string[], resourceNames?: string[]) => ({
      apiGroups: [apiGroup],
      resources,
      verbs,
      ...(resourceNames && { resourceNames }),
    })

    beforeAll(async () => {
      subject = await start()
      const config = parseKubeconfig(subject.kubeconfig, 'kubeconfig')
      client = createApiClient(connectionOf(config, [...config.contexts.keys()][0] ?? ''))
      for (const name of NAMESPACES)
        await create('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } })
      await role('Role', 'pods', [rule('', ['pods'], ['get', 'list', 'watch'])], 'blue')
      await role('Role', 'pods', [rule('', ['*'], ['list'])], 'green')
      await role('Role', 'named', [rule('', ['configmaps'], ['list', 'get'], ['one', 'two'])], 'red')
      await role('ClusterRole', 'sees-workloads', [
        rule('apps', ['deployments', 'replicasets'], ['*']),
        rule('', ['nodes'], ['list']),
        rule('*', ['events'], ['list', 'watch']),
      ])
      await role('ClusterRole', 'scales', [rule('apps', ['deployments/scale'], ['update'])])
      const on = (kind: 'User' | 'Group', name: string) => ({ kind, name })
      await bind('pods', { kind: 'Role', name: 'pods' }, on('Group', 'developers'), 'blue')
      await bind('pods', { kind: 'Role', name: 'pods' }, on('Group', 'on call, second line'), 'green')
      await bind('named', { kind: 'Role', name: 'named' }, on('User', 'ada'), 'red')
      await bind('workloads', { kind: 'ClusterRole', name: 'sees-workloads' }, on('Group', 'operators'))
      await bind('workloads', { kind: 'ClusterRole', name: 'sees-workloads' }, on('User', 'ada'), 'red')
      await bind('scales', { kind: 'ClusterRole', name: 'scales' }, on('User', 'eve'), 'blue')
      cluster = new ReachedCluster(client)
      const { items } = await client.json<{ readonly items: readonly unknown[] }>({
        path: '/api/v1/namespaces',
      })
      cluster.load('Namespace', items)
      reviews = new AskedReviews({ fleet: new FakeFleet(cluster), clock: systemClock, cacheMs: 60_000 })
    }, 180_000)

    afterAll(async () => {
      reviews?.close()
      await client?.close()
      await subject?.close()
    }, 60_000)

    const viewer = (name: keyof typeof REVIEWED_USERS): Viewer =>
      viewerOf(
        { name, groups: [...REVIEWED_USERS[name], 'system:authenticated'] },
        { token: subject.tokens[name] ?? '' },
      )

    async function known(of: Viewer, kind: Kind, verb: 'list' | 'watch', by: ReviewedBy): Promise<ReadRight> {
      await reviews.read(of, cluster, kind, verb, by).settled
      const right = reviews.read(of, cluster, kind, verb, by)
      expect(right).toMatchObject({ state: 'DECIDED', reason: null })
      return right
    }

    /** Whether the API server lets its bearer list, or watch, at a place. */
    async function grants(token: string, kind: Kind, watch: boolean, namespace?: string): Promise<boolean> {
      const { group, versions, resource } = KINDS[kind]
      const path = resourcePath({ group, version: versions[0], resource }, namespace)
      const query = watch ? { watch: 1, timeoutSeconds: 1, resourceVersion: 0 } : { limit: 1 }
      try {
        await client.text({ path, query, token })
        return true
      } catch (error) {
        if (error instanceof ApiError && error.statusCode === 403) return false
        throw error
      }
    }

    // An API server sees new roles a moment later.
    test('the API server has come to know the roles', () =>
      eventually(async () => {
        expect(await grants(subject.tokens['eve']!, 'Deployment', false)).toBe(true)
        expect(await grants(subject.tokens['ada']!, 'Deployment', false, 'red')).toBe(true)
      }))

    describe.each(['GATEWAY', 'VIEWER'] as const)('asked by the %s', (by) => {
      test.each(Object.keys(REVIEWED_USERS) as (keyof typeof REVIEWED_USERS)[])(
        'find that %s may list exactly what the API server lets them list',
        async (name) => {
          const asker = viewer(name)
          for (const kind of ['Pod', 'ConfigMap', 'Deployment', 'ReplicaSet', 'Node', 'Event'] as const) {
            const { scope } = await known(asker, kind, 'list', by)
            const everywhere = await grants(asker.token!, kind, false)
            expect(scope === 'all', `${kind} in the whole cluster`).toBe(everywhere)
            if (scope === 'all' || !KINDS[kind].namespaced) continue
            for (const namespace of NAMESPACES) {
              expect(scope?.namespaces.has(namespace) ?? false, `${kind} in ${namespace}`).toBe(
                await grants(asker.token!, kind, false, namespace),
              )
            }
          }
        },
      )

      test('find single names, and that who may list may not always watch', async () => {
        const ada = viewer('ada')
        expect((await known(ada, 'ConfigMap', 'list', by)).scope).toEqual({
          namespaces: new Set(['green']),
          objects: new Set(['red/one', 'red/two']),
        })
        expect((await known(ada, 'Pod', 'list', by)).scope).toEqual({
          namespaces: new Set(['blue', 'green']),
        })
        expect((await known(ada, 'Pod', 'watch', by)).scope).toEqual({ namespaces: new Set(['blue']) })
        expect(await grants(ada.token!, 'Pod', true, 'green')).toBe(false)
        expect((await known(viewer('eve'), 'Node', 'watch', by)).scope).toBeUndefined()
      })

      test('answer single questions', async () => {
        const scale: Action = {
          verb: 'update',
          group: 'apps',
          resource: 'deployments',
          subresource: 'scale',
          namespace: 'blue',
          name: 'web',
        }
        expect(await reviews.can(viewer('eve'), cluster, scale, by)).toMatchObject({ allowed: true })
        const elsewhere = { ...scale, namespace: 'red' }
        expect(await reviews.can(viewer('eve'), cluster, elsewhere, by)).toMatchObject({ allowed: false })
        expect(await reviews.can(viewer('nobody'), cluster, scale, by)).toMatchObject({ allowed: false })
        const exec = { verb: 'create', group: '', resource: 'pods', subresource: 'exec', namespace: 'blue' }
        expect(await reviews.can(viewer('ada'), cluster, exec, by)).toMatchObject({ allowed: false })
      })
    })

    test('of a token that the cluster does not know end in nothing', async () => {
      const stranger = viewerOf({ name: 'eve', groups: ['operators'] }, { token: 'no.such.token' })
      await reviews.read(stranger, cluster, 'Node', 'list', 'VIEWER').settled
      expect(reviews.read(stranger, cluster, 'Node', 'list', 'VIEWER')).toMatchObject({
        state: 'UNKNOWN',
        scope: undefined,
        reason: 'The cluster reviewed does not accept the token of your sign-in.',
      })
    })
  })
}
