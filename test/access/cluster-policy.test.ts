import { describe, expect, it, onTestFinished } from 'vitest'
import {
  type AccessMode,
  type ClusterPolicy,
  createClusterPolicy,
  type Reviews,
} from '../../src/access/cluster-policy.ts'
import type { ReadRight, Verdict } from '../../src/access/policy.ts'
import { coverageOf } from '../../src/access/coverage.ts'
import { HOLD_MS, UNFOLLOWED_MS } from '../../src/access/rbac/cluster-rights.ts'
import { type User, type Viewer, viewerOf } from '../../src/access/viewer.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { FakeCluster, FakeFleet } from '../support/fake-fleet.ts'
import { apply, binding, clusterRole, loadRbac, plain, refuse, remove } from './rbac/objects.ts'
import type { RbacObject } from './rbac/policies.ts'

/** Answers what the test says, and notes what it was asked. */
class FakeReviews implements Reviews {
  readonly asked: string[] = []
  readonly revision = { revision: 0 }
  right: ReadRight = { scope: undefined, state: 'PENDING', reason: 'asking', settled: Promise.resolve() }
  verdict: Verdict = { allowed: true, reason: null }
  key = 'k1'
  closed = false
  listener: (() => void) | undefined

  read(
    viewer: Viewer,
    { name }: { readonly name: string },
    kind: string,
    verb: string,
    by: string,
  ): ReadRight {
    this.asked.push(`${by}: may ${viewer.user.name} ${verb} ${kind} in ${name}`)
    return this.right
  }

  can(
    viewer: Viewer,
    { name }: { readonly name: string },
    action: { readonly verb: string },
    by: string,
  ): Verdict {
    this.asked.push(`${by}: may ${viewer.user.name} ${action.verb} in ${name}`)
    return this.verdict
  }

  keyOf(): string {
    return this.key
  }

  revised(): { readonly revision: number } {
    return this.revision
  }

  onChange(listener: () => void): () => void {
    this.listener = listener
    return () => (this.listener = undefined)
  }

  close(): void {
    this.closed = true
  }
}

const view = clusterRole('view', 'list,watch pods')

function cluster(name: string, ...objects: readonly RbacObject[]): FakeCluster {
  return loadRbac(new FakeCluster(name), [view, ...objects])
}

interface Setup {
  readonly fleet: FakeFleet
  readonly policy: ClusterPolicy
  readonly reviews: FakeReviews
  readonly clock: FakeClock
  /** How often it was told that rights have changed. */
  readonly told: () => number
}

function setUp(clusters: readonly FakeCluster[], modes: Readonly<Record<string, AccessMode>> = {}): Setup {
  const fleet = new FakeFleet(...clusters)
  const [reviews, clock] = [new FakeReviews(), new FakeClock()]
  const policy = createClusterPolicy({ fleet, clock, reviews, modeOf: (name) => modes[name] ?? 'rbac' })
  let told = 0
  policy.onChange(() => told++)
  onTestFinished(() => policy.close())
  return { fleet, policy, reviews, clock, told: () => told }
}

function someone(name: string, about: Partial<Omit<Viewer, 'user'>> = {}, user: Partial<User> = {}): Viewer {
  return viewerOf({ name, groups: ['dev', 'system:authenticated'], ...user }, about)
}

describe('what a viewer may read', () => {
  it('is what each cluster says for itself', () => {
    const east = cluster('east', binding('', 'all', 'ClusterRole/view', 'user ada'))
    const west = cluster('west', binding('team-a', 'one', 'ClusterRole/view', 'group dev'))
    const { policy } = setUp([east, west])
    const ada = someone('ada')
    expect(policy.read(ada, east, 'Pod')).toEqual({
      scope: 'all',
      state: 'DECIDED',
      reason: null,
      settled: null,
    })
    expect(plain(policy.read(ada, west, 'Pod', 'watch').scope)).toEqual({ namespaces: ['team-a'] })
    expect(policy.read(ada, west, 'Node')).toMatchObject({ scope: undefined, state: 'DECIDED', reason: null })
    expect(policy.can(ada, west, { verb: 'list', group: '', resource: 'pods', namespace: 'team-a' })).toEqual(
      {
        allowed: true,
        reason: null,
      },
    )
  })

  it('is nothing, with a reason, where the identity does not hold, whatever would be granted', () => {
    const east = cluster('east', binding('', 'all', 'ClusterRole/view', 'user ada'))
    const west = cluster('west', binding('', 'all', 'ClusterRole/view', 'user ada'))
    const { policy, reviews } = setUp([east, west], { west: 'subjectAccessReview' })
    const ada = someone('ada', { clusters: new Set(['north']) }, { groups: ['system:masters'] })
    for (const cluster of [east, west]) {
      expect(policy.read(ada, cluster, 'Pod')).toEqual({
        scope: undefined,
        state: 'DECIDED',
        reason: 'This sign-in does not hold in this cluster: it is one of another cluster.',
        settled: null,
      })
      expect(policy.can(ada, cluster, { verb: 'get', group: '', resource: 'pods' })).toMatchObject({
        allowed: false,
      })
      expect(policy.credential(ada, cluster)).toMatchObject({ type: 'NONE' })
    }
    expect(reviews.asked).toEqual([])
  })

  it('is what the cluster answers where it is to be asked', () => {
    const [east, west] = [cluster('east'), cluster('west')]
    const { policy, reviews } = setUp([east, west], { east: 'subjectAccessReview', west: 'passthrough' })
    const ada = someone('ada', { token: 'secret' })
    expect(policy.read(ada, east, 'Pod')).toBe(reviews.right)
    expect(policy.read(ada, west, 'Node', 'watch')).toBe(reviews.right)
    expect(policy.can(ada, east, { verb: 'delete', group: '', resource: 'pods' })).toBe(reviews.verdict)
    expect(reviews.asked).toEqual([
      'GATEWAY: may ada list Pod in east',
      'VIEWER: may ada watch Node in west',
      'GATEWAY: may ada delete in east',
    ])
  })

  it('is what the cluster answers where the gateway may not read its roles, and only as long', async () => {
    const east = cluster('east', binding('', 'all', 'ClusterRole/view', 'user ada'))
    const { policy, reviews, told, clock } = setUp([east])
    const ada = someone('ada')
    await clock.advance(200)
    const [before, revision, key] = [told(), policy.revised(east).revision, policy.rightsKey(ada)]
    refuse(east, 'FORBIDDEN', 'ClusterRole')
    expect(policy.read(ada, east, 'Pod')).toBe(reviews.right)
    expect(policy.revised(east).revision).toBeGreaterThan(revision)
    expect(policy.rightsKey(ada)).not.toBe(key)
    await clock.advance(100)
    expect(told()).toBe(before + 1)
    east.apply('ClusterRole', { type: 'Up' })
    expect(policy.read(ada, east, 'Pod').scope).toBe('all')
    expect(policy.rightsKey(ada)).toBe(key)
  })

  it('is what the cluster answers where its roles have not been followed for a minute, and only as long', async () => {
    const east = cluster('east', binding('', 'all', 'ClusterRole/view', 'user ada'))
    const west = cluster('west', binding('', 'all', 'ClusterRole/view', 'user ada'))
    const { policy, reviews, told, clock } = setUp([east, west])
    const ada = someone('ada')
    const key = policy.rightsKey(ada)
    refuse(east, 'ERROR', 'ClusterRole')
    await clock.advance(UNFOLLOWED_MS - 1)
    expect(policy.read(ada, east, 'Pod').scope).toBe('all')
    const before = told()
    await clock.advance(101)
    expect(told()).toBe(before + 1)
    expect(policy.read(ada, east, 'Pod')).toBe(reviews.right)
    expect(policy.can(ada, east, { verb: 'get', group: '', resource: 'pods' })).toBe(reviews.verdict)
    expect(policy.read(ada, west, 'Pod').scope).toBe('all')
    expect(policy.rightsKey(ada)).not.toBe(key)
    // Where the cluster does not say either, nothing is shown, and why is said.
    const reason = 'The cluster may not be asked.'
    reviews.right = { scope: undefined, state: 'UNKNOWN', reason, settled: null }
    const asked = { table: east.load('Pod', []).table('Pod'), right: policy.read(ada, east, 'Pod') }
    expect(coverageOf(east, [asked])).toMatchObject({ state: 'UNREACHABLE', reason })
    east.apply('ClusterRole', { type: 'Up' })
    await clock.advance(100)
    expect(told()).toBe(before + 2)
    expect(policy.read(ada, east, 'Pod').scope).toBe('all')
    expect(policy.rightsKey(ada)).toBe(key)
  })

  it('without a token is nothing where the own token is needed', () => {
    const west = cluster('west')
    const { policy, reviews } = setUp([west], { west: 'passthrough' })
    const reason = "This cluster is asked with the viewer's own token, and this sign-in came without one."
    expect(policy.read(someone('ada'), west, 'Pod')).toMatchObject({ scope: undefined, reason })
    expect(policy.credential(someone('ada'), west)).toEqual({ type: 'NONE', reason })
    expect(reviews.asked).toEqual([])
  })

  it('is another within a tenth of a second after a change, and that is told', async () => {
    const reads = binding('', 'all', 'ClusterRole/view', 'user ada')
    const east = cluster('east', reads)
    const { policy, clock, told } = setUp([east])
    const ada = someone('ada')
    await clock.advance(200)
    const before = told()
    expect(policy.read(ada, east, 'Pod').scope).toBe('all')
    remove(east, reads)
    // What a relist says row by row is one change.
    expect(policy.read(ada, east, 'Pod').scope).toBe('all')
    await clock.advance(100)
    expect(policy.read(ada, east, 'Pod').scope).toBeUndefined()
    expect(told()).toBe(before + 1)
  })

  it('in a storm of changes is the last within a tenth of a second, and is told ten times a second', async () => {
    const clusters = ['a', 'b', 'c'].map((name) => cluster(name))
    const { policy, clock, told } = setUp(clusters)
    const ada = someone('ada')
    await clock.advance(200)
    const before = told()
    for (let i = 0; i < 500; i++) {
      for (const cluster of clusters) {
        apply(cluster, binding(`team-${i}`, 'one', 'ClusterRole/view', 'user ada'))
        policy.read(ada, cluster, 'Pod')
      }
      await clock.advance(2)
    }
    await clock.advance(100)
    for (const cluster of clusters) {
      const { scope } = policy.read(ada, cluster, 'Pod')
      expect(scope !== undefined && scope !== 'all' && scope.namespaces.size).toBe(500)
    }
    expect(told() - before).toBeLessThanOrEqual(2 + Math.ceil(1_100 / HOLD_MS))
    expect(clock.pending).toBe(0)
  })
})

describe('a key of rights', () => {
  it('is one for viewers who are granted the same everywhere, and another for any other', () => {
    const east = cluster(
      'east',
      binding('team-a', 'one', 'ClusterRole/view', 'user ada', 'user bob'),
      binding('team-b', 'two', 'ClusterRole/view', 'user cy'),
    )
    const west = cluster(
      'west',
      binding('team-a', 'one', 'ClusterRole/view', 'user ada', 'user bob', 'user cy'),
    )
    const { policy } = setUp([east, west])
    const key = policy.rightsKey(someone('ada'))
    expect(policy.rightsKey(someone('bob', { method: 'OIDC', token: 'x' }))).toBe(key)
    expect(policy.rightsKey(someone('cy'))).not.toBe(key)
    expect(policy.rightsKey(someone('ada', { clusters: new Set(['east']) }))).not.toBe(key)
    expect(policy.rightsKey(someone('ada', { clusters: new Set(['east', 'west']) }))).toBe(key)
  })

  it('changes with the rights of its viewer, and with those of no other', async () => {
    const east = cluster(
      'east',
      clusterRole('other', 'list services'),
      binding('team-a', 'one', 'ClusterRole/view', 'user ada'),
      binding('team-a', 'two', 'ClusterRole/other', 'user bob'),
    )
    const west = cluster('west')
    const { policy, clock } = setUp([east, west])
    const [ada, bob] = [someone('ada'), someone('bob')]
    await clock.advance(200)
    const [ofAda, ofBob] = [policy.rightsKey(ada), policy.rightsKey(bob)]
    expect(policy.rightsKey(ada)).toBe(ofAda)
    apply(east, clusterRole('other', 'list services,nodes'))
    await clock.advance(100)
    expect(policy.rightsKey(ada)).toBe(ofAda)
    expect(policy.rightsKey(bob)).not.toBe(ofBob)
    apply(west, binding('team-a', 'one', 'ClusterRole/view', 'user ada'))
    await clock.advance(100)
    expect(policy.rightsKey(ada)).not.toBe(ofAda)
    remove(west, binding('team-a', 'one', 'ClusterRole/view', 'user ada'))
    await clock.advance(100)
    expect(policy.rightsKey(ada)).toBe(policy.rightsKey(someone('ada')))
  })

  it('changes with what the clusters answer that are asked themselves', () => {
    const [east, west] = [cluster('east'), cluster('west')]
    const { policy, reviews } = setUp([east, west], { west: 'subjectAccessReview' })
    const ada = someone('ada')
    const key = policy.rightsKey(ada)
    expect(policy.rightsKey(someone('bob'))).toBe(key)
    reviews.key = 'k2'
    reviews.revision.revision++
    expect(policy.rightsKey(ada)).not.toBe(key)
    const stranger = someone('bob', { clusters: new Set(['east']) })
    const strange = policy.rightsKey(stranger)
    reviews.key = 'k3'
    reviews.revision.revision++
    expect(policy.rightsKey(stranger)).toBe(strange)
  })
})

describe('a credential', () => {
  const user: User = {
    name: 'ada',
    groups: ['dev', 'system:authenticated'],
    uid: '7',
    extra: { scopes: ['read'] },
  }

  it('is the identity itself, with all its groups and no other, or the own token', () => {
    const [east, west, north] = [cluster('east'), cluster('west'), cluster('north')]
    const { policy } = setUp([east, west, north], { west: 'subjectAccessReview', north: 'passthrough' })
    const ada = viewerOf(user, { token: 'secret' })
    const as = { user: 'ada', groups: ['dev', 'system:authenticated'], uid: '7', extra: { scopes: ['read'] } }
    expect(policy.credential(ada, east)).toEqual({ type: 'IMPERSONATION', as })
    expect(policy.credential(ada, west)).toEqual({ type: 'IMPERSONATION', as })
    expect(policy.credential(ada, north)).toEqual({ type: 'TOKEN', token: 'secret' })
    expect(policy.credential(viewerOf({ name: 'bob', groups: [] }), east)).toEqual({
      type: 'IMPERSONATION',
      as: { user: 'bob', groups: [] },
    })
  })
})

describe('clusters that come and go', () => {
  it('are decided from when they are in the fleet, and not after', async () => {
    const east = cluster('east', binding('', 'all', 'ClusterRole/view', 'user ada'))
    const { policy, fleet, told, clock } = setUp([])
    const ada = someone('ada')
    const gone = { scope: undefined, state: 'UNKNOWN', reason: 'The cluster has left the fleet.' }
    expect(policy.read(ada, east, 'Pod')).toMatchObject(gone)
    const key = policy.rightsKey(ada)
    fleet.add(east)
    expect(policy.read(ada, east, 'Pod').scope).toBe('all')
    expect(policy.rightsKey(ada)).not.toBe(key)
    await clock.advance(100)
    expect(told()).toBe(1)
    const other = cluster('east')
    fleet.add(other)
    expect(policy.read(ada, east, 'Pod')).toMatchObject(gone)
    expect(policy.credential(ada, east)).toMatchObject({ type: 'NONE' })
    expect(policy.read(ada, other, 'Pod')).toMatchObject({ scope: undefined, state: 'DECIDED' })
    fleet.remove('east')
    expect(policy.read(ada, other, 'Pod')).toMatchObject(gone)
    expect(policy.revised(other).revision).toBe(0)
  })

  it('are known before the policy has heard of them: others may hear first', () => {
    const east = cluster('east', binding('', 'all', 'ClusterRole/view', 'user ada'))
    const fleet = new FakeFleet()
    let seen: unknown
    fleet.onChange(() => (seen = policy.read(someone('ada'), east, 'Pod').scope))
    const clock = new FakeClock()
    const policy = createClusterPolicy({ fleet, clock, reviews: new FakeReviews(), modeOf: () => 'rbac' })
    onTestFinished(() => policy.close())
    fleet.add(east)
    expect(seen).toBe('all')
  })

  it('leave nothing set, and nobody listening, when the policy is closed', async () => {
    const east = cluster('east')
    const { policy, fleet, reviews, clock } = setUp([east])
    apply(east, binding('', 'all', 'ClusterRole/view', 'user ada'))
    await policy.close()
    expect(clock.pending).toBe(0)
    expect(fleet.listeners).toBe(0)
    expect([reviews.closed, reviews.listener]).toEqual([true, undefined])
    apply(east, binding('', 'more', 'ClusterRole/view', 'user ada'))
    expect(clock.pending).toBe(0)
  })
})
