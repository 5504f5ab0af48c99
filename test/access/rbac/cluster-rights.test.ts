import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import * as fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Action } from '../../../src/access/policy.ts'
import { ClusterRights, GATHER_MS, HOLD_MS, UNFOLLOWED_MS } from '../../../src/access/rbac/cluster-rights.ts'
import { ReadRights } from '../../../src/access/rbac/scopes.ts'
import { WeakInterner } from '../../../src/access/rbac/weak-interner.ts'
import type { User } from '../../../src/access/viewer.ts'
import { KINDS } from '../../../src/kubernetes/kinds.ts'
import type { Kind } from '../../../src/kubernetes/rows.ts'
import { eventually } from '../../support/eventually.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { FakeCluster, UP } from '../../support/fake-fleet.ts'
import { apply, binding, clusterRole, loadRbac, plain, refuse, remove, role, shows } from './objects.ts'
import {
  action,
  NAMESPACES,
  OBJECT_NAMES,
  policy,
  privilegedUser,
  type RbacObject,
  rbacObject,
  user,
} from './policies.ts'

interface Setup {
  readonly cluster: FakeCluster
  readonly rights: ClusterRights
  readonly clock: FakeClock
  readonly changes: () => number
}

function follow(cluster: FakeCluster, readRights = new ReadRights()): Setup {
  const clock = new FakeClock()
  let changes = 0
  const rights = new ClusterRights(cluster, { clock, readRights, onChange: () => changes++ })
  onTestFinished(() => rights.close())
  return { cluster, rights, clock, changes: () => changes }
}

function having(...objects: readonly RbacObject[]): Setup {
  return follow(loadRbac(new FakeCluster('east'), objects))
}

const ada: User = { name: 'ada', groups: ['dev', 'system:authenticated'] }
const bob: User = { name: 'bob', groups: ['dev', 'system:authenticated'] }
const eve: User = { name: 'eve', groups: [] }

function account(namespace: string, name: string): User {
  return { name: `system:serviceaccount:${namespace}:${name}`, groups: [] }
}

function listed({ rights }: Setup, user: User, kind: Kind = 'Pod'): unknown {
  return plain(rights.decisionOf(user).read(kind, 'list').scope)
}

function followed({ rights }: Setup, user: User, kind: Kind = 'Pod'): unknown {
  return plain(rights.decisionOf(user).read(kind, 'watch').scope)
}

describe('what somebody may list', () => {
  it('is everything by a ClusterRoleBinding, and a namespace by a RoleBinding', () => {
    const setup = having(
      clusterRole('view', 'list pods'),
      binding('', 'all', 'ClusterRole/view', 'user ada'),
      binding('team-a', 'one', 'ClusterRole/view', 'user bob'),
      binding('team-b', 'one', 'ClusterRole/view', 'user bob'),
    )
    expect(listed(setup, ada)).toBe('all')
    expect(listed(setup, bob)).toEqual({ namespaces: ['team-a', 'team-b'] })
    expect(listed(setup, eve)).toBe('nothing')
    expect(listed(setup, ada, 'Service')).toBe('nothing')
  })

  it('is granted to users, to groups, and to both at once', () => {
    const setup = having(
      role('team-a', 'reader', 'list pods'),
      clusterRole('view', 'list pods'),
      binding('team-a', 'person', 'Role/reader', 'user ada'),
      binding('team-b', 'team', 'ClusterRole/view', 'group dev', 'user nobody'),
    )
    expect(listed(setup, ada)).toEqual({ namespaces: ['team-a', 'team-b'] })
    expect(listed(setup, bob)).toEqual({ namespaces: ['team-b'] })
    // A user is no group of that name.
    expect(listed(setup, { name: 'dev', groups: ['ada'] })).toBe('nothing')
  })

  it('is granted to a service account of the namespace that is named, or of the binding', () => {
    const setup = having(
      clusterRole('view', 'list pods'),
      binding('team-a', 'own', 'ClusterRole/view', 'account bot'),
      binding('team-b', 'other', 'ClusterRole/view', 'account team-a/bot'),
      binding('', 'lost', 'ClusterRole/view', 'account bot'),
    )
    expect(listed(setup, account('team-a', 'bot'))).toEqual({ namespaces: ['team-a', 'team-b'] })
    expect(listed(setup, account('team-b', 'bot'))).toBe('nothing')
    expect(listed(setup, { name: 'bot', groups: [] })).toBe('nothing')
  })

  it('is nothing by a role that is not there, and what the others grant all the same', () => {
    const setup = having(
      role('team-a', 'reader', 'list pods'),
      clusterRole('view', 'list pods'),
      binding('team-a', 'gone', 'Role/gone', 'user ada'),
      binding('team-b', 'elsewhere', 'Role/reader', 'user ada'),
      binding('', 'never', 'Role/reader', 'user ada'),
      binding('', 'gone', 'ClusterRole/gone', 'user ada'),
      binding('team-c', 'good', 'ClusterRole/view', 'user ada'),
    )
    expect(listed(setup, ada)).toEqual({ namespaces: ['team-c'] })
  })

  it('is single objects where rules name them', () => {
    const setup = having(
      clusterRole('named', 'list pods web,db', 'list nodes node-1'),
      clusterRole('view', 'list pods'),
      binding('team-a', 'one', 'ClusterRole/named', 'user ada'),
      binding('team-b', 'one', 'ClusterRole/view', 'user ada'),
      binding('', 'all', 'ClusterRole/named', 'user bob'),
      binding('team-c', 'one', 'ClusterRole/named', 'user bob'),
    )
    expect(listed(setup, ada)).toEqual({ namespaces: ['team-b'], objects: ['team-a/db', 'team-a/web'] })
    expect(listed(setup, bob)).toEqual({ names: ['db', 'web'] })
    expect(listed(setup, bob, 'Node')).toEqual({ objects: ['/node-1'] })
    expect(listed(setup, ada, 'Node')).toBe('nothing')
  })

  it('of kinds without namespaces is nothing by a RoleBinding, of namespaces neither', () => {
    const setup = having(
      clusterRole('view', 'list nodes,namespaces,pods'),
      binding('team-a', 'one', 'ClusterRole/view', 'user ada'),
    )
    expect(listed(setup, ada, 'Node')).toBe('nothing')
    expect(listed(setup, ada, 'Namespace')).toBe('nothing')
    expect(listed(setup, ada)).toEqual({ namespaces: ['team-a'] })
  })

  it('by an aggregated role is what its cluster has put together, and nothing before', () => {
    const sum: RbacObject = {
      ...clusterRole('sum'),
      aggregationRule: { clusterRoleSelectors: [{ matchLabels: { part: 'alpha' } }] },
    }
    const part = clusterRole('part', 'list pods')
    const labelled = { ...part, metadata: { ...part.metadata, labels: { part: 'alpha' } } }
    const setup = having(sum, labelled, binding('', 'all', 'ClusterRole/sum', 'user ada'))
    expect(listed(setup, ada)).toBe('nothing')
    apply(setup.cluster, { ...sum, rules: labelled.rules! })
    expect(listed(setup, ada)).toBe('all')
  })

  it('is everything for those whom the API server asks nothing', () => {
    const setup = having()
    expect(listed(setup, privilegedUser, 'Node')).toBe('all')
    expect(setup.rights.decisionOf(privilegedUser).can({ verb: 'x', group: 'y', resource: 'z' })).toEqual({
      allowed: true,
      reason: null,
    })
  })
})

describe('what somebody may follow', () => {
  it('is what they may both list and watch', () => {
    const setup = having(
      clusterRole('list', 'list pods'),
      clusterRole('watch', 'watch pods'),
      clusterRole('watch-web', 'watch pods web'),
      binding('', 'lists', 'ClusterRole/list', 'user ada', 'user eve'),
      binding('team-a', 'watches', 'ClusterRole/watch', 'user ada'),
      binding('', 'watches', 'ClusterRole/watch', 'user bob'),
      binding('team-b', 'lists', 'ClusterRole/list', 'user bob'),
      binding('', 'web', 'ClusterRole/watch-web', 'user eve'),
    )
    expect(followed(setup, ada)).toEqual({ namespaces: ['team-a'] })
    expect(followed(setup, bob)).toEqual({ namespaces: ['team-b'] })
    expect(followed(setup, eve)).toEqual({ names: ['web'] })
    expect(followed(setup, { name: 'nobody', groups: [] })).toBe('nothing')
  })

  it('is a name in the namespaces of the other verb', () => {
    const setup = having(
      clusterRole('list', 'list pods'),
      clusterRole('watch-web', 'watch pods web'),
      binding('team-a', 'lists', 'ClusterRole/list', 'user ada'),
      binding('team-b', 'lists', 'ClusterRole/list', 'user ada'),
      binding('', 'web', 'ClusterRole/watch-web', 'user ada'),
    )
    expect(followed(setup, ada)).toEqual({ objects: ['team-a/web', 'team-b/web'] })
  })
})

describe('a change', () => {
  it('of a binding gives and takes at once', () => {
    const reads = binding('team-a', 'one', 'ClusterRole/view', 'user ada')
    const setup = having(clusterRole('view', 'list pods'))
    apply(setup.cluster, reads)
    expect(listed(setup, ada)).toEqual({ namespaces: ['team-a'] })
    apply(setup.cluster, binding('team-a', 'one', 'ClusterRole/view', 'user bob'))
    expect(listed(setup, ada)).toBe('nothing')
    expect(listed(setup, bob)).toEqual({ namespaces: ['team-a'] })
    remove(setup.cluster, reads)
    expect(listed(setup, bob)).toBe('nothing')
  })

  it('of a role is one for all who are bound to it, also where it comes after its binding', () => {
    const setup = having(binding('team-a', 'one', 'Role/late', 'user ada'))
    expect(listed(setup, ada)).toBe('nothing')
    apply(setup.cluster, role('team-a', 'late', 'list pods'))
    expect(listed(setup, ada)).toEqual({ namespaces: ['team-a'] })
    apply(setup.cluster, role('team-a', 'late', 'list services'))
    expect(listed(setup, ada)).toBe('nothing')
    apply(setup.cluster, role('team-a', 'late', 'list pods'))
    remove(setup.cluster, role('team-a', 'late'))
    expect(listed(setup, ada)).toBe('nothing')
  })

  it('leaves a grant that another binding gives too', () => {
    const second = binding('team-a', 'two', 'ClusterRole/view', 'user ada', 'user ada')
    const setup = having(
      clusterRole('view', 'list pods'),
      binding('team-a', 'one', 'ClusterRole/view', 'user ada'),
      second,
    )
    remove(setup.cluster, second)
    expect(listed(setup, ada)).toEqual({ namespaces: ['team-a'] })
  })

  it('of a role while nobody is bound to it is not missed, whoever remembers what it was', () => {
    const reads = binding('team-a', 'one', 'ClusterRole/view', 'user ada')
    const setup = having(clusterRole('view', 'list pods'), reads)
    const remembered = setup.rights.decisionOf(ada)
    expect(plain(remembered.read('Pod', 'list').scope)).toEqual({ namespaces: ['team-a'] })
    remove(setup.cluster, reads)
    apply(setup.cluster, clusterRole('view', 'list services'), reads)
    expect(listed(setup, ada)).toBe('nothing')
    expect(setup.rights.decisionOf(ada)).not.toBe(remembered)
  })

  it('touches nobody whom it does not concern, nor one that changes no right', () => {
    const setup = having(
      clusterRole('view', 'list pods'),
      clusterRole('other', 'list services'),
      binding('team-a', 'one', 'ClusterRole/view', 'user ada'),
      binding('team-a', 'two', 'ClusterRole/other', 'user bob'),
    )
    const before = setup.rights.decisionOf(ada)
    apply(
      setup.cluster,
      clusterRole('other', 'list pods'),
      binding('team-a', 'two', 'ClusterRole/view', 'group ops'),
    )
    expect(setup.rights.decisionOf(ada)).toBe(before)
    const view = clusterRole('view', 'list pods')
    apply(setup.cluster, { ...view, metadata: { ...view.metadata, labels: { new: 'label' } } })
    expect(setup.rights.decisionOf(ada)).toBe(before)
    apply(setup.cluster, clusterRole('view', 'list pods', 'list services'))
    expect(setup.rights.decisionOf(ada)).not.toBe(before)
  })

  it('keeps the scope that it does not change the same object', () => {
    const setup = having(
      clusterRole('view', 'list pods'),
      binding('team-a', 'one', 'ClusterRole/view', 'user ada'),
    )
    const { scope } = setup.rights.decisionOf(ada).read('Pod', 'list')
    apply(
      setup.cluster,
      clusterRole('view', 'list pods,services'),
      binding('', 'more', 'ClusterRole/nodes', 'user ada'),
      clusterRole('nodes', 'list nodes'),
    )
    expect(listed(setup, ada, 'Node')).toBe('all')
    expect(setup.rights.decisionOf(ada).read('Pod', 'list').scope).toBe(scope)
    // Of other kinds too.
    expect(setup.rights.decisionOf(ada).read('Service', 'list').scope).toBe(scope)
  })

  it('is told soon, together with those that come with it', async () => {
    const { cluster, clock, changes, rights } = having(clusterRole('view', 'list pods'))
    const [told, revision] = [changes(), rights.revision]
    for (let i = 0; i < 100; i++) apply(cluster, binding('team-a', `b-${i}`, 'ClusterRole/view', 'user ada'))
    expect(changes()).toBe(told)
    await clock.advance(HOLD_MS)
    expect(changes()).toBe(told + 1)
    expect(rights.revision).toBe(revision + 1)
    await clock.advance(HOLD_MS)
    apply(cluster, binding('team-b', 'one', 'ClusterRole/view', 'user ada'))
    await clock.advance(GATHER_MS)
    expect(changes()).toBe(told + 2)
    expect(clock.pending).toBe(0)
  })

  it('in a storm is told once in a while, the last one too', async () => {
    const { cluster, clock, changes } = having(clusterRole('view', 'list pods'))
    await clock.advance(HOLD_MS)
    const told = changes()
    for (let i = 0; i < 1_000; i++) {
      apply(cluster, binding(`team-${i % 40}`, `b-${i}`, 'ClusterRole/view', `user u-${i % 7}`))
      if (i % 10 === 0) await clock.advance(1)
    }
    await clock.advance(HOLD_MS)
    expect(changes() - told).toBeGreaterThan(0)
    expect(changes() - told).toBeLessThanOrEqual(1 + Math.ceil((100 + HOLD_MS) / HOLD_MS))
    expect(clock.pending).toBe(0)
  })
})

describe('the rights in a cluster', () => {
  it('are pending until all four tables have been read', async () => {
    const cluster = new FakeCluster('east')
    const setup = follow(cluster)
    const { rights } = setup
    cluster.load('ClusterRole', [clusterRole('view', 'list pods')])
    cluster.load('ClusterRoleBinding', [binding('', 'all', 'ClusterRole/view', 'user ada')])
    cluster.load('Role', [])
    const right = rights.decisionOf(ada).read('Pod', 'list')
    expect(right).toMatchObject({
      scope: undefined,
      state: 'PENDING',
      reason: 'The rights in this cluster are still being read.',
    })
    expect(rights.decisionOf(ada).can({ verb: 'list', group: '', resource: 'pods' }).allowed).toBeNull()
    cluster.load('RoleBinding', [])
    await right.settled
    expect(rights.standing).toBe('READY')
    expect(listed(setup, ada)).toBe('all')
  })

  it('are read by and by where there are many, with all that changes meanwhile', async () => {
    const many = Array.from({ length: 5_000 }, (_, i) =>
      binding('team-a', `b-${i}`, 'ClusterRole/view', `user u-${i}`),
    )
    const setup = having(clusterRole('view', 'list pods'), ...many)
    const { rights, cluster } = setup
    const { settled } = rights.decisionOf(ada).read('Pod', 'list')
    expect(rights.standing).toBe('PENDING')
    remove(cluster, many[4_998]!)
    apply(cluster, binding('team-b', 'b-4999', 'ClusterRole/view', 'user ada'))
    apply(cluster, binding('team-a', 'b-4999', 'ClusterRole/view', 'user ada'))
    await settled
    expect(rights.standing).toBe('READY')
    expect(listed(setup, ada)).toEqual({ namespaces: ['team-a', 'team-b'] })
    expect(listed(setup, { name: 'u-4997', groups: [] })).toEqual({ namespaces: ['team-a'] })
    expect(listed(setup, { name: 'u-4998', groups: [] })).toBe('nothing')
    expect(listed(setup, { name: 'u-4999', groups: [] })).toBe('nothing')
  })

  it('hold while the cluster does not answer, however long', async () => {
    const setup = having(clusterRole('view', 'list pods'), binding('', 'all', 'ClusterRole/view', 'user ada'))
    setup.cluster.health = { ...UP, state: 'DOWN' }
    const revision = setup.rights.revision
    for (const kind of ['Role', 'ClusterRole', 'RoleBinding', 'ClusterRoleBinding'] as const) {
      refuse(setup.cluster, 'UNREACHABLE', kind)
    }
    await setup.clock.advance(24 * 3_600_000)
    expect(listed(setup, ada)).toBe('all')
    expect(setup.rights.revision).toBe(revision)
  })

  it('are for others to decide where one table is not followed for a minute though the cluster answers', async () => {
    const setup = having(clusterRole('view', 'list pods'), binding('', 'all', 'ClusterRole/view', 'user ada'))
    const { cluster, rights, clock, changes } = setup
    refuse(cluster, 'ERROR', 'ClusterRoleBinding')
    await clock.advance(UNFOLLOWED_MS - 1)
    expect(listed(setup, ada)).toBe('all')
    const before = changes()
    await clock.advance(1)
    expect(rights.standing).toBe('UNREADABLE')
    expect(changes()).toBe(before + 1)
    expect(listed(setup, ada)).toBe('nothing')
    expect(listed(setup, privilegedUser)).toBe('nothing')
    // What is in the tables is as old as it was, whether or not the cluster answers now.
    cluster.health = { ...UP, state: 'DOWN' }
    await clock.advance(UNFOLLOWED_MS)
    expect(rights.standing).toBe('UNREADABLE')
    expect(clock.pending).toBe(0)
    cluster.apply('ClusterRoleBinding', { type: 'Up' })
    expect(rights.standing).toBe('READY')
    expect(listed(setup, ada)).toBe('all')
  })

  it('are given a minute each time that they are not followed', async () => {
    const { cluster, rights, clock } = having(clusterRole('view', 'list pods'))
    for (const kind of ['Role', 'RoleBinding', 'Role'] as const) {
      refuse(cluster, 'ERROR', kind)
      await clock.advance(UNFOLLOWED_MS - 1)
      cluster.apply(kind, { type: 'Up' })
      expect(clock.pending).toBe(0)
    }
    expect(rights.standing).toBe('READY')
  })

  it('are given no more time by a cluster that answers only now and then', async () => {
    const { cluster, rights, clock } = having(clusterRole('view', 'list pods'))
    refuse(cluster, 'ERROR', 'Role')
    for (let i = 0; i < 3; i++) {
      expect(rights.standing).toBe('READY')
      await clock.advance(UNFOLLOWED_MS / 3)
      cluster.health = { ...UP, state: 'DOWN' }
      await clock.advance(UNFOLLOWED_MS)
      cluster.health = UP
    }
    expect(rights.standing).toBe('UNREADABLE')
  })

  it('are unknown where they were never read, and why is said', async () => {
    const cluster = new FakeCluster('east')
    const { rights } = follow(cluster)
    const { settled } = rights.decisionOf(ada).read('Pod', 'list')
    refuse(cluster, 'UNREACHABLE')
    await settled
    expect(rights.decisionOf(ada).read('Pod', 'list')).toEqual({
      scope: undefined,
      state: 'UNKNOWN',
      reason: 'The rights in this cluster could not be read. The API server said no.',
      settled: null,
    })
    loadRbac(cluster, [])
    expect(rights.standing).toBe('READY')
  })

  it.each(['FORBIDDEN', 'NOT_WATCHED'] as const)(
    'are for others to decide where they are %s, also later',
    (code) => {
      const setup = having(
        clusterRole('view', 'list pods'),
        binding('', 'all', 'ClusterRole/view', 'user ada'),
      )
      const revision = setup.rights.revision
      refuse(setup.cluster, code, 'RoleBinding')
      expect(setup.rights.standing).toBe('UNREADABLE')
      expect(setup.rights.revision).toBe(revision + 1)
      expect(listed(setup, ada)).toBe('nothing')
      expect(listed(setup, privilegedUser)).toBe('nothing')
      setup.cluster.apply('RoleBinding', { type: 'Up' })
      expect(setup.rights.standing).toBe('READY')
      expect(listed(setup, ada)).toBe('all')
    },
  )

  it.each(['UNREACHABLE', 'UNAUTHORIZED', 'ERROR'] as const)(
    'are not those of long ago where they could not be read any more, and it is %s then',
    (code) => {
      const setup = having(
        clusterRole('view', 'list pods'),
        binding('', 'all', 'ClusterRole/view', 'user ada'),
      )
      refuse(setup.cluster, 'FORBIDDEN', 'ClusterRoleBinding')
      refuse(setup.cluster, code, 'ClusterRoleBinding')
      expect(setup.rights.standing).toBe('UNREADABLE')
      expect(listed(setup, ada)).toBe('nothing')
      loadRbac(setup.cluster, [clusterRole('view', 'list pods')])
      expect(setup.rights.standing).toBe('READY')
      expect(listed(setup, ada)).toBe('nothing')
    },
  )

  it('follow a relist', () => {
    const setup = having(clusterRole('view', 'list pods'), binding('', 'all', 'ClusterRole/view', 'user ada'))
    loadRbac(setup.cluster, [
      clusterRole('view', 'list services'),
      binding('team-a', 'one', 'ClusterRole/view', 'user bob'),
    ])
    expect(listed(setup, ada, 'Service')).toBe('nothing')
    expect(listed(setup, bob, 'Service')).toEqual({ namespaces: ['team-a'] })
  })

  it('leave nothing set when they are closed', async () => {
    const { rights, cluster, clock } = having(clusterRole('view', 'list pods'))
    apply(cluster, binding('', 'all', 'ClusterRole/view', 'user ada'))
    refuse(cluster, 'ERROR', 'Role')
    rights.close()
    expect(clock.pending).toBe(0)
    const pending = follow(new FakeCluster('west'))
    const { settled } = pending.rights.decisionOf(ada).read('Pod', 'list')
    pending.rights.close()
    await settled
  })
})

const KINDS_ASKED = ['Pod', 'Deployment', 'ConfigMap', 'Node', 'Namespace'] as const satisfies readonly Kind[]

describe('compiled rights', () => {
  /** Whether one of the lists that an API server has for an object is allowed. */
  function mayList(
    setup: Setup,
    user: User,
    kind: Kind,
    namespace: string,
    name: string,
    verb: string,
  ): boolean {
    const { group, resource, namespaced } = KINDS[kind]
    const places = namespaced ? ['', namespace] : ['']
    return places.some((namespace) =>
      ['', name].some(
        (name) => setup.rights.decisionOf(user).can({ verb, group, resource, namespace, name }).allowed,
      ),
    )
  }

  it('show an object just where a list that may be made would', () => {
    fc.assert(
      fc.property(policy, fc.array(user, { minLength: 3, maxLength: 6 }), (objects, users) => {
        const setup = follow(loadRbac(new FakeCluster('east'), objects))
        for (const user of [...users, privilegedUser]) {
          for (const kind of KINDS_ASKED) {
            const decision = setup.rights.decisionOf(user)
            const [list, watch] = [decision.read(kind, 'list').scope, decision.read(kind, 'watch').scope]
            for (const namespace of NAMESPACES) {
              for (const name of [...OBJECT_NAMES, 'other']) {
                const home = KINDS[kind].namespaced ? namespace : ''
                const lists = mayList(setup, user, kind, namespace, name, 'list')
                const follows = lists && mayList(setup, user, kind, namespace, name, 'watch')
                expect([shows(list, home, name), shows(watch, home, name)]).toEqual([lists, follows])
              }
            }
          }
        }
        setup.rights.close()
      }),
      { numRuns: 60 },
    )
  })

  it('are after any changes what they are when they are made anew', () => {
    const everything = (setup: Setup, users: readonly User[], actions: readonly Action[]) =>
      users.map((user) => {
        const decision = setup.rights.decisionOf(user)
        return {
          user,
          scopes: KINDS_ASKED.map((kind) => [
            plain(decision.read(kind, 'list').scope),
            plain(decision.read(kind, 'watch').scope),
          ]),
          may: actions.map((action) => decision.can(action).allowed),
        }
      })
    const step = fc.oneof(
      { weight: 6, arbitrary: rbacObject.map((object) => ({ type: 'apply', object }) as const) },
      { weight: 3, arbitrary: rbacObject.map((object) => ({ type: 'remove', object }) as const) },
      { weight: 1, arbitrary: policy.map((objects) => ({ type: 'relist', objects }) as const) },
    )
    fc.assert(
      fc.property(
        policy,
        fc.array(fc.array(step, { maxLength: 12 }), { minLength: 1, maxLength: 6 }),
        fc.array(user, { minLength: 3, maxLength: 5 }),
        fc.array(action, { minLength: 5, maxLength: 10 }),
        (objects, batches, users, actions) => {
          const cluster = loadRbac(new FakeCluster('east'), objects)
          const setup = follow(cluster)
          for (const batch of batches) {
            for (const step of batch) {
              if (step.type === 'apply') apply(cluster, step.object)
              else if (step.type === 'remove') remove(cluster, step.object)
              else loadRbac(cluster, step.objects)
            }
            const anew = follow(cluster)
            expect(everything(setup, users, actions)).toEqual(everything(anew, users, actions))
            const { rights: _, unions: __, ...kept } = setup.rights.sizes
            expect(anew.rights.sizes).toMatchObject(kept)
            anew.rights.close()
          }
          setup.rights.close()
        },
      ),
      { numRuns: 60 },
    )
  })

  it('are one object for all who are granted the same, by whatever names', () => {
    const { rights } = having(
      clusterRole('view', 'list pods'),
      binding('team-a', 'one', 'ClusterRole/view', 'user ada'),
      binding('team-a', 'two', 'ClusterRole/view', 'group ops'),
      binding('team-b', 'three', 'ClusterRole/view', 'group ops', 'user ada'),
      binding('team-b', 'four', 'ClusterRole/view', 'user eve'),
    )
    const decision = rights.decisionOf(ada)
    expect(rights.decisionOf({ name: 'someone', groups: ['ops', 'unbound'] })).toBe(decision)
    expect(rights.decisionOf({ name: 'eve', groups: ['ops'] })).toBe(decision)
    expect(rights.decisionOf(eve)).not.toBe(decision)
  })

  it('are one object whoever asks first, and however the grants are spread', () => {
    const spread = [
      clusterRole('view', 'list pods'),
      ...['team-a', 'team-b', 'team-c'].map((namespace) =>
        binding(namespace, 'all', 'ClusterRole/view', 'user all', `group ${namespace}`),
      ),
      binding('team-a', 'two', 'ClusterRole/view', 'group first-two'),
      binding('team-b', 'two', 'ClusterRole/view', 'group first-two'),
    ]
    const users = [
      { name: 'all', groups: [] },
      { name: 'x', groups: ['team-a', 'team-b', 'team-c'] },
      { name: 'y', groups: ['first-two', 'team-c', 'team-a'] },
      { name: 'z', groups: ['team-c', 'first-two'] },
    ]
    for (const first of users) {
      const { rights } = having(...spread)
      const decision = rights.decisionOf(first)
      for (const user of users) expect(rights.decisionOf(user), `${first.name}, ${user.name}`).toBe(decision)
    }
  })

  it('share what is large and common: the own rest is all that each costs', () => {
    const many = Array.from({ length: 500 }, (_, i) =>
      binding(`ns-${i}`, 'many', 'ClusterRole/view', 'group many'),
    )
    const setup = having(
      clusterRole('view', 'list,watch pods'),
      clusterRole('named', 'list pods web'),
      ...many,
      binding('own', 'own', 'ClusterRole/view', 'user ada'),
      binding('ns-3', 'own', 'ClusterRole/named', 'user ada'),
      binding('own', 'named', 'ClusterRole/named', 'user bob'),
    )
    const common = Array.from({ length: 500 }, (_, i) => `ns-${i}`)
    const { scope } = setup.rights.decisionOf({ name: 'ada', groups: ['many'] }).read('Pod', 'list')
    expect(plain(scope)).toEqual({ namespaces: [...common, 'own'].sort() })
    expect(scope !== 'all' && scope?.namespaces.size).toBe(501)
    expect(listed(setup, { name: 'bob', groups: ['many'] })).toEqual({
      namespaces: common.sort(),
      objects: ['own/web'],
    })
  })

  it('keep nothing of what is gone', async () => {
    const { rights, cluster } = having(clusterRole('view', 'list pods'))
    for (let i = 0; i < 300; i++) {
      const user = { name: `u-${i}`, groups: [`g-${i % 5}`] }
      const own = binding(`team-${i}`, 'one', i % 2 ? 'ClusterRole/view' : 'Role/own', `user u-${i}`)
      const shared = binding('team-a', 'one', 'ClusterRole/view', `group g-${i % 5}`)
      apply(cluster, own, shared)
      rights.decisionOf(user).read('Pod', 'list')
      remove(cluster, own, shared)
    }
    const { rights: _, unions: __, ...kept } = rights.sizes
    expect(kept).toEqual({ bindings: 0, grants: 0, roles: 0, users: 0, groups: 0 })
    const gc = collector()
    await eventually(() => {
      gc()
      const { rights: sets = 0, unions = 0 } = rights.sizes
      expect(sets + unions).toBeLessThan(10)
    })
  })
})

function collector(): () => void {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
}

describe('a weak interner', () => {
  it('has one object for a key for as long as somebody holds it, and then forgets it', async () => {
    const interner = new WeakInterner<{ readonly made: number }>()
    let made = 0
    const get = (key: string) => interner.get(key, () => ({ made: ++made }))
    const held = get('held')
    for (let i = 0; i < 1_000; i++) get('x'.repeat(i % 400) + i)
    const gc = collector()
    await eventually(() => {
      gc()
      expect(interner.size).toBe(1)
    })
    expect(get('held')).toBe(held)
  })

  it('takes no two long keys for one', () => {
    const interner = new WeakInterner<object>()
    const long = 'x'.repeat(10_000)
    const [one, two] = [interner.get(`${long}1`, () => ({})), interner.get(`${long}2`, () => ({}))]
    expect(one).not.toBe(two)
    expect(interner.get(`${long}1`, () => ({}))).toBe(one)
  })
})
