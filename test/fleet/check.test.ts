import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { checkFleet, type ClusterReport } from '../../src/fleet/check.ts'
import { leastPrivilegedRole } from '../../src/fleet/least-privilege.ts'
import { createApiClient } from '../../src/kubernetes/api-client.ts'
import { ALL_KINDS, KINDS } from '../../src/kubernetes/kinds.ts'
import { connectionOf, parseKubeconfig } from '../../src/kubernetes/kubeconfig.ts'
import type { KubeObjectInput, ResourceKey } from '../../src/simulator/registry.ts'
import { startSimulator, type Simulator } from '../../src/simulator/simulator.ts'
import { TestSource } from './scripted-fleet.ts'

const group = 'rbac.authorization.k8s.io'

interface Rule {
  readonly apiGroups: readonly string[]
  readonly resources: readonly string[]
  readonly resourceNames?: readonly string[]
  readonly verbs: readonly string[]
}

let simulator: Simulator
beforeAll(async () => {
  simulator = await startSimulator({ name: 'prod' })
})
afterAll(() => simulator?.close())

let counter = 0

/** A user with these rules in the whole cluster, and these in single namespaces: their token. */
function userWith(
  rules: readonly Rule[],
  inNamespaces: Readonly<Record<string, readonly Rule[]>> = {},
): string {
  const name = `user-${++counter}`
  const create = (resource: string, kind: string, namespace: string, rest: object) => {
    const key: ResourceKey = { group, resource }
    const metadata = { name, ...(namespace && { namespace }) }
    const object = { apiVersion: `${group}/v1`, kind, metadata, ...rest } satisfies KubeObjectInput
    simulator.registry.create(key, object)
  }
  const given = (kind: string) => ({
    roleRef: { apiGroup: group, kind, name },
    subjects: [{ apiGroup: group, kind: 'User', name }],
  })
  create('clusterroles', 'ClusterRole', '', { rules })
  create('clusterrolebindings', 'ClusterRoleBinding', '', given('ClusterRole'))
  for (const [namespace, own] of Object.entries(inNamespaces)) {
    create('roles', 'Role', namespace, { rules: own })
    create('rolebindings', 'RoleBinding', namespace, given('Role'))
  }
  simulator.addUser(name, { username: name, groups: [] })
  return name
}

async function check(token: string): Promise<ClusterReport> {
  const source = new TestSource()
  const report = checkFleet(source, new AbortController().signal)
  const kubeconfig = parseKubeconfig(JSON.stringify(simulator.kubeconfig({ token })), 'kubeconfig')
  const connect = () => createApiClient(connectionOf(kubeconfig, 'prod'))
  source.say([{ name: 'prod', labels: {}, source: 'test', fingerprint: 'one', connect }], [])
  return (await report).clusters[0]!
}

/** In a line each: `verbs resource.group (purpose)`. */
function inWords(
  rights: readonly {
    readonly verbs: readonly string[]
    readonly group: string
    readonly resource: string
    readonly subresource: string
  }[],
): string[] {
  return rights.map(({ verbs, group, resource, subresource }) => {
    const full = subresource === '' ? resource : `${resource}/${subresource}`
    return `${verbs.join()} ${full}${group && `.${group}`}`
  })
}

const role = leastPrivilegedRole()
const anything: Rule = { apiGroups: ['*'], resources: ['*'], verbs: ['*'] }

describe('the role of the gateway', () => {
  it('reads every kind, finds out about users, impersonates them, and does nothing else', () => {
    const readable = role.rules
      .filter(({ verbs }) => verbs.join() === 'get,list,watch')
      .flatMap(({ apiGroups, resources }) => resources.map((resource) => `${resource}.${apiGroups.join()}`))
    expect(readable.sort()).toEqual(
      ALL_KINDS.map((kind) => `${KINDS[kind].resource}.${KINDS[kind].group}`).sort(),
    )
    const verbs = new Set(role.rules.flatMap((rule) => rule.verbs))
    expect([...verbs].sort()).toEqual(['create', 'get', 'impersonate', 'list', 'watch'])
    expect(role.rules.flatMap(({ resources }) => resources)).not.toContain('secrets')
    expect(role).toMatchObject({ kind: 'ClusterRole', metadata: { name: 'fleetgraph' } })
  })

  it('leaves nothing missing, and is nothing too much', async () => {
    const report = await check(userWith(role.rules))
    expect(report).toMatchObject({ error: null, notServed: [], forbidden: [], missing: [], excess: [] })
  })
})

describe('missing rights', () => {
  it('are said verb by verb, with what they are needed for', async () => {
    const rules = role.rules.filter(({ verbs }) => !verbs.includes('impersonate'))
    const pods = rules.map((rule) => ({
      ...rule,
      verbs: rule.resources.includes('pods') ? ['get', 'list'] : rule.verbs,
    }))
    const { missing, forbidden } = await check(userWith(pods))
    expect(inWords(missing)).toEqual(
      expect.arrayContaining([
        'watch pods',
        'watch nodes',
        'impersonate users',
        'impersonate groups',
        'impersonate serviceaccounts',
        'impersonate uids.authentication.k8s.io',
        'impersonate userextras/*.authentication.k8s.io',
      ]),
    )
    expect(missing.find(({ resource }) => resource === 'pods')?.purpose).toBe('TABLES')
    expect(missing.find(({ resource }) => resource === 'users')?.purpose).toBe('IMPERSONATION')
    expect(forbidden).toContainEqual({ kind: 'Pod', verbs: ['watch'] })
    expect(forbidden).not.toContainEqual(expect.objectContaining({ kind: 'Deployment' }))
  })

  it('are all of them for somebody who has none', async () => {
    const { missing, excess, forbidden } = await check(userWith([]))
    expect(missing).toHaveLength(ALL_KINDS.length + 7)
    expect(new Set(missing.map(({ purpose }) => purpose))).toEqual(
      new Set(['TABLES', 'TOKEN_REVIEW', 'ACCESS_REVIEW', 'IMPERSONATION']),
    )
    expect(forbidden.map(({ kind }) => kind)).toEqual(ALL_KINDS)
    expect(excess).toEqual([])
  })

  it('are told apart from those that were given for single names', async () => {
    const groups = { apiGroups: [''], resources: ['groups'], resourceNames: ['team'], verbs: ['impersonate'] }
    const { missing } = await check(userWith([groups]))
    const said = (resource: string) => missing.find((right) => right.resource === resource)?.forSomeNames
    expect(said('groups')).toBe(true)
    expect(said('users')).toBe(false)
  })

  it('in a single namespace are missing in the cluster', async () => {
    const { missing, forbidden } = await check(userWith([], { default: role.rules }))
    expect(inWords(missing)).toContain('get,list,watch pods')
    expect(forbidden).toHaveLength(ALL_KINDS.length)
  })
})

describe('too many rights', () => {
  it('are said once where they are all that there is', async () => {
    for (const token of [simulator.token, userWith([anything])]) {
      const { missing, excess } = await check(token)
      expect(missing).toEqual([])
      expect(excess).toMatchObject([{ danger: 'EVERYTHING', namespaces: null }])
    }
  })

  it('are writing, Secrets, commands in containers, and giving rights', async () => {
    const { missing, excess } = await check(
      userWith([
        ...role.rules,
        { apiGroups: ['apps'], resources: ['*'], verbs: ['patch'] },
        { apiGroups: [''], resources: ['secrets'], verbs: ['list'] },
        { apiGroups: [''], resources: ['pods/exec'], verbs: ['create'] },
        { apiGroups: [group], resources: ['clusterrolebindings'], verbs: ['create'] },
        { apiGroups: [group], resources: ['clusterroles'], verbs: ['escalate'] },
        // These do no harm.
        { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['*'] },
        { apiGroups: ['metrics.k8s.io'], resources: ['*'], verbs: ['get', 'list'] },
      ]),
    )
    expect(missing).toEqual([])
    expect(excess.every(({ namespaces, forSomeNames }) => namespaces === null && !forSomeNames)).toBe(true)
    expect(excess.map((right) => `${right.danger}: ${inWords([right])[0]}`)).toEqual([
      `RIGHTS: escalate clusterroles.${group}`,
      `RIGHTS: create clusterrolebindings.${group}`,
      'SECRETS: list secrets',
      'EXEC: create pods/exec',
      'WRITE: patch deployments.apps',
      'WRITE: patch statefulsets.apps',
      'WRITE: patch daemonsets.apps',
      'WRITE: patch replicasets.apps',
    ])
  })

  it('in one namespace, or for single names, are said as what they are', async () => {
    const secrets = { apiGroups: [''], resources: ['secrets'], verbs: ['get'] }
    const { excess } = await check(
      userWith([...role.rules, { ...secrets, resourceNames: ['one'] }], {
        'kube-system': [secrets, { apiGroups: [''], resources: ['pods'], verbs: ['delete'] }],
      }),
    )
    expect(excess).toMatchObject([
      { danger: 'SECRETS', verbs: ['get'], namespaces: ['default', 'kube-system'], forSomeNames: true },
      { danger: 'SECRETS', verbs: ['get'], namespaces: ['kube-system'], forSomeNames: false },
      { danger: 'WRITE', verbs: ['delete'], resource: 'pods', namespaces: ['kube-system'] },
    ])
  })

  it('are found one by one where the server does not tell the rules', async () => {
    const rules = [...role.rules, { apiGroups: [''], resources: ['secrets'], verbs: ['get', 'watch'] }]
    const token = userWith(rules)
    const basic = simulator.registry.get({ group, resource: 'clusterroles' }, '', 'system:basic-user')!
    const withoutRules = {
      ...basic,
      rules: [
        { apiGroups: ['authorization.k8s.io'], resources: ['selfsubjectaccessreviews'], verbs: ['create'] },
      ],
    }
    simulator.registry.update({ group, resource: 'clusterroles' }, withoutRules)
    try {
      const { error, missing, excess } = await check(token)
      expect(error).toBeNull()
      expect(missing).toEqual([])
      expect(excess).toMatchObject([{ danger: 'SECRETS', verbs: ['get', 'watch'], namespaces: null }])
    } finally {
      const { rules } = basic
      const now = simulator.registry.get({ group, resource: 'clusterroles' }, '', 'system:basic-user')!
      simulator.registry.update({ group, resource: 'clusterroles' }, { ...now, rules })
    }
  })
})

describe('a cluster that cannot be used', () => {
  it('says why, and nothing of rights', async () => {
    const report = await check('nobody')
    expect(report).toMatchObject({ version: null, missing: [], excess: [], forbidden: [] })
    expect(report.error).toMatch(/Unauthorized/)
  })
})
