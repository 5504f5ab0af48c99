/**
 * A cluster that can be hurt, simulated or real behind one interface: what the chaos checker and the tests
 * of several replicas need of it. The gateway meets it as a user of its own, so that its requests can be
 * told from everybody else's.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { KINDS } from '../../src/kubernetes/kinds.ts'
import type { Registry } from '../../src/simulator/registry.ts'
import { RealTimeline } from '../../src/simulator/timeline.ts'
import { untilQuiet } from './churn.ts'
import { eventually } from './eventually.ts'
import { KubernetesHttp } from './kubernetes-http.ts'
import type { ControlPlane } from './control-plane.ts'
import { startRealCluster } from './real-cluster.ts'
import { startSimulatedCluster } from './simulated-cluster.ts'
import type { ReplicaSet } from './replica-set.ts'
import { sparePort } from './spare-port.ts'
import { startWitness, type Witness } from './witness.ts'

export interface StormyCluster {
  readonly name: string
  /** `http://127.0.0.1:PORT`; the same after it was revived. */
  readonly url: string
  /** An administrator. */
  readonly http: KubernetesHttp
  /** For the gateway, as JSON. */
  readonly kubeconfig: string
  /** The API server dies: connections break, new ones are refused. */
  kill(): Promise<void>
  /** On the same port, with all that it held. */
  revive(): Promise<void>
  /** Every version up to now is forgotten, and whoever watches has to resume: 410. */
  forget(): Promise<void>
  /** The gateway's watches that are open now, by resource (`pods`, `deployments.apps`). */
  watches(): Promise<Readonly<Record<string, number>>>
  /** Nobody changes anything any more: resolves when that is so. The simulated cluster stands still for ever. */
  quieten(): Promise<void>
  /** Sees every object of the gateway's kinds come and go from now on; not counted in `watches`. */
  witness(): Promise<Witness>
  close(): Promise<void>
}

export interface RealStormyCluster extends StormyCluster, Pick<ControlPlane, 'kubectl' | 'auditLog'> {
  /** How often the gateway has read all objects of a kind, by a list or by a watch that begins with one. */
  readsOfAll(): Promise<number>
}

export async function simulatedStormyCluster(name: string): Promise<StormyCluster> {
  const timeline = new RealTimeline()
  const cluster = await startSimulatedCluster({ name, port: await sparePort(), timeline })
  const { simulator } = cluster
  const http = new KubernetesHttp({ url: simulator.url, token: simulator.token })
  return {
    name,
    url: simulator.url,
    http,
    kubeconfig: JSON.stringify(simulator.kubeconfig()),
    kill: () => simulator.faults.kill(),
    revive: () => simulator.faults.revive(),
    async forget() {
      simulator.faults.compact()
      simulator.faults.dropWatches()
    },
    async watches() {
      return Object.fromEntries(
        Object.entries(simulator.requests.watches).map(([key, open]) => {
          const [group = '', resource = ''] = key.split('/')
          return [named(group, resource), open]
        }),
      )
    },
    // Some of its pods may be restarted again and again: it would never come to rest by itself.
    quieten: async () => timeline.close(),
    witness: async () => witnessOf(simulator.registry),
    async close() {
      await http.close()
      timeline.close()
      await cluster.close()
    },
  }
}

const GATEWAY_USER = 'fleetgraph-gateway'

export async function realStormyCluster(name: string): Promise<RealStormyCluster> {
  const cluster = await startRealCluster({ name, nodes: 2 })
  const { plane } = cluster
  const token = plane.token(GATEWAY_USER, ['system:masters'])
  /** Watches that were open when the API server died have no end in its log. */
  let revived = 0
  return {
    name,
    url: plane.url,
    kubectl: (...args) => plane.kubectl(...args),
    auditLog: () => plane.auditLog(),
    http: plane.http,
    kubeconfig: plane.kubeconfigWith({ token }),
    kill: () => plane.killApiServer(),
    async revive() {
      revived = Date.now()
      await plane.startApiServer()
    },
    async forget() {
      revived = Date.now()
      await plane.expireHistory()
    },
    async watches() {
      const open = new Map<string, string>()
      for (const {
        auditID,
        stage,
        verb,
        user,
        objectRef,
        requestReceivedTimestamp,
      } of await plane.auditLog()) {
        if (verb !== 'watch' || user.username !== GATEWAY_USER) continue
        if (Date.parse(requestReceivedTimestamp) < revived) continue
        if (stage === 'ResponseStarted') {
          open.set(auditID, named(objectRef?.apiGroup ?? '', objectRef?.resource ?? ''))
        } else open.delete(auditID)
      }
      const counts: Record<string, number> = {}
      for (const resource of open.values()) counts[resource] = (counts[resource] ?? 0) + 1
      return counts
    },
    async readsOfAll() {
      const reads = (await plane.auditLog()).filter(
        ({ stage, verb, user, requestURI }) =>
          (stage === 'ResponseComplete') === (verb === 'list') &&
          user.username === GATEWAY_USER &&
          (verb === 'list' || (verb === 'watch' && requestURI.includes('sendInitialEvents=true'))),
      )
      return reads.length
    },
    quieten: async () => void (await untilQuiet(plane.http, { timeoutMs: 120_000 })),
    witness: () => startWitness(plane.http),
    close: () => cluster.close(),
  }
}

/** Resources with their watches where they are not one for each of the gateway's kinds; empty: all is well. */
function notOneEach(watches: Readonly<Record<string, number>>): Readonly<Record<string, number>> {
  const expected = Object.values(KINDS).map(({ group, resource }) => named(group, resource))
  return Object.fromEntries(
    [...new Set([...expected, ...Object.keys(watches)])]
      .map((resource) => [resource, watches[resource] ?? 0] as const)
      .filter(([resource, open]) => open !== (expected.includes(resource) ? 1 : 0)),
  )
}

/** Resolves when the gateway watches each of its kinds here exactly once; rejects with what it watches. */
export function oneWatchPerKind(cluster: StormyCluster, timeoutMs: number): Promise<void> {
  return eventually(
    async () => {
      const wrong = Object.entries(notOneEach(await cluster.watches()))
      if (wrong.length > 0) {
        const shown = wrong.map(([resource, open]) => `${open} of ${resource}`).join(', ')
        throw new Error(`watches at ${cluster.name} are not one of each kind: ${shown}`)
      }
    },
    { timeoutMs, everyMs: 100 },
  )
}

/**
 * The same after the owner of the cluster was killed, once another has taken over; answers how many
 * milliseconds that took.
 */
export async function oneWatchPerKindAgain(
  cluster: StormyCluster,
  replicas: ReplicaSet,
  timeoutMs: number,
): Promise<number> {
  const began = performance.now()
  // The server may not have noticed yet that the old watches are gone.
  await replicas.ownerOf(cluster.name, timeoutMs)
  await oneWatchPerKind(cluster, timeoutMs - (performance.now() - began))
  return Math.round(performance.now() - began)
}

/** A directory with a kubeconfig for each cluster, as the gateway's source `directory` takes it. */
export function kubeconfigDirectory(clusters: readonly Pick<StormyCluster, 'name' | 'kubeconfig'>[]): {
  readonly path: string
  close(): Promise<void>
} {
  const path = mkdtempSync(join(tmpdir(), 'fleetgraph-clusters-'))
  for (const { name, kubeconfig } of clusters) writeFileSync(join(path, `${name}.yaml`), kubeconfig)
  return {
    path,
    async close() {
      rmSync(path, { recursive: true, force: true })
    },
  }
}

/** A simulated cluster tells each commit in the moment that it is made. */
function witnessOf(registry: Registry): Witness {
  const kept = new Set(Object.values(KINDS).map(({ group, resource }) => named(group, resource)))
  const gone = new Map<string, number>()
  const alive = new Map<string, string>()
  for (const { group, resource } of Object.values(KINDS)) {
    for (const { metadata } of registry.list({ group, resource })) {
      alive.set(metadata.uid, `${metadata.namespace ?? ''}/${metadata.name}`)
    }
  }
  const stop = registry.onCommit(({ type, key, object: { metadata } }) => {
    if (!kept.has(named(key.group, key.resource))) return
    if (type === 'DELETED') {
      alive.delete(metadata.uid)
      gone.set(metadata.uid, performance.now())
    } else alive.set(metadata.uid, `${metadata.namespace ?? ''}/${metadata.name}`)
  })
  return {
    gone,
    alive,
    async close() {
      stop()
    },
  }
}

function named(group: string, resource: string): string {
  return group === '' ? resource : `${resource}.${group}`
}
