import { describe, expect, it } from 'vitest'
import { ALL_KINDS } from '../../src/kubernetes/kinds.ts'
import { project } from '../../src/kubernetes/projections/projections.ts'
import { shopFleet } from '../support/shop.ts'
import { data } from './ask.ts'

const names = (list: readonly { name: string }[]) => list.map(({ name }) => name)

/** One object of the shop, by name. */
async function one(field: string, name: string, selection: string) {
  const document = `{ ${field}(filter: { clusters: ["prod-eu"], name: { equals: "${name}" } }) { nodes { ${selection} } } }`
  const answer = await data(shopFleet().fleet, document)
  return answer[field].nodes[0]
}

describe('a pod', () => {
  it('leads to its node, its owners up to the Deployment, and its Services', async () => {
    const pod = await one(
      'pods',
      'web-2-a',
      `namespace nodeName node { name roles } workload { __typename name } owner { kind name uid object { __typename name } }
       ownerChain { kind name } services { name } namespaceObject { label(key: "team") } cluster { name }`,
    )
    expect(pod).toEqual({
      namespace: 'shop',
      nodeName: 'node-a',
      node: { name: 'node-a', roles: ['control-plane'] },
      workload: { __typename: 'Deployment', name: 'web' },
      owner: {
        kind: 'ReplicaSet',
        name: 'web-2',
        uid: 'replicaset-web-2-uid',
        object: { __typename: 'ReplicaSet', name: 'web-2' },
      },
      ownerChain: [
        { kind: 'ReplicaSet', name: 'web-2' },
        { kind: 'Deployment', name: 'web' },
      ],
      services: [{ name: 'web' }],
      namespaceObject: { label: 'shop' },
      cluster: { name: 'prod-eu' },
    })
  })

  it('without node, owner or address says null', async () => {
    const pending = await one('pods', 'web-2-c', 'nodeName node { name } podIP startTime')
    expect(pending).toEqual({ nodeName: null, node: null, podIP: null, startTime: null })
    const stray = await one('pods', 'stray', 'owner { name } ownerChain { name } workload { name }')
    expect(stray).toEqual({ owner: null, ownerChain: [], workload: null })
  })

  it('of a CronJob belongs to the CronJob in the end', async () => {
    const pod = await one('pods', 'backup-1-x', 'workload { kind name } ownerChain { kind }')
    expect(pod).toEqual({
      workload: { kind: 'CronJob', name: 'backup' },
      ownerChain: [{ kind: 'Job' }, { kind: 'CronJob' }],
    })
  })

  it('shows its containers: image, state, restarts, requests and limits', async () => {
    const pod = await one(
      'pods',
      'web-2-b',
      `status phase ready restarts cpuRequest memoryRequest
       containers { name image type state reason ready restarts lastReason lastExitCode lastFinishedAt
         ports { name containerPort protocol } requests { cpu { text value } get(name: "memory") { value } } limits { cpu { text } memory { text value } all { name } } }`,
    )
    expect(pod).toMatchObject({
      status: 'CrashLoopBackOff',
      phase: 'Running',
      ready: false,
      restarts: 7,
      cpuRequest: 0.25,
      memoryRequest: 268_435_456,
    })
    expect(pod.containers).toEqual([
      {
        name: 'main',
        image: 'registry.example.com/web:2',
        type: 'MAIN',
        state: 'WAITING',
        reason: 'CrashLoopBackOff',
        ready: false,
        restarts: 7,
        lastReason: 'OOMKilled',
        lastExitCode: 137,
        lastFinishedAt: '2026-11-03T00:00:00.000Z',
        ports: [{ name: 'http', containerPort: 8080, protocol: 'TCP' }],
        requests: { cpu: { text: '250m', value: 0.25 }, get: { value: 268_435_456 } },
        limits: { cpu: null, memory: { text: '512Mi', value: 536_870_912 }, all: [{ name: 'memory' }] },
      },
    ])
  })

  it('shows its volumes with what they come from, and of a Secret only the name', async () => {
    const pod = await one(
      'pods',
      'db-0',
      'volumes { name type source configMap { keys } persistentVolumeClaim { name volume { name } } } persistentVolumeClaims { name }',
    )
    expect(pod.volumes).toEqual([
      {
        name: 'data',
        type: 'persistentVolumeClaim',
        source: 'data-db-0',
        configMap: null,
        persistentVolumeClaim: { name: 'data-db-0', volume: { name: 'pv-0' } },
      },
      {
        name: 'settings',
        type: 'configMap',
        source: 'settings',
        configMap: { keys: ['a.conf', 'b.conf'] },
        persistentVolumeClaim: null,
      },
      {
        name: 'password',
        type: 'secret',
        source: 'db-password',
        configMap: null,
        persistentVolumeClaim: null,
      },
      { name: 'scratch', type: 'emptyDir', source: null, configMap: null, persistentVolumeClaim: null },
    ])
    expect(names(pod.persistentVolumeClaims)).toEqual(['data-db-0'])
  })

  it('has the events about it, newest first', async () => {
    const pod = await one(
      'pods',
      'web-2-b',
      'events { totalCount nodes { name reason count regarding { __typename name } } }',
    )
    expect(pod.events.totalCount).toBe(2)
    expect(pod.events.nodes[0]).toEqual({
      name: 'back-off',
      reason: 'BackOff',
      count: 12,
      regarding: { __typename: 'Pod', name: 'web-2-b' },
    })
  })

  it('shows its labels in order, and one of them by its key', async () => {
    const pod = await one(
      'pods',
      'web-2-a',
      'labels { key value } label(key: "app") none: label(key: "constructor")',
    )
    expect(pod).toEqual({
      labels: [
        { key: 'app', value: 'web' },
        { key: 'pod-template-hash', value: '2' },
      ],
      label: 'web',
      none: null,
    })
  })
})

describe('a workload', () => {
  it('controls the pods of all its revisions, and not the ones that only look like it', async () => {
    const web = await one(
      'deployments',
      'web',
      `pods { totalCount nodes { name } coverage { cluster } } replicaSets { name revision pods { totalCount } deployment { name } }`,
    )
    expect(names(web.pods.nodes)).toEqual(['web-1-a', 'web-2-a', 'web-2-b', 'web-2-c'])
    expect(web.pods.coverage).toEqual([{ cluster: 'prod-eu' }])
    expect(web.replicaSets).toEqual([
      { name: 'web-2', revision: 2, pods: { totalCount: 3 }, deployment: { name: 'web' } },
      { name: 'web-1', revision: 1, pods: { totalCount: 1 }, deployment: { name: 'web' } },
    ])
  })

  it('without pods has none', async () => {
    const idle = await one(
      'deployments',
      'idle',
      'pods { totalCount nodes { name } } replicaSets { name } services { name }',
    )
    expect(idle).toEqual({ pods: { totalCount: 0, nodes: [] }, replicaSets: [], services: [] })
  })

  it('lets its pods be filtered further', async () => {
    const web = await one('deployments', 'web', 'pods(filter: { node: "node-a" }) { nodes { name } }')
    expect(names(web.pods.nodes)).toEqual(['web-1-a', 'web-2-a'])
  })

  it('knows its Services, its autoscaler and how its rollout stands', async () => {
    const web = await one(
      'deployments',
      'web',
      `revision strategy maxSurge maxUnavailable selector desired ready services { name } horizontalPodAutoscaler { name maxReplicas target { kind name } }
       rollout { status desired updated ready available } conditions { type status reason } containers { image requests { cpu { text } } }`,
    )
    expect(web).toMatchObject({
      revision: 2,
      strategy: 'RollingUpdate',
      maxSurge: '25%',
      maxUnavailable: '1',
      selector: 'app=web',
      desired: 3,
      ready: 2,
      services: [{ name: 'web' }],
      horizontalPodAutoscaler: { name: 'web', maxReplicas: 3, target: { kind: 'Deployment', name: 'web' } },
      rollout: { status: 'PROGRESSING', desired: 3, updated: 3, ready: 2, available: 2 },
      conditions: [{ type: 'Progressing', status: 'True', reason: 'ReplicaSetUpdated' }],
      containers: [{ image: 'registry.example.com/web:2', requests: { cpu: { text: '250m' } } }],
    })
  })

  it('that is a CronJob has its Jobs, newest first, and their pods', async () => {
    const backup = await one(
      'cronJobs',
      'backup',
      'jobs { name pods { nodes { name } } } pods { nodes { name } } selector',
    )
    expect(names(backup.jobs)).toEqual(['backup-2', 'backup-1'])
    expect(names(backup.jobs[0].pods.nodes)).toEqual(['backup-2-x'])
    expect(names(backup.pods.nodes)).toEqual(['backup-1-x', 'backup-2-x'])
    expect(backup.selector).toBeNull()
  })

  it('that is a StatefulSet has its Service and the claims of its replicas', async () => {
    const db = await one(
      'statefulSets',
      'db',
      'service { name } persistentVolumeClaims { name } pods { nodes { name } }',
    )
    expect(db).toEqual({
      service: { name: 'db' },
      persistentVolumeClaims: [{ name: 'data-db-0' }],
      pods: { nodes: [{ name: 'db-0' }] },
    })
  })

  it('that is a StatefulSet of any number of replicas has the claims that there are, by number', async () => {
    const { fleet, eu } = shopFleet()
    const claim = (name: string) =>
      project('PersistentVolumeClaim')(
        { metadata: { name, namespace: 'shop', uid: `${name}-uid` }, spec: {}, status: {} },
        'prod-eu',
      )
    const names = ['data-db-10', 'data-db-2', 'data-db-x', 'data-db-30000', 'data-db-2000000000']
    const row = {
      ...eu.table('StatefulSet').get('shop', 'db')!,
      desired: 2_000_000_000,
      resourceVersion: '11',
    }
    eu.apply('StatefulSet', { type: 'Apply', row })
    for (const name of names) eu.apply('PersistentVolumeClaim', { type: 'Apply', row: claim(name) })
    const { statefulSets } = await data(
      fleet,
      '{ statefulSets { nodes { persistentVolumeClaims { name } } } }',
    )
    expect(statefulSets.nodes[0].persistentVolumeClaims).toEqual(
      ['data-db-0', 'data-db-2', 'data-db-10', 'data-db-30000'].map((name) => ({ name })),
    )
  })

  it('is found as what it is through the interface', async () => {
    const { workloads } = await data(
      shopFleet().fleet,
      '{ workloads(filter: { kinds: [DaemonSet, CronJob] }) { nodes { __typename name ... on CronJob { schedule } ... on DaemonSet { misscheduled } } } }',
    )
    expect(workloads.nodes).toEqual([
      { __typename: 'DaemonSet', name: 'agent', misscheduled: 0 },
      { __typename: 'CronJob', name: 'backup', schedule: '0 3 * * *' },
    ])
  })
})

describe('a node', () => {
  it('has its pods and what they set aside, without those that ended', async () => {
    const node = await one(
      'nodes',
      'node-a',
      'pods { totalCount nodes { name } } requested { cpu memory pods } allocatable { cpu { value } pods { value } } capacity { memory { text } } kubeletVersion ready',
    )
    expect(node.pods.totalCount).toBe(6)
    expect(node.requested).toEqual({ cpu: 1, memory: 4 * 268_435_456, pods: 4 })
    expect(node).toMatchObject({
      allocatable: { cpu: { value: 3.8 }, pods: { value: 110 } },
      capacity: { memory: { text: '16Gi' } },
      kubeletVersion: 'v1.34.1',
      ready: 'True',
    })
  })

  it('has the events that its kubelet reported under its name', async () => {
    const node = await one(
      'nodes',
      'node-b',
      'namespace unschedulable taints { key effect } events { nodes { name regarding { name } } }',
    )
    expect(node).toEqual({
      namespace: null,
      unschedulable: true,
      taints: [{ key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' }],
      events: { nodes: [{ name: 'not-ready', regarding: { name: 'node-b' } }] },
    })
  })
})

describe('a namespace', () => {
  it('has all that is in it, and only that', async () => {
    const shop = await one(
      'namespaces',
      'shop',
      `pods(first: 1) { totalCount } workloads(filter: { topLevel: true }) { nodes { name } } services { totalCount } resourceQuotas { nodes { name hard { get(name: "pods") { value } } } }
       configMaps { totalCount } daemonSets { totalCount } summary { pods { count byPhase { name count } } }`,
    )
    expect(shop).toMatchObject({
      pods: { totalCount: 8 },
      workloads: { nodes: [{ name: 'backup' }, { name: 'db' }, { name: 'idle' }, { name: 'web' }] },
      services: { totalCount: 4 },
      resourceQuotas: { nodes: [{ name: 'limits', hard: { get: { value: 10 } } }] },
      configMaps: { totalCount: 1 },
      daemonSets: { totalCount: 0 },
      summary: {
        pods: {
          count: 8,
          byPhase: [
            { name: 'Running', count: 5 },
            { name: 'Succeeded', count: 2 },
            { name: 'Pending', count: 1 },
          ],
        },
      },
    })
  })
})

describe('storage', () => {
  it('leads from the claim to the volume, the class and the pods, and back', async () => {
    const claim = await one(
      'persistentVolumeClaims',
      'data-db-0',
      'phase requested { text value } volume { name claim { name } pods { nodes { name } } storageClass { provisioner } } pods { nodes { name } } storageClass { name }',
    )
    expect(claim).toEqual({
      phase: 'Bound',
      requested: { text: '10Gi', value: 10 * 2 ** 30 },
      volume: {
        name: 'pv-0',
        claim: { name: 'data-db-0' },
        pods: { nodes: [{ name: 'db-0' }] },
        storageClass: { provisioner: 'csi.example.com' },
      },
      pods: { nodes: [{ name: 'db-0' }] },
      storageClass: { name: 'fast' },
    })
  })
})

describe('a service', () => {
  it('leads to its pods, their workloads, its endpoints and its Ingresses', async () => {
    const web = await one(
      'services',
      'web',
      `pods { nodes { name } } workloads { kind name } ingresses { name paths { host path service { name } } }
       endpointSlices { name endpoints { addresses ready pod { name } } service { name } ports { port } } selector { key value } dnsName`,
    )
    expect(names(web.pods.nodes)).toEqual(['stray', 'web-1-a', 'web-2-a', 'web-2-b', 'web-2-c'])
    expect(web).toMatchObject({
      workloads: [{ kind: 'Deployment', name: 'web' }],
      ingresses: [
        {
          name: 'web',
          paths: [
            { host: 'shop.example.com', path: '/', service: { name: 'web' } },
            { host: '*.example.org', path: '/any', service: { name: 'web' } },
          ],
        },
      ],
      endpointSlices: [
        {
          name: 'web-abc',
          endpoints: [
            { addresses: ['10.1.0.1'], ready: true, pod: { name: 'web-2-a' } },
            { addresses: ['192.0.2.1'], ready: false, pod: null },
          ],
          service: { name: 'web' },
          ports: [{ port: 8080 }],
        },
      ],
      selector: [{ key: 'app', value: 'web' }],
      dnsName: 'web.shop.svc',
    })
  })

  it('without a selector has no pods and no workloads', async () => {
    const legacy = await one(
      'services',
      'legacy',
      'clusterIP selector { key } pods { totalCount } workloads { name }',
    )
    expect(legacy).toEqual({ clusterIP: null, selector: null, pods: { totalCount: 0 }, workloads: [] })
  })

  it('has links through its Ingress and its load balancer, https where that is said, IPv6 in brackets', async () => {
    const web = await one('services', 'web', 'links { kind url port { name } ingress { name } }')
    expect(web.links).toEqual([
      { kind: 'INGRESS', url: 'https://shop.example.com/', port: { name: 'http' }, ingress: { name: 'web' } },
      ...['[2001:db8::7]', 'lb.example.com'].flatMap((host) => [
        { kind: 'LOAD_BALANCER', url: `http://${host}:80`, port: { name: 'http' }, ingress: null },
        { kind: 'LOAD_BALANCER', url: `https://${host}:443`, port: { name: 'secure' }, ingress: null },
        { kind: 'LOAD_BALANCER', url: `https://${host}:9000`, port: { name: 'api' }, ingress: null },
      ]),
    ])
  })

  it('has links through ready nodes, external IPs and its external name', async () => {
    const admin = await one('services', 'admin', 'links { kind url }')
    expect(admin.links).toEqual([
      { kind: 'EXTERNAL_IP', url: 'http://198.51.100.9:8080' },
      { kind: 'NODE_PORT', url: 'http://203.0.113.1:30090' },
    ])
    const legacy = await one('services', 'legacy', 'links { kind url port { port } }')
    expect(legacy.links).toEqual([{ kind: 'EXTERNAL_NAME', url: 'http://legacy.example.com', port: null }])
    expect((await one('services', 'db', 'links { url }')).links).toEqual([])
  })
})

describe('node(id:)', () => {
  const query = 'query ($id: ID!) { node(id: $id) { __typename id ... on KubernetesObject { name } } }'

  it('finds every kind of object again, and clusters', async () => {
    const { fleet, eu } = shopFleet()
    const fields = [
      'nodes namespaces pods deployments replicaSets statefulSets daemonSets jobs cronJobs services endpointSlices',
      'ingresses configMaps persistentVolumeClaims persistentVolumes storageClasses horizontalPodAutoscalers',
      'resourceQuotas events roles clusterRoles roleBindings clusterRoleBindings clusters',
    ]
      .join(' ')
      .split(' ')
    const lists = await data(
      fleet,
      `{ ${fields.map((field) => `${field}(first: 1) { nodes { __typename id } }`).join(' ')} }`,
    )
    expect(fields).toHaveLength(ALL_KINDS.length + 1)
    for (const field of fields) {
      const [object] = lists[field].nodes
      const { node } = await data(fleet, query, { id: object.id })
      expect(node).toMatchObject(object)
    }
    expect(eu.requests).toEqual([])
  })

  it('is null for what is gone, and for a cluster that left the fleet', async () => {
    const { fleet, us } = shopFleet()
    const { pods } = await data(fleet, '{ pods(filter: { name: { equals: "other" } }) { nodes { id } } }')
    const { id } = pods.nodes[0]
    us.apply('Pod', { type: 'Delete', row: us.table('Pod').get('shop', 'other')! })
    expect((await data(fleet, query, { id })).node).toBeNull()
    const gone = Buffer.from('Cluster/prod-ap//').toString('base64url')
    expect((await data(fleet, query, { id: gone })).node).toBeNull()
  })

  it('says that something is no ID', async () => {
    await expect(data(shopFleet().fleet, query, { id: 'pod-1' })).rejects.toThrow(
      'is not an ID of this graph',
    )
  })
})

describe('roles and their bindings', () => {
  it('show what is allowed, and lead to those who are given it', async () => {
    const role = await one(
      'clusterRoles',
      'view',
      `namespace aggregated aggregationSelectors rules { verbs apiGroups resources resourceNames nonResourceURLs }
       roleBindings { nodes { name namespace } } clusterRoleBindings { nodes { name } totalCount }`,
    )
    expect(role).toEqual({
      namespace: null,
      aggregated: true,
      aggregationSelectors: ['example.com/to-view=true'],
      rules: [
        {
          verbs: ['get', 'list', 'watch'],
          apiGroups: [''],
          resources: ['pods', 'pods/log'],
          resourceNames: [],
          nonResourceURLs: [],
        },
      ],
      roleBindings: { nodes: [{ name: 'team-views', namespace: 'shop' }] },
      clusterRoleBindings: { nodes: [{ name: 'auditors-view' }], totalCount: 1 },
    })
  })

  it('of one name in two namespaces are told apart', async () => {
    const { roles } = await data(
      shopFleet().fleet,
      '{ roles(filter: { name: { equals: "deployer" } }) { nodes { namespace roleBindings { nodes { name } } } } }',
    )
    expect(roles.nodes).toEqual([
      { namespace: 'media', roleBindings: { nodes: [] } },
      { namespace: 'shop', roleBindings: { nodes: [{ name: 'team-deploys' }] } },
    ])
  })

  it('lead from a binding to its role of either kind, and to null where that is gone', async () => {
    const { roleBindings, clusterRoleBindings } = await data(
      shopFleet().fleet,
      `{ roleBindings { nodes { name roleRef { kind name } subjects { kind name namespace } role { __typename name rules { verbs } ... on Role { namespaceObject { name } } } } }
         clusterRoleBindings { nodes { name role { name aggregated } } } }`,
    )
    const team = { kind: 'Group', name: 'shop-team', namespace: null }
    expect(roleBindings.nodes).toEqual([
      {
        name: 'dangling',
        roleRef: { kind: 'ClusterRole', name: 'gone' },
        subjects: [{ kind: 'Group', name: 'media-team', namespace: null }],
        role: null,
      },
      {
        name: 'team-deploys',
        roleRef: { kind: 'Role', name: 'deployer' },
        subjects: [team, { kind: 'ServiceAccount', name: 'ci', namespace: 'tools' }],
        role: {
          __typename: 'Role',
          name: 'deployer',
          rules: [{ verbs: ['patch'] }],
          namespaceObject: { name: 'shop' },
        },
      },
      {
        name: 'team-views',
        roleRef: { kind: 'ClusterRole', name: 'view' },
        subjects: [team],
        role: { __typename: 'ClusterRole', name: 'view', rules: [{ verbs: ['get', 'list', 'watch'] }] },
      },
    ])
    expect(clusterRoleBindings.nodes).toEqual([
      { name: 'auditors-view', role: { name: 'view', aggregated: true } },
    ])
  })
})
