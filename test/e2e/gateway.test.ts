/**
 * The gateway as a process over two real control planes, judged by `kubectl get -A -o json`: while
 * objects churn, when an API server is killed, frozen or made to forget, and when its token is rotated.
 *
 * `FLEETGRAPH_E2E_LONG=1` churns for a minute at 50 changes a second and freezes for two.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { KINDS } from '../../src/kubernetes/kinds.ts'
import type { Kind } from '../../src/kubernetes/rows.ts'
import { churn, untilQuiet } from '../support/churn.ts'
import { eventually } from '../support/eventually.ts'
import { startGatewayProcess, type GatewayProcess } from '../support/gateway-process.ts'
import { startRealCluster, type RealCluster } from '../support/real-cluster.ts'

const long = process.env['FLEETGRAPH_E2E_LONG'] === '1'
const CHURN = long ? { seconds: 60, ratePerSecond: 50 } : { seconds: 10, ratePerSecond: 50 }
const FROZEN_MS = long ? 120_000 : 20_000

/** A raw object, as kubectl prints it. */
interface Raw {
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly uid: string
    readonly resourceVersion: string
    readonly generation?: number
    readonly creationTimestamp: string
    readonly deletionTimestamp?: string
    readonly labels?: Readonly<Record<string, string>>
  }
  // oxlint-disable-next-line typescript/no-explicit-any -- a test walks JSON of every kind
  readonly [field: string]: any
}

/** A role's rules and a binding's role and subjects, as GraphQL shows them. */
const RULES = 'rules { verbs apiGroups resources resourceNames nonResourceURLs }'
const GIVEN = 'roleRef { kind name } subjects { kind name namespace }'

function rulesOf({ rules }: Raw): object {
  return {
    rules: (rules ?? []).map((rule: Readonly<Record<string, readonly string[]>>) => ({
      verbs: rule['verbs'] ?? [],
      apiGroups: rule['apiGroups'] ?? [],
      resources: rule['resources'] ?? [],
      resourceNames: rule['resourceNames'] ?? [],
      nonResourceURLs: rule['nonResourceURLs'] ?? [],
    })),
  }
}

function givenBy({ roleRef, subjects }: Raw): object {
  return {
    roleRef: { kind: roleRef.kind, name: roleRef.name },
    subjects: (subjects ?? []).map(({ kind, name, namespace }: Readonly<Record<string, string>>) => ({
      kind,
      name,
      namespace: kind === 'ServiceAccount' ? namespace : null,
    })),
  }
}

interface View {
  /** Root field of the list. */
  readonly list: string
  /** Of the kind, beside those that all have, and what they are for a raw object. */
  readonly fields?: string
  readonly expected?: (raw: Raw) => object
}

const VIEWS: Readonly<Record<Kind, View>> = {
  ClusterRole: { list: 'clusterRoles', fields: RULES, expected: rulesOf },
  ClusterRoleBinding: { list: 'clusterRoleBindings', fields: GIVEN, expected: givenBy },
  Role: { list: 'roles', fields: RULES, expected: rulesOf },
  RoleBinding: { list: 'roleBindings', fields: GIVEN, expected: givenBy },
  Namespace: {
    list: 'namespaces',
    fields: 'phase',
    expected: ({ status }) => ({ phase: status.phase }),
  },
  Node: {
    list: 'nodes',
    fields: 'unschedulable kubeletVersion capacity { cpu { text } }',
    expected: ({ spec, status }) => ({
      unschedulable: spec.unschedulable ?? false,
      kubeletVersion: status.nodeInfo.kubeletVersion,
      capacity: { cpu: { text: status.capacity.cpu } },
    }),
  },
  Pod: {
    list: 'pods',
    fields: 'phase nodeName podIP containers { name image }',
    expected: ({ spec, status }) => ({
      phase: status.phase,
      nodeName: spec.nodeName ?? null,
      podIP: status.podIP ?? null,
      containers: [...(spec.initContainers ?? []), ...spec.containers].map(({ name, image }) => ({
        name,
        image,
      })),
    }),
  },
  Deployment: {
    list: 'deployments',
    fields: 'desired ready updated available',
    expected: ({ spec, status }) => ({
      desired: spec.replicas,
      ready: status.readyReplicas ?? 0,
      updated: status.updatedReplicas ?? 0,
      available: status.availableReplicas ?? 0,
    }),
  },
  ReplicaSet: {
    list: 'replicaSets',
    fields: 'desired current ready',
    expected: ({ spec, status }) => ({
      desired: spec.replicas,
      current: status.replicas ?? 0,
      ready: status.readyReplicas ?? 0,
    }),
  },
  StatefulSet: {
    list: 'statefulSets',
    fields: 'desired ready serviceName',
    expected: ({ spec, status }) => ({
      desired: spec.replicas,
      ready: status.readyReplicas ?? 0,
      serviceName: spec.serviceName ?? '',
    }),
  },
  DaemonSet: {
    list: 'daemonSets',
    fields: 'desired ready',
    expected: ({ status }) => ({ desired: status.desiredNumberScheduled, ready: status.numberReady }),
  },
  Job: {
    list: 'jobs',
    fields: 'active succeeded failed',
    expected: ({ status }) => ({
      active: status.active ?? 0,
      succeeded: status.succeeded ?? 0,
      failed: status.failed ?? 0,
    }),
  },
  CronJob: {
    list: 'cronJobs',
    fields: 'schedule suspend',
    expected: ({ spec }) => ({ schedule: spec.schedule, suspend: spec.suspend ?? false }),
  },
  Service: {
    list: 'services',
    fields: 'clusterIP ports { port nodePort }',
    expected: ({ spec }) => ({
      clusterIP: spec.clusterIP ?? null,
      ports: (spec.ports ?? []).map(({ port, nodePort }: { port: number; nodePort?: number }) => ({
        port,
        nodePort: nodePort ?? null,
      })),
    }),
  },
  EndpointSlice: {
    list: 'endpointSlices',
    fields: 'endpoints { addresses }',
    expected: ({ endpoints }) => ({
      endpoints: (endpoints ?? []).map(({ addresses }: { addresses: string[] }) => ({ addresses })),
    }),
  },
  Ingress: { list: 'ingresses' },
  ConfigMap: {
    list: 'configMaps',
    fields: 'keys',
    expected: ({ data, binaryData }) => ({ keys: Object.keys({ ...data, ...binaryData }).sort() }),
  },
  PersistentVolumeClaim: {
    list: 'persistentVolumeClaims',
    fields: 'phase volumeName',
    expected: ({ spec, status }) => ({
      phase: status.phase,
      volumeName: spec.volumeName ?? null,
    }),
  },
  PersistentVolume: {
    list: 'persistentVolumes',
    fields: 'phase capacity { text }',
    expected: ({ spec, status }) => ({
      phase: status.phase,
      capacity: { text: spec.capacity.storage },
    }),
  },
  StorageClass: {
    list: 'storageClasses',
    fields: 'provisioner',
    expected: ({ provisioner }) => ({ provisioner }),
  },
  HorizontalPodAutoscaler: {
    list: 'horizontalPodAutoscalers',
    fields: 'minReplicas maxReplicas targetName',
    expected: ({ spec }) => ({
      minReplicas: spec.minReplicas ?? 1,
      maxReplicas: spec.maxReplicas,
      targetName: spec.scaleTargetRef.name,
    }),
  },
  ResourceQuota: {
    list: 'resourceQuotas',
    fields: 'hard { all { name quantity { text } } }',
    expected: ({ spec }) => ({
      hard: {
        all: Object.entries(spec.hard as Record<string, string>)
          .toSorted(([a], [b]) => (a < b ? -1 : 1))
          .map(([name, text]) => ({ name, quantity: { text } })),
      },
    }),
  },
  Event: {
    list: 'events',
    fields: 'reason message regardingName',
    expected: ({ reason, message, involvedObject }) => ({
      reason: reason ?? '',
      message: message ?? '',
      regardingName: involvedObject.name ?? '',
    }),
  },
}

const COMMON =
  'name namespace uid resourceVersion generation creationTimestamp deletionTimestamp labels { key value }'

let clusters: readonly RealCluster[]
let gateway: GatewayProcess
let directory: string
const tokenFile = () => join(directory, 'token')

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'fleetgraph-e2e-'))
  clusters = await Promise.all(['alpha', 'beta'].map((name) => startRealCluster({ name })))
  const [alpha, beta] = clusters
  await beta!.plane.rotateToken(tokenFile())
  writeFileSync(join(directory, 'alpha.yaml'), alpha!.plane.kubeconfig.text)
  writeFileSync(join(directory, 'beta.yaml'), beta!.plane.kubeconfigWith({ tokenFile: tokenFile() }))
  gateway = await startGatewayProcess({
    clusters: [
      { type: 'kubeconfig', paths: [join(directory, 'alpha.yaml')] },
      { type: 'kubeconfig', paths: [join(directory, 'beta.yaml')] },
    ],
  })
})

afterAll(async () => {
  expect(await gateway?.close()).toBe(0)
  for (const cluster of clusters ?? []) await cluster.close()
  rmSync(directory, { recursive: true, force: true })
})

/** Every object of a kind as GraphQL shows it, page by page, by `namespace/name`. */
async function shown(cluster: string, { list, fields = '' }: View): Promise<Map<string, object>> {
  const objects = new Map<string, object>()
  const document = `query ($clusters: [String!], $after: String) {
    ${list}(filter: { clusters: $clusters }, first: 200, after: $after) {
      nodes { ${COMMON} ${fields} }
      pageInfo { hasNextPage endCursor }
      coverage { state reason }
    }
  }`
  let after: string | null = null
  do {
    const answer: Record<string, Connection> = await gateway.query(document, { clusters: [cluster], after })
    const page = answer[list]!
    expect(page.coverage).toEqual([{ state: 'CURRENT', reason: null }])
    for (const node of page.nodes) objects.set(`${node.namespace ?? ''}/${node.name}`, node)
    after = page.pageInfo.hasNextPage ? page.pageInfo.endCursor : null
  } while (after !== null)
  return objects
}

interface Connection {
  readonly nodes: readonly { readonly name: string; readonly namespace: string | null }[]
  readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null }
  readonly coverage: readonly object[]
}

/** The same from kubectl. */
async function actual({ plane }: RealCluster, kind: Kind): Promise<Map<string, object>> {
  const { group, resource } = KINDS[kind]
  const name = group === '' ? resource : `${resource}.${group}`
  const { stdout, stderr, code } = await plane.kubectl('get', name, '-A', '-o', 'json')
  if (code !== 0) throw new Error(stderr)
  const { items } = JSON.parse(stdout) as { items: readonly Raw[] }
  return new Map(
    items.map((raw) => {
      const { metadata } = raw
      const labels = Object.entries(metadata.labels ?? {})
        .toSorted(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, value]) => ({ key, value }))
      return [
        `${metadata.namespace ?? ''}/${metadata.name}`,
        {
          name: metadata.name,
          namespace: metadata.namespace ?? null,
          uid: metadata.uid,
          resourceVersion: metadata.resourceVersion,
          generation: metadata.generation ?? 0,
          creationTimestamp: dateTime(metadata.creationTimestamp),
          deletionTimestamp: metadata.deletionTimestamp ? dateTime(metadata.deletionTimestamp) : null,
          labels,
          ...VIEWS[kind].expected?.(raw),
        },
      ]
    }),
  )
}

/** As the scalar `DateTime` writes a time. */
function dateTime(text: string): string {
  return new Date(text).toISOString()
}

/** Of every kind, object by object; tried again while heartbeats move a node between the two reads. */
async function expectTruth(cluster: RealCluster): Promise<void> {
  await untilQuiet(cluster.plane.http)
  for (const kind of Object.keys(VIEWS) as Kind[]) {
    await eventually(
      async () => {
        const [ours, theirs] = [await shown(cluster.plane.name, VIEWS[kind]), await actual(cluster, kind)]
        expect(Object.fromEntries(ours), kind).toEqual(Object.fromEntries(theirs))
      },
      { timeoutMs: 30_000, everyMs: 250 },
    )
  }
}

async function coverageOf(cluster: string): Promise<{ state: string; reason: string | null }> {
  const { pods } = await gateway.query<{
    pods: { coverage: readonly { cluster: string; state: string; reason: string | null }[] }
  }>('{ pods(first: 1) { coverage { cluster state reason } } }')
  return pods.coverage.find((entry) => entry.cluster === cluster)!
}

describe('the gateway over two real control planes', () => {
  it('shows what kubectl shows, object by object and for every kind, after a churn in both', async () => {
    await Promise.all(
      clusters.map(({ plane }, index) => churn({ http: plane.http, seed: index + 1, ...CHURN })),
    )
    for (const cluster of clusters) await expectTruth(cluster)
  })

  it('walks from a deployment to its pods, its service and its link', async () => {
    for (const { plane } of clusters) {
      const commands = [
        ['create', 'deployment', 'tour', '--image=nginx:1.29', '--replicas=2'],
        ['expose', 'deployment', 'tour', '--port=80', '--type=LoadBalancer'],
      ]
      for (const command of commands) expect((await plane.kubectl(...command)).code).toBe(0)
    }
    await eventually(
      async () => {
        const { deployments } = await gateway.query<{ deployments: { nodes: readonly object[] } }>(
          `{ deployments(filter: { name: { equals: "tour" } }) { nodes {
              cluster { name } rollout { status }
              replicaSets { revision ready pods { nodes { status node { ready } } } }
              services { links { kind url } }
          } } }`,
        )
        expect(deployments.nodes).toHaveLength(2)
        for (const node of deployments.nodes) {
          expect(node).toMatchObject({
            rollout: { status: 'COMPLETE' },
            replicaSets: [
              {
                revision: 1,
                ready: 2,
                pods: {
                  nodes: Array.from({ length: 2 }, () => ({ status: 'Running', node: { ready: 'True' } })),
                },
              },
            ],
            services: [
              {
                links: expect.arrayContaining([
                  { kind: 'LOAD_BALANCER', url: expect.stringMatching(/^http:\/\/[\d.]+:80$/) },
                ]),
              },
            ],
          })
        }
      },
      { timeoutMs: 60_000, everyMs: 250 },
    )
  })

  it('reads manifests live, and keeps the data of Secrets to itself', async () => {
    const [{ plane }] = clusters as [RealCluster]
    await plane.kubectl('create', 'secret', 'generic', 'tour', '--from-literal=password=hunter2')
    const { resource } = await gateway.query<{ resource: { manifest: { yaml: string } } }>(
      `{ resource(cluster: "alpha", apiVersion: "v1", kind: "Secret", namespace: "default", name: "tour") {
          manifest { yaml }
      } }`,
    )
    expect(resource.manifest.yaml).toContain('password')
    expect(resource.manifest.yaml).not.toContain(Buffer.from('hunter2').toString('base64'))
  })

  it('keeps answering while an API server is killed, and is right when it is back', async () => {
    const [alpha, beta] = clusters as [RealCluster, RealCluster]
    await alpha.plane.killApiServer()
    await eventually(async () => expect((await coverageOf('alpha')).state).toBe('UNREACHABLE'), {
      timeoutMs: 30_000,
    })
    expect(await coverageOf('beta')).toMatchObject({ state: 'CURRENT' })
    await expectTruth(beta)
    await alpha.plane.startApiServer()
    await churn({ http: alpha.plane.http, seed: 3, seconds: 2, ratePerSecond: 25 })
    await expectTruth(alpha)
  })

  it('keeps answering while an API server is frozen, and is right when it goes on', async () => {
    const [alpha, beta] = clusters as [RealCluster, RealCluster]
    beta.plane.stopApiServer()
    await eventually(async () => expect((await coverageOf('beta')).state).toBe('UNREACHABLE'), {
      timeoutMs: 30_000,
    })
    await expectTruth(alpha)
    // How long a freeze lasts is what is tested: etcd and the watches time out meanwhile.
    await sleep(FROZEN_MS)
    beta.plane.continueApiServer()
    await eventually(async () => expect((await coverageOf('beta')).state).toBe('CURRENT'), {
      timeoutMs: 60_000,
    })
    await churn({ http: beta.plane.http, seed: 4, seconds: 2, ratePerSecond: 25 })
    await expectTruth(beta)
  })

  it('is right after a compaction that makes every old version 410', async () => {
    const [alpha] = clusters as [RealCluster]
    await Promise.all([
      alpha.plane.expireHistory(),
      churn({ http: alpha.plane.http, seed: 5, seconds: 3, ratePerSecond: 25 }),
    ])
    await expectTruth(alpha)
  })

  it('goes on with a rotated token', async () => {
    const [, beta] = clusters as [RealCluster, RealCluster]
    await beta.plane.rotateToken(tokenFile())
    await beta.plane.killApiServer()
    await beta.plane.startApiServer()
    await churn({ http: beta.plane.http, seed: 6, seconds: 2, ratePerSecond: 25 })
    await expectTruth(beta)
  })
})
