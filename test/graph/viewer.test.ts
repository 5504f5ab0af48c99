import { describe, expect, it } from 'vitest'
import type { Verdict } from '../../src/access/policy.ts'
import { AuthorizedFleet } from '../../src/access/authorized-fleet.ts'
import { viewerOf } from '../../src/access/viewer.ts'
import { createContext } from '../../src/graph/context.ts'
import { createSchema } from '../../src/graph/schema.ts'
import { Executor } from '../../src/server/execution.ts'
import { silent } from '../../src/server/logger.ts'
import { FakeCluster, FakeFleet } from '../support/fake-fleet.ts'
import { decided, ScopedPolicy } from '../support/scoped-policy.ts'
import { shopFleet } from '../support/shop.ts'
import { ask, data } from './ask.ts'

const yes: Verdict = { allowed: true, reason: null }
const no: Verdict = { allowed: false, reason: 'No role allows it.' }
const all = () => 'all' as const

describe('the viewer', () => {
  it('is told who they are, whoever they are, and no answer with it is kept', async () => {
    const viewer = viewerOf(
      {
        name: 'alice',
        groups: ['dev', 'system:authenticated'],
        uid: '7',
        extra: { b: ['2'], a: ['1', '0'] },
      },
      { method: 'OIDC', issuer: 'https://id.example.com', expiresAt: 1_760_000_000_000 },
    )
    const { fleet } = shopFleet()
    const view = new AuthorizedFleet(fleet, viewer, new ScopedPolicy(all))
    const executor = new Executor({ schema: createSchema(), logger: silent, rightsKey: () => '' })
    const query = '{ viewer { name groups uid extra { key values } method issuer expiresAt } }'
    const context = () => createContext(view)
    const { data: answer } = await executor.execute({ query }, { viewer, context, sharedContext: context })
    expect(answer).toEqual({
      viewer: {
        name: 'alice',
        groups: ['dev', 'system:authenticated'],
        uid: '7',
        extra: [
          { key: 'a', values: ['1', '0'] },
          { key: 'b', values: ['2'] },
        ],
        method: 'OIDC',
        issuer: 'https://id.example.com',
        expiresAt: '2025-10-09T08:53:20.000Z',
      },
    })
    expect(view.reads.unchanged()).toBe(false)
  })

  it('finds their namespaces, and what they may list of each kind', async () => {
    const { fleet } = shopFleet()
    const shop = {
      namespaces: new Set(['shop', 'pay']),
      objects: new Set(['ops/one']),
      names: new Set(['app']),
    }
    const policy = new ScopedPolicy((cluster, kind) => {
      if (cluster !== 'prod-eu') return undefined
      if (kind === 'Node') return 'all'
      return kind === 'Pod' ? shop : undefined
    })
    const { data: answer } = await ask(
      fleet,
      '{ eu: cluster(name: "prod-eu") { viewerNamespaces viewerScopes(kinds: [Pod, Node, Service, Pod]) { kind state namespaces objects names reason } } us: cluster(name: "prod-us") { viewerNamespaces } }',
      {},
      policy,
    )
    expect(answer.eu.viewerNamespaces).toEqual(['ops', 'pay', 'shop'])
    expect(answer.us.viewerNamespaces).toEqual([])
    const none = { objects: [], names: [], reason: null }
    expect(answer.eu.viewerScopes).toEqual([
      {
        kind: 'Pod',
        state: 'SOME',
        namespaces: ['pay', 'shop'],
        objects: ['ops/one'],
        names: ['app'],
        reason: null,
      },
      { kind: 'Node', state: 'ALL', namespaces: null, ...none },
      { kind: 'Service', state: 'NONE', namespaces: [], ...none },
    ])
    const everywhere = await data(fleet, '{ cluster(name: "prod-eu") { viewerNamespaces } }')
    expect(everywhere.cluster.viewerNamespaces).toBeNull()
  })

  it('is told where their rights are not known yet, or cannot be', async () => {
    const { fleet } = shopFleet()
    const policy = new ScopedPolicy(all)
    policy.rights = (cluster) =>
      cluster === 'prod-eu'
        ? { scope: undefined, state: 'PENDING', reason: null, settled: Promise.resolve() }
        : cluster === 'prod-us'
          ? { scope: undefined, state: 'UNKNOWN', reason: 'It does not answer.', settled: null }
          : decided('all')
    const { data: answer } = await ask(
      fleet,
      '{ pods { coverage { cluster state reason } } clusters { nodes { name viewerScopes(kinds: [Pod]) { state reason } } } }',
      {},
      policy,
    )
    expect(answer.pods.coverage).toContainEqual({
      cluster: 'prod-eu',
      state: 'SYNCING',
      reason: 'What you may see here is being found out.',
    })
    expect(answer.pods.coverage).toContainEqual({
      cluster: 'prod-us',
      state: 'UNREACHABLE',
      reason: 'It does not answer.',
    })
    expect(answer.clusters.nodes).toContainEqual({
      name: 'prod-us',
      viewerScopes: [{ state: 'UNKNOWN', reason: 'It does not answer.' }],
    })
  })
})

describe('canI', () => {
  it('tells whether the viewer may do something, and why not', async () => {
    const { fleet } = shopFleet()
    const policy = new ScopedPolicy(all)
    policy.allows = ({ verb }) =>
      verb === 'get' ? yes : verb === 'list' ? { allowed: null, reason: 'Down.' } : no
    const { data: answer } = await ask(
      fleet,
      '{ get: canI(cluster: "prod-eu", verb: "get", resource: "pods", subresource: "log", namespace: "shop", name: "web") { allowed reason } delete: canI(cluster: "prod-eu", verb: "delete", group: "apps", resource: "deployments") { allowed reason } list: canI(cluster: "prod-eu", verb: "list", resource: "pods") { allowed reason } }',
      {},
      policy,
    )
    expect(answer).toEqual({ get: yes, delete: no, list: { allowed: null, reason: 'Down.' } })
    expect(policy.asked).toEqual([
      { verb: 'get', group: '', resource: 'pods', subresource: 'log', namespace: 'shop', name: 'web' },
      { verb: 'delete', group: 'apps', resource: 'deployments' },
      { verb: 'list', group: '', resource: 'pods' },
    ])
  })

  it('refuses a cluster that is not there, and what is no verb or resource', async () => {
    const { fleet } = shopFleet()
    const errorOf = async (args: string) =>
      (await ask(fleet, `{ canI(${args}) { allowed } }`)).errors[0]?.extensions?.['argument']
    expect(await errorOf('cluster: "x", verb: "get", resource: "pods"')).toBe('cluster')
    expect(await errorOf('cluster: "prod-eu", verb: "", resource: "pods"')).toBe('verb')
    expect(await errorOf('cluster: "prod-eu", verb: "get", resource: ""')).toBe('resource')
    expect(await errorOf(`cluster: "prod-eu", verb: "get", resource: "${'x'.repeat(254)}"`)).toBe('resource')
  })
})

describe('viewerCan', () => {
  const BUTTONS = 'get edit delete scale restart logs exec evict cordon drain'

  it('names what is done in the terms of RBAC for each kind', async () => {
    const { fleet } = shopFleet()
    const policy = new ScopedPolicy(all)
    const done = async (query: string) => {
      policy.asked.length = 0
      await data(fleet, query, {}, policy)
      return policy.asked.map(({ verb, resource, subresource, namespace, name }) =>
        [verb, subresource ? `${resource}/${subresource}` : resource, namespace ?? '*', name ?? '*'].join(
          ' ',
        ),
      )
    }
    policy.allows = () => no
    const pods = await done(
      `{ pods(filter: { clusters: ["prod-eu"], name: { equals: "db-0" } }) { nodes { viewerCan { ${BUTTONS} } } } }`,
    )
    expect(pods.filter((action) => action.endsWith('db-0'))).toEqual([
      'get pods shop db-0',
      'patch pods shop db-0',
      'delete pods shop db-0',
      'get pods/log shop db-0',
      'create pods/exec shop db-0',
      'create pods/eviction shop db-0',
    ])
    const deployments = await done(
      `{ deployments(filter: { clusters: ["prod-eu"], name: { equals: "web" } }) { nodes { viewerCan { ${BUTTONS} } } } }`,
    )
    expect(deployments.filter((action) => action.endsWith('web'))).toEqual([
      'get deployments shop web',
      'patch deployments shop web',
      'delete deployments shop web',
      'patch deployments/scale shop web',
    ])
    expect(deployments).toContain('get pods/log shop *')
    const namespaces = await done(
      `{ namespaces(filter: { clusters: ["prod-eu"], name: { equals: "shop" } }) { nodes { viewerCan { ${BUTTONS} } } } }`,
    )
    expect(namespaces).toEqual([
      'get namespaces * *',
      'get namespaces shop shop',
      'patch namespaces * *',
      'patch namespaces shop shop',
      'delete namespaces * *',
      'delete namespaces shop shop',
    ])
    const nodes = await done(
      `{ nodes(first: 1, filter: { clusters: ["prod-eu"] }) { nodes { name viewerCan { cordon drain } } } }`,
    )
    expect(nodes).toEqual(['patch nodes * *', 'patch nodes * node-a', 'create pods/eviction * *'])
  })

  it('is false for what a kind cannot, and null for what cannot be found out', async () => {
    const { fleet } = shopFleet()
    const policy = new ScopedPolicy(all)
    policy.allows = ({ verb }) => ({ allowed: verb === 'delete' ? null : true, reason: null })
    const { services, nodes } = await data(
      fleet,
      `{ services(first: 1) { nodes { viewerCan { ${BUTTONS} } } } nodes(first: 1) { nodes { viewerCan { cordon drain exec } } } }`,
      {},
      policy,
    )
    expect(services.nodes[0].viewerCan).toEqual({
      get: true,
      edit: true,
      delete: null,
      scale: false,
      restart: false,
      logs: false,
      exec: false,
      evict: false,
      cordon: false,
      drain: false,
    })
    expect(nodes.nodes[0].viewerCan).toEqual({ cordon: true, drain: true, exec: false })
  })

  it('finds a right to one name where there is none to the namespace', async () => {
    const { fleet } = shopFleet()
    const policy = new ScopedPolicy(all)
    policy.allows = ({ name }) => (name === 'db-0' ? yes : no)
    const { pods } = await data(
      fleet,
      '{ pods(filter: { clusters: ["prod-eu"], namespaces: ["shop"] }) { nodes { name viewerCan { delete } } } }',
      {},
      policy,
    )
    const allowed = pods.nodes.filter((pod: { viewerCan: { delete: boolean } }) => pod.viewerCan.delete)
    expect(allowed.map(({ name }: { name: string }) => name)).toEqual(['db-0'])
  })

  describe('of a page of five hundred', () => {
    const page = '{ pods(first: 500) { nodes { name viewerCan { delete exec } } } }'

    function manyPods(): FakeFleet {
      const pods = Array.from({ length: 500 }, (_, i) => ({
        metadata: { namespace: `team-${i % 5}`, name: `p-${i}`, uid: `u-${i}`, resourceVersion: '1' },
        spec: { containers: [] },
        status: { phase: 'Running' },
      }))
      return new FakeFleet(new FakeCluster('prod').load('Pod', pods))
    }

    it('asks a cluster once for each namespace and action, also where the answer is no', async () => {
      const policy = new ScopedPolicy(all)
      policy.allows = async ({ verb, namespace }) => (verb === 'delete' && namespace === 'team-1' ? yes : no)
      const { pods } = await data(manyPods(), page, {}, policy)
      expect(policy.asked).toHaveLength(10)
      expect(pods.nodes).toHaveLength(500)
      const deletable = pods.nodes.filter((pod: { viewerCan: { delete: boolean } }) => pod.viewerCan.delete)
      expect(deletable).toHaveLength(100)
    })

    it('does not ask by name beyond the first where the answer for the namespace was still known', async () => {
      const policy = new ScopedPolicy(all)
      policy.allows = ({ name }) => (name === undefined ? no : Promise.resolve(no))
      const { pods } = await data(manyPods(), page, {}, policy)
      expect(policy.asked).toHaveLength(20)
      expect(pods.nodes[0].viewerCan).toEqual({ delete: false, exec: false })
    })

    it('is answered at once where rights are known here', () => {
      const fleet = manyPods()
      const viewer = viewerOf({ name: 'alice', groups: [] })
      const policy = new ScopedPolicy(all)
      policy.allows = ({ name }) => (name === undefined ? no : yes)
      const executor = new Executor({ schema: createSchema(), logger: silent, rightsKey: () => '' })
      const context = () => createContext(new AuthorizedFleet(fleet, viewer, policy))
      const result = executor.execute({ query: page }, { viewer, context, sharedContext: context })
      expect(result).not.toBeInstanceOf(Promise)
      expect(policy.asked).toHaveLength(1_010)
    })
  })

  it('asks by name where few objects are asked about', async () => {
    const { fleet } = shopFleet()
    const policy = new ScopedPolicy(all)
    policy.allows = async ({ name }) => (name === 'db-0' ? yes : no)
    const { pods } = await data(
      fleet,
      '{ pods(filter: { clusters: ["prod-eu"], name: { prefix: "db-" } }) { nodes { name viewerCan { delete } } } }',
      {},
      policy,
    )
    expect(pods.nodes).toContainEqual({ name: 'db-0', viewerCan: { delete: true } })
  })
})
