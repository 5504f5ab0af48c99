/** Rights by asking the clusters: what is asked, how often, and what is shown while nothing is known. */
import { describe, expect, it, onTestFinished } from 'vitest'
import type { ReadRight } from '../../src/access/policy.ts'
import { AskedReviews, type ReviewLimits } from '../../src/access/reviews.ts'
import { viewerOf, type Viewer } from '../../src/access/viewer.ts'
import { ApiError, TransportError, type ApiRequest } from '../../src/kubernetes/client.ts'
import { project } from '../../src/kubernetes/projections/projections.ts'
import type { Kind } from '../../src/kubernetes/rows.ts'
import { FakeClock, settled } from '../support/fake-clock.ts'
import { FakeCluster, FakeFleet, UP } from '../support/fake-fleet.ts'

const CACHE_MS = 10_000

const ada = viewerOf({ name: 'ada', groups: ['dev', 'system:authenticated'] })
const bob = viewerOf({ name: 'bob', groups: ['system:authenticated'] })

interface Spec {
  readonly namespace?: string
  readonly user?: string
  readonly groups?: readonly string[]
  readonly resourceAttributes?: {
    readonly verb: string
    readonly resource: string
    readonly namespace?: string
    readonly name?: string
    readonly subresource?: string
  }
}

/** A cluster that answers reviews by the test's word. */
class ReviewedCluster extends FakeCluster {
  /** `list pods` or `list pods in shop`, and who: `ada` or a token. */
  allowed = new Set<string>()
  /** Rules of a namespace; `undefined`: they are incomplete. */
  rules: ((namespace: string, who: string) => readonly unknown[]) | undefined
  /** Comes instead of an answer. */
  failure: Error | undefined
  /** What was asked: `ada: list pods in shop`, `ada: rules of shop`. */
  readonly asked: string[] = []
  /** Holds answers back until it resolves. */
  held: Promise<void> | undefined
  atOnce = 0
  mostAtOnce = 0

  override answer = async (request: ApiRequest): Promise<unknown> => {
    this.mostAtOnce = Math.max(this.mostAtOnce, ++this.atOnce)
    try {
      const { spec } = request.body as { readonly spec: Spec }
      const who = request.token ?? request.as?.user ?? spec.user ?? '?'
      const { resourceAttributes: asked } = spec
      const what = asked
        ? `${asked.verb} ${asked.resource}${asked.subresource ? `/${asked.subresource}` : ''}${asked.namespace ? ` in ${asked.namespace}` : ''}`
        : `rules of ${spec.namespace}`
      this.asked.push(`${who}: ${what}`)
      const allowed = this.allowed.has(what) || this.allowed.has(`${who}: ${what}`)
      await this.held
      if (this.failure) throw this.failure
      if (asked) return { status: { allowed } }
      const { rules } = this
      return { status: { incomplete: !rules, resourceRules: rules?.(spec.namespace ?? '', who) ?? [] } }
    } finally {
      this.atOnce--
    }
  }

  take(): readonly string[] {
    return this.asked.splice(0)
  }

  namespaces(...names: readonly string[]): this {
    return this.load(
      'Namespace',
      names.map((name) => namespace(name)),
    )
  }

  drop(name: string, resourceVersion: string): void {
    const row = this.table('Namespace').get('', name)!
    this.apply('Namespace', { type: 'Delete', row, resourceVersion, partial: false } as never)
  }

  add(name: string, resourceVersion: string): void {
    const row = project('Namespace')(namespace(name, resourceVersion), this.name)
    this.apply('Namespace', { type: 'Apply', row, resourceVersion, partial: false } as never)
  }
}

function namespace(name: string, resourceVersion = '1'): unknown {
  return {
    metadata: { name, uid: `uid-${name}-${resourceVersion}`, resourceVersion },
    status: { phase: 'Active' },
  }
}

function fixture(cluster: ReviewedCluster, limits: ReviewLimits = {}) {
  const clock = new FakeClock()
  const fleet = new FakeFleet(cluster)
  const reviews = new AskedReviews({ fleet, clock, cacheMs: CACHE_MS, limits })
  onTestFinished(() => reviews.close())
  let changes = 0
  reviews.onChange(() => changes++)
  return {
    clock,
    fleet,
    reviews,
    changes: () => changes,
    read: (viewer: Viewer, kind: Kind, verb: 'list' | 'watch' = 'list'): ReadRight =>
      reviews.read(viewer, cluster, kind, verb, 'GATEWAY'),
    /** What is known once the questions are answered. */
    known: async (viewer: Viewer, kind: Kind, verb: 'list' | 'watch' = 'list'): Promise<ReadRight> => {
      await reviews.read(viewer, cluster, kind, verb, 'GATEWAY').settled
      return reviews.read(viewer, cluster, kind, verb, 'GATEWAY')
    },
    key: (viewer: Viewer) => reviews.keyOf(viewer, cluster, 'GATEWAY'),
  }
}

const rule = (resource: string, verbs: readonly string[], resourceNames: readonly string[] = []) => ({
  apiGroups: [''],
  resources: [resource],
  verbs,
  resourceNames,
})

function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open: () => open() }
}

describe('a right to read', () => {
  it('is pending at first, asked once however many read it, and then known', async () => {
    const cluster = new ReviewedCluster('east')
    cluster.allowed.add('list pods')
    const { read, changes, clock } = fixture(cluster)
    const first = read(ada, 'Pod')
    expect(first).toMatchObject({ state: 'PENDING', scope: undefined })
    for (let i = 0; i < 10; i++) expect(read(ada, 'Pod').state).toBe('PENDING')
    await first.settled
    const known = read(ada, 'Pod')
    expect(known).toEqual({ scope: 'all', state: 'DECIDED', reason: null, settled: null })
    expect(read(ada, 'Pod')).toBe(known)
    expect(cluster.take()).toEqual(['ada: list pods'])
    await clock.advance(100)
    expect(changes()).toBe(1)
  })

  it('is asked with everything that makes up the identity, for all versions of the resource', async () => {
    const cluster = new ReviewedCluster('east')
    const { reviews } = fixture(cluster)
    const extra = { 'example.org/team': ['a', 'b'] }
    const viewer = viewerOf({ name: 'eve', groups: ['x', 'system:authenticated'], uid: '7', extra })
    await reviews.read(viewer, cluster, 'Deployment', 'list', 'GATEWAY').settled
    expect(cluster.requests).toMatchObject([
      {
        method: 'POST',
        path: '/apis/authorization.k8s.io/v1/subjectaccessreviews',
        body: {
          apiVersion: 'authorization.k8s.io/v1',
          kind: 'SubjectAccessReview',
          spec: {
            user: 'eve',
            uid: '7',
            groups: ['x', 'system:authenticated'],
            extra,
            resourceAttributes: { verb: 'list', group: 'apps', version: '*', resource: 'deployments' },
          },
        },
      },
    ])
    expect(cluster.requests[0]).not.toHaveProperty('as')
    expect(cluster.requests[0]).not.toHaveProperty('token')
  })

  it('is asked with the viewer’s own token, and nothing of ours, where they ask', async () => {
    const cluster = new ReviewedCluster('east').namespaces('shop')
    cluster.rules = () => [rule('pods', ['list'])]
    const { reviews } = fixture(cluster)
    const viewer = viewerOf(ada.user, { method: 'TOKEN_REVIEW', token: 'sesame' })
    await reviews.read(viewer, cluster, 'Pod', 'list', 'VIEWER').settled
    expect(reviews.read(viewer, cluster, 'Pod', 'list', 'VIEWER').scope).toEqual({
      namespaces: new Set(['shop']),
    })
    expect(cluster.requests.map(({ path, token, as }) => [path.split('/').at(-1), token, as])).toEqual([
      ['selfsubjectaccessreviews', 'sesame', undefined],
      ['selfsubjectrulesreviews', 'sesame', undefined],
    ])
    expect(JSON.stringify(cluster.requests.map(({ body }) => body))).not.toMatch(/ada|sesame/)
  })

  it('is nothing for who has no token to ask with', () => {
    const cluster = new ReviewedCluster('east')
    const { reviews } = fixture(cluster)
    expect(reviews.read(ada, cluster, 'Pod', 'list', 'VIEWER')).toMatchObject({
      state: 'UNKNOWN',
      scope: undefined,
    })
    expect(reviews.can(ada, cluster, { verb: 'get', group: '', resource: 'pods' }, 'VIEWER')).toMatchObject({
      allowed: null,
    })
    expect(cluster.asked).toEqual([])
  })

  it('covers the namespaces in which it holds, learned by one question each for all kinds', async () => {
    const cluster = new ReviewedCluster('east').namespaces('kube-system', 'shop', 'web')
    cluster.rules = (name) =>
      name === 'kube-system' ? [] : [rule('pods', ['*']), rule('services', ['list'])]
    const { known } = fixture(cluster)
    expect((await known(ada, 'Pod')).scope).toEqual({ namespaces: new Set(['shop', 'web']) })
    expect(cluster.take()).toEqual([
      'ada: list pods',
      'ada: rules of kube-system',
      'ada: rules of shop',
      'ada: rules of web',
    ])
    expect((await known(ada, 'Service')).scope).toEqual({ namespaces: new Set(['shop', 'web']) })
    expect((await known(ada, 'ConfigMap')).scope).toBeUndefined()
    expect(cluster.take()).toEqual(['ada: list services', 'ada: list configmaps'])
  })

  it('covers single objects that rules name', async () => {
    const cluster = new ReviewedCluster('east').namespaces('shop', 'web')
    cluster.rules = (name) =>
      name === 'shop' ? [rule('pods', ['list'], ['a', 'b'])] : [rule('pods', ['get'], ['c'])]
    const { known } = fixture(cluster)
    expect((await known(ada, 'Pod')).scope).toEqual({
      namespaces: new Set(),
      objects: new Set(['shop/a', 'shop/b']),
    })
  })

  it('is asked namespace by namespace where rules are incomplete, and rules are not asked for again', async () => {
    const cluster = new ReviewedCluster('east').namespaces('a', 'b', 'c')
    cluster.allowed = new Set(['list pods in b', 'list services in c'])
    const { known } = fixture(cluster)
    expect((await known(ada, 'Pod')).scope).toEqual({ namespaces: new Set(['b']) })
    expect(cluster.take()).toEqual([
      'ada: list pods',
      'ada: rules of a',
      'ada: list pods in a',
      'ada: list pods in b',
      'ada: list pods in c',
    ])
    expect((await known(ada, 'Service')).scope).toEqual({ namespaces: new Set(['c']) })
    expect(cluster.take()).toHaveLength(4)
  })

  it('is asked namespace by namespace where the gateway may not impersonate', async () => {
    const cluster = new ReviewedCluster('east').namespaces('a', 'b')
    cluster.allowed = new Set(['list pods in b'])
    const { answer } = cluster
    cluster.answer = (request) => {
      if (request.as) throw new ApiError(403, { message: 'users "ada" is forbidden', reason: 'Forbidden' })
      return answer(request)
    }
    const { known } = fixture(cluster)
    expect((await known(ada, 'Pod')).scope).toEqual({ namespaces: new Set(['b']) })
  })

  it('of a kind without namespaces is asked once and for all', async () => {
    const cluster = new ReviewedCluster('east').namespaces('a', 'b')
    const { known } = fixture(cluster)
    expect(await known(ada, 'Node')).toMatchObject({ state: 'DECIDED', scope: undefined })
    expect(cluster.take()).toEqual(['ada: list nodes'])
  })

  it('to follow is one to list and to watch', async () => {
    const cluster = new ReviewedCluster('east').namespaces('a', 'b', 'c')
    cluster.rules = (name) =>
      ({ a: [rule('pods', ['list'])], b: [rule('pods', ['watch'])], c: [rule('pods', ['list', 'watch'])] })[
        name
      ]!
    const { known } = fixture(cluster)
    const right = await known(ada, 'Pod', 'watch')
    expect(right.scope).toEqual({ namespaces: new Set(['c']) })
    expect(await known(ada, 'Pod', 'watch')).toBe(right)
    cluster.allowed = new Set(['list nodes'])
    expect((await known(ada, 'Node', 'watch')).scope).toBeUndefined()
    expect((await known(ada, 'Node', 'list')).scope).toBe('all')
  })

  it('says of how many namespaces it was found out where there are too many', async () => {
    const cluster = new ReviewedCluster('east').namespaces('a', 'b', 'c', 'd')
    cluster.rules = () => [rule('pods', ['list'])]
    const { known } = fixture(cluster, { namespaces: 3 })
    const { scope, state, reason } = await known(ada, 'Pod')
    expect(scope).toEqual({ namespaces: new Set(['a', 'b', 'c']) })
    expect(state).toBe('DECIDED')
    expect(reason).toContain('has 4 namespaces')
  })

  it('is unknown while the namespaces are not, and found out when they are', async () => {
    const cluster = new ReviewedCluster('east')
    cluster.rules = () => [rule('pods', ['list'])]
    const { known, read, clock, changes } = fixture(cluster)
    expect(await known(ada, 'Pod')).toMatchObject({ state: 'UNKNOWN', scope: undefined })
    cluster.namespaces('shop')
    await clock.advance(200)
    expect(read(ada, 'Pod').scope).toEqual({ namespaces: new Set(['shop']) })
    expect(changes()).toBeGreaterThan(0)
  })

  it('comes to a new namespace, and a change is told', async () => {
    const cluster = new ReviewedCluster('east').namespaces('a')
    cluster.rules = () => [rule('pods', ['list'])]
    const { known, read, key, clock, changes, reviews } = fixture(cluster)
    const before = await known(ada, 'Pod')
    await clock.advance(100)
    cluster.take()
    const [told, revision, oldKey] = [changes(), reviews.revised(cluster).revision, key(ada)]
    cluster.add('b', '101')
    cluster.add('c', '102')
    await clock.advance(200)
    expect(read(ada, 'Pod').scope).toEqual({ namespaces: new Set(['a', 'b', 'c']) })
    expect(before.scope).toEqual({ namespaces: new Set(['a']) })
    expect(cluster.take()).toEqual(['ada: rules of b', 'ada: rules of c'])
    expect(changes()).toBe(told + 1)
    expect(reviews.revised(cluster).revision).toBeGreaterThan(revision)
    expect(key(ada)).not.toBe(oldKey)
  })
})

describe('what is known of a right', () => {
  it('is no newer than what was learned for another kind', async () => {
    const cluster = new ReviewedCluster('east').namespaces('a')
    cluster.rules = () => [rule('pods', ['list']), rule('services', ['list'])]
    const { known, read, clock } = fixture(cluster)
    await known(ada, 'Pod')
    await clock.advance(CACHE_MS / 2 - 1)
    await known(ada, 'Service')
    expect(cluster.take().filter((what) => what === 'ada: rules of a')).toHaveLength(1)
    cluster.failure = new TransportError('TIMEOUT', 'silent')
    await clock.advance(1.5 * CACHE_MS + 100)
    expect(read(ada, 'Pod')).toMatchObject({ state: 'UNKNOWN', scope: undefined })
    expect(read(ada, 'Service')).toMatchObject({ state: 'UNKNOWN', scope: undefined })
  })

  it('takes in what changed while it was being found out', async () => {
    const cluster = new ReviewedCluster('east').namespaces('a')
    cluster.rules = () => [rule('pods', ['list'])]
    const [whole, rules] = [gate(), gate()]
    const { read, clock } = fixture(cluster)
    cluster.held = whole.opened
    read(ada, 'Pod')
    await settled()
    cluster.held = rules.opened
    whole.open()
    await settled()
    expect(cluster.take()).toEqual(['ada: list pods', 'ada: rules of a'])
    cluster.add('b', '101')
    await clock.advance(100)
    rules.open()
    await clock.advance(200)
    expect(read(ada, 'Pod').scope).toEqual({ namespaces: new Set(['a', 'b']) })
  })

  it('is another for another namespace of the same name', async () => {
    const cluster = new ReviewedCluster('east').namespaces('a', 'b')
    cluster.rules = () => [rule('pods', ['list'])]
    const { known, read, clock } = fixture(cluster)
    await known(ada, 'Pod')
    cluster.rules = (name) => (name === 'a' ? [rule('pods', ['list'])] : [])
    cluster.drop('b', '101')
    cluster.add('b', '102')
    await clock.advance(200)
    expect(read(ada, 'Pod').scope).toEqual({ namespaces: new Set(['a']) })
  })

  it('is asked for again when it is old, and stays the same object while it says the same', async () => {
    const cluster = new ReviewedCluster('east').namespaces('a', 'b')
    cluster.rules = () => [rule('pods', ['list'])]
    const { known, read, key, clock, changes } = fixture(cluster)
    const right = await known(ada, 'Pod')
    await clock.advance(100)
    const [told, before] = [changes(), key(ada)]
    cluster.take()
    for (let second = 0; second < 25; second++) {
      await clock.advance(1_000)
      expect(read(ada, 'Pod')).toBe(right)
    }
    expect(cluster.take().filter((what) => what === 'ada: list pods')).toHaveLength(2)
    expect(changes()).toBe(told)
    expect(key(ada)).toBe(before)
  })

  it('of the whole cluster ends when that is denied, even where its namespaces are not known', async () => {
    const cluster = new ReviewedCluster('east')
    cluster.allowed.add('list pods')
    const { known, read, clock } = fixture(cluster)
    await known(ada, 'Pod')
    cluster.allowed.clear()
    await clock.advance(CACHE_MS + 100)
    expect(read(ada, 'Pod')).toMatchObject({ state: 'UNKNOWN', scope: undefined })
  })

  it('is another after the cluster says so, and whoever listens is told', async () => {
    const cluster = new ReviewedCluster('east').namespaces('a')
    cluster.allowed.add('list pods')
    const { known, read, key, clock, changes } = fixture(cluster)
    await known(ada, 'Pod')
    await clock.advance(100)
    const [told, before] = [changes(), key(ada)]
    cluster.allowed.clear()
    await clock.advance(CACHE_MS + 100)
    expect(changes()).toBe(told + 1)
    expect(read(ada, 'Pod')).toMatchObject({ state: 'DECIDED', scope: undefined })
    expect(key(ada)).not.toBe(before)
  })

  it('is kept when it is a no', async () => {
    const cluster = new ReviewedCluster('east')
    const { known } = fixture(cluster)
    for (let i = 0; i < 5; i++) expect((await known(ada, 'Node')).state).toBe('DECIDED')
    expect(cluster.take()).toEqual(['ada: list nodes'])
  })

  it('is used no longer than twice its time while the cluster does not answer; then nothing is shown', async () => {
    const cluster = new ReviewedCluster('east')
    cluster.allowed.add('list pods')
    const { known, read, key, clock, changes } = fixture(cluster)
    await known(ada, 'Pod')
    await clock.advance(100)
    const [told, before] = [changes(), key(ada)]
    cluster.failure = new TransportError('TIMEOUT', 'https://10.0.0.1:6443 is silent')
    await clock.advance(2 * CACHE_MS - 200)
    expect(read(ada, 'Pod').scope).toBe('all')
    expect(key(ada)).toBe(before)
    await clock.advance(150)
    expect(read(ada, 'Pod')).toMatchObject({
      state: 'UNKNOWN',
      scope: undefined,
      reason: 'Your rights in the cluster east cannot be found out: it does not answer in time.',
    })
    expect(key(ada)).not.toBe(before)
    expect(changes()).toBe(told + 1)
    cluster.failure = undefined
    await clock.advance(40_000)
    expect(read(ada, 'Pod').scope).toBe('all')
  })

  it('is not waited for where the cluster is down, which is not asked until it is up', async () => {
    const cluster = new ReviewedCluster('east')
    cluster.allowed.add('list pods')
    cluster.health = { ...UP, state: 'DOWN' }
    const { known, read, clock } = fixture(cluster)
    expect(await known(ada, 'Pod')).toMatchObject({ state: 'UNKNOWN', scope: undefined })
    await clock.advance(20_000)
    read(ada, 'Pod')
    expect(cluster.asked).toEqual([])
    cluster.health = UP
    await clock.advance(100)
    expect(read(ada, 'Pod').scope).toBe('all')
  })

  it('ends at once with a token that the cluster does not know any more', async () => {
    const cluster = new ReviewedCluster('east')
    cluster.allowed.add('list pods')
    const { reviews, clock } = fixture(cluster)
    const viewer = viewerOf(ada.user, { token: 'sesame' })
    const read = () => reviews.read(viewer, cluster, 'Pod', 'list', 'VIEWER')
    await read().settled
    expect(read().scope).toBe('all')
    cluster.failure = new ApiError(401, { message: 'sesame is no good at https://10.0.0.1' })
    await clock.advance(CACHE_MS + 100)
    expect(read()).toMatchObject({
      state: 'UNKNOWN',
      scope: undefined,
      reason: 'The cluster east does not accept the token of your sign-in.',
    })
  })

  it('tells viewers nothing of the gateway', async () => {
    const cluster = new ReviewedCluster('east')
    const { known } = fixture(cluster)
    cluster.failure = new ApiError(403, {
      message: 'User "system:serviceaccount:ops:gateway" cannot create subjectaccessreviews',
      reason: 'Forbidden',
    })
    expect((await known(ada, 'Pod')).reason).toBe(
      'Your rights in the cluster east cannot be found out: it does not let the gateway ask.',
    )
  })

  it('is pending, not unknown, again after a pause in which nobody needed it', async () => {
    const cluster = new ReviewedCluster('east')
    cluster.allowed.add('list pods')
    const { known, read, key, clock } = fixture(cluster)
    await known(ada, 'Pod')
    const before = key(ada)
    await clock.advance(200_000)
    const asked = cluster.take().length
    expect(asked).toBeLessThan(12)
    await clock.advance(200_000)
    expect(cluster.take()).toEqual([])
    expect(clock.pending).toBe(0)
    expect(key(ada)).not.toBe(before)
    expect(read(ada, 'Pod').state).toBe('PENDING')
  })

  it('stays known for as long as somebody who listens reads it again, and its key is kept', async () => {
    const cluster = new ReviewedCluster('east')
    cluster.allowed.add('list pods')
    const { known, read, key, reviews, clock } = fixture(cluster)
    await known(ada, 'Pod')
    const before = key(ada)
    // A stream: it reads rights when it is told that they may have changed, and at no other time.
    const seen: unknown[] = []
    reviews.onChange(() => seen.push(read(ada, 'Pod').scope))
    await clock.advance(600_000)
    expect(seen.length).toBeGreaterThan(5)
    expect(new Set(seen)).toEqual(new Set(['all']))
    expect(key(ada)).toBe(before)
  })

  it('stays known for as long as somebody who listens goes by its key', async () => {
    const cluster = new ReviewedCluster('east')
    cluster.allowed.add('list pods')
    const { known, key, reviews, clock } = fixture(cluster)
    await known(ada, 'Pod')
    const keys = new Set([key(ada)])
    reviews.onChange(() => keys.add(key(ada)))
    await clock.advance(600_000)
    expect(keys.size).toBe(1)
    expect((await known(ada, 'Pod')).scope).toBe('all')
  })

  it('goes with its cluster', async () => {
    const cluster = new ReviewedCluster('east')
    cluster.allowed.add('list pods')
    const { known, fleet, clock } = fixture(cluster)
    await known(ada, 'Pod')
    fleet.remove('east')
    await clock.advance(30_000)
    expect(cluster.take()).toEqual(['ada: list pods'])
    expect(clock.pending).toBe(0)
  })
})

describe('keys', () => {
  it('coincide for those whom the cluster cannot tell apart, and for nobody else', async () => {
    const cluster = new ReviewedCluster('east')
    cluster.allowed.add('list pods')
    const { known, key } = fixture(cluster)
    const again = viewerOf({ name: 'ada', groups: ['system:authenticated', 'dev'] }, { method: 'OIDC' })
    expect(key(again)).toBe(key(ada))
    await known(ada, 'Pod')
    await known(bob, 'Pod')
    expect(key(again)).toBe(key(ada))
    // They may list the same pods, and may differ in what nobody has asked for yet.
    expect(key(bob)).not.toBe(key(ada))
    for (const user of [
      { name: 'ada', groups: ['dev'] },
      { name: 'ada', groups: ['dev', 'system:authenticated'], uid: '1' },
      { name: 'ada', groups: ['dev', 'system:authenticated'], extra: { a: ['b'] } },
      { name: 'ada', groups: ['dev","system:authenticated'] },
    ]) {
      expect(key(viewerOf(user))).not.toBe(key(ada))
    }
  })

  it('never come back, not even after everything was forgotten', async () => {
    const cluster = new ReviewedCluster('east')
    const { known, key, clock } = fixture(cluster)
    const keys: string[] = []
    for (let i = 0; i < 3; i++) {
      await known(ada, 'Node')
      keys.push(key(ada))
      await clock.advance(400_000)
    }
    expect(new Set(keys).size).toBe(3)
  })
})

describe('a single question', () => {
  const scale = {
    verb: 'patch',
    group: 'apps',
    resource: 'deployments',
    subresource: 'scale',
    namespace: 'shop',
  }

  it('is asked once for all who wait, and its answer is kept for a while', async () => {
    const cluster = new ReviewedCluster('east')
    cluster.allowed.add('patch deployments/scale in shop')
    const { reviews, clock } = fixture(cluster)
    const can = () => reviews.can(ada, cluster, scale, 'GATEWAY')
    expect(await Promise.all([can(), can(), can()])).toEqual(
      Array.from({ length: 3 }, () => ({ allowed: true, reason: null })),
    )
    expect(can()).toEqual({ allowed: true, reason: null })
    expect(cluster.take()).toHaveLength(1)
    cluster.allowed.clear()
    await clock.advance(CACHE_MS)
    expect(await can()).toMatchObject({ allowed: false })
    expect(cluster.take()).toHaveLength(1)
  })

  it('that fails has the last answer for twice its time, and then none', async () => {
    const cluster = new ReviewedCluster('east')
    cluster.allowed.add('patch deployments/scale in shop')
    const { reviews, clock } = fixture(cluster)
    const can = () => reviews.can(ada, cluster, scale, 'GATEWAY')
    await can()
    cluster.failure = new TransportError('RESET', 'gone')
    await clock.advance(CACHE_MS + 1)
    expect(await can()).toMatchObject({ allowed: true })
    await clock.advance(CACHE_MS)
    expect(await can()).toEqual({
      allowed: null,
      reason: 'Your rights in the cluster east cannot be found out: it does not answer.',
    })
  })

  it('is asked again where the clock was set back: its answer would be of the future for long', async () => {
    const cluster = new ReviewedCluster('east')
    cluster.allowed.add('patch deployments/scale in shop')
    const { reviews, clock } = fixture(cluster)
    const can = () => reviews.can(ada, cluster, scale, 'GATEWAY')
    await can()
    cluster.allowed.clear()
    const now = clock.now()
    clock.now = () => now - 3_600_000
    expect(await can()).toMatchObject({ allowed: false })
  })

  it('is not allowed where the answer denies it as well as allowing it, and tells no address', async () => {
    const cluster = new ReviewedCluster('east')
    cluster.answer = async () => ({
      status: { allowed: true, denied: true, evaluationError: 'Post "https://10.1.2.3:8443/authorize": EOF' },
    })
    const { reviews } = fixture(cluster)
    const verdict = await reviews.can(ada, cluster, scale, 'GATEWAY')
    expect(verdict.allowed).toBe(false)
    expect(verdict.reason).not.toContain('10.1.2.3')
  })

  it('keeps a bounded number of answers', async () => {
    const cluster = new ReviewedCluster('east')
    const { reviews } = fixture(cluster)
    const get = (name: string) =>
      reviews.can(
        ada,
        cluster,
        { verb: 'get', group: '', resource: 'pods', namespace: 'shop', name },
        'GATEWAY',
      )
    for (let i = 0; i < 300; i++) await get(`pod-${i}`)
    cluster.take()
    expect(get('pod-299')).not.toBeInstanceOf(Promise)
    await get('pod-0')
    expect(cluster.take()).toHaveLength(1)
  })
})

describe('bounds', () => {
  it('hold for what is asked of a cluster at a time', async () => {
    const names = Array.from({ length: 100 }, (_, i) => `ns-${i}`)
    const cluster = new ReviewedCluster('east').namespaces(...names)
    const { read } = fixture(cluster)
    const kinds = ['Pod', 'Service', 'ConfigMap'] as const
    for (const right of kinds.map((kind) => read(ada, kind))) await right.settled
    expect(cluster.mostAtOnce).toBe(16)
    expect(cluster.asked.length).toBeGreaterThan(300)
  })

  it('hold for what waits for it: beyond them a right is unknown and nothing piles up', async () => {
    const cluster = new ReviewedCluster('east')
    const { opened, open } = gate()
    cluster.held = opened
    const { reviews } = fixture(cluster, { atOnce: 1, inLine: 2 })
    const viewers = Array.from({ length: 5 }, (_, i) => viewerOf({ name: `u${i}`, groups: [] }))
    const read = (viewer: Viewer) => reviews.read(viewer, cluster, 'Node', 'list', 'GATEWAY')
    for (const viewer of viewers) read(viewer)
    await settled()
    expect(viewers.map((viewer) => read(viewer).state)).toEqual([
      'PENDING',
      'PENDING',
      'PENDING',
      'UNKNOWN',
      'UNKNOWN',
    ])
    open()
    await settled()
    expect(viewers.map((viewer) => read(viewer).state).slice(0, 3)).toEqual(['DECIDED', 'DECIDED', 'DECIDED'])
  })

  it('hold for identities: those read longest ago are forgotten, and their keys end', async () => {
    const cluster = new ReviewedCluster('east')
    cluster.allowed.add('list nodes')
    const { known, key, clock } = fixture(cluster, { subjects: 10 })
    const viewers = Array.from({ length: 11 }, (_, i) => viewerOf({ name: `u${i}`, groups: [] }))
    const keys: string[] = []
    for (const viewer of viewers) {
      await known(viewer, 'Node')
      keys.push(key(viewer))
      await clock.advance(10)
    }
    expect(key(viewers[0]!)).not.toBe(keys[0])
    expect(viewers.slice(2).map((viewer) => key(viewer))).toEqual(keys.slice(2))
  })
})

it('is silent after its end', async () => {
  const cluster = new ReviewedCluster('east')
  const { opened, open } = gate()
  cluster.held = opened
  const { reviews, clock, changes } = fixture(cluster)
  const right = reviews.read(ada, cluster, 'Pod', 'list', 'GATEWAY')
  reviews.close()
  open()
  await right.settled
  await clock.advance(60_000)
  expect(changes()).toBe(0)
  expect(clock.pending).toBe(0)
  expect(reviews.read(ada, cluster, 'Pod', 'list', 'GATEWAY')).toMatchObject({
    state: 'UNKNOWN',
    scope: undefined,
  })
})
