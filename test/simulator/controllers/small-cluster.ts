/**
 * A small cluster under test: a registry, every controller, and a clock that moves when the test says so.
 * Errors that a controller throws fail the test that caused them.
 */
import type { KubeObject, KubeObjectInput } from '../../../src/simulator/registry.ts'
import { startControllers, type ControllersOptions } from '../../../src/simulator/controllers/control-loop.ts'
import {
  EVENTS,
  NAMESPACES,
  NODES,
  PODS,
  read,
  readAll,
  type ClusterNode,
  type Container,
  type Pod,
  type Resource,
} from '../../../src/simulator/controllers/objects.ts'
import { controllerOf } from '../../../src/simulator/controllers/ownership.ts'
import { isReady } from '../../../src/simulator/controllers/pod-template.ts'
import { Storage } from '../../../src/simulator/storage.ts'
import { ManualTimeline } from '../../../src/simulator/timeline.ts'

export const START = Date.parse('2026-03-02T10:00:00Z')

export class SmallCluster {
  readonly timeline = new ManualTimeline(START)
  readonly registry = new Storage({ now: () => this.timeline.now(), seed: 7 })
  #controllers: { close(): void } | undefined

  constructor({ nodes = 3, ...options }: ControllersOptions & { nodes?: number } = {}) {
    for (const name of ['default', 'kube-system', 'kube-node-lease']) {
      this.registry.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } })
    }
    for (let i = 1; i <= nodes; i++) this.addNode(`node-${i}`)
    this.start(options)
  }

  start(options: ControllersOptions = {}): void {
    this.#controllers?.close()
    this.#controllers = startControllers(this.registry, this.timeline, {
      onError: (error) => {
        throw error
      },
      ...options,
    })
  }

  close(): void {
    this.#controllers?.close()
  }

  addNode(name: string, more: { labels?: Record<string, string>; cpu?: string; spec?: object } = {}): void {
    const resources = { cpu: more.cpu ?? '4', memory: '8Gi', pods: '110' }
    this.registry.load(NODES, {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: {
        name,
        uid: `uid-${name}`,
        resourceVersion: '0',
        creationTimestamp: '2026-03-01T00:00:00Z',
        labels: { 'kubernetes.io/hostname': name, ...more.labels },
      },
      spec: { podCIDR: `10.244.${Number(name.replace(/\D/g, '')) || 0}.0/24`, ...more.spec },
      status: {
        capacity: resources,
        allocatable: resources,
        addresses: [{ type: 'InternalIP', address: `10.0.0.${Number(name.replace(/\D/g, '')) || 0}` }],
        conditions: [{ type: 'Ready', status: 'True', reason: 'KubeletReady' }],
      },
    })
  }

  /** Lets the cluster's clock run on. */
  after(seconds: number): this {
    this.timeline.advance(seconds * 1000)
    return this
  }

  create<T extends KubeObject>(
    key: Resource<T>,
    name: string,
    body: Readonly<Record<string, unknown>>,
    metadata: KubeObjectInput['metadata'] = {},
  ): T {
    return this.registry.create(key, {
      apiVersion: key.apiVersion,
      kind: key.kind,
      metadata: { name, ...(key.namespaced ? { namespace: 'default' } : {}), ...metadata },
      ...body,
    }) as T
  }

  get<T extends KubeObject>(key: Resource<T>, name: string, namespace = 'default'): T {
    const found = read(this.registry, key, key.namespaced ? namespace : '', name)
    if (found === undefined) throw new Error(`${key.kind} ${name} does not exist`)
    return found
  }

  has(key: Resource<KubeObject>, name: string, namespace = 'default'): boolean {
    return this.registry.get(key, key.namespaced ? namespace : '', name) !== undefined
  }

  all<T extends KubeObject>(key: Resource<T>, namespace = 'default'): readonly T[] {
    return readAll(this.registry, key, key.namespaced ? namespace : undefined)
  }

  /** Changes the spec (and, where given, metadata) of an object as a client's update would. */
  change<T extends KubeObject>(key: Resource<T>, name: string, spec: object, metadata: object = {}): T {
    const current = this.get(key, name)
    return this.registry.update(key, {
      ...current,
      metadata: { ...current.metadata, ...metadata },
      spec: { ...(current['spec'] as object), ...spec },
    }) as T
  }

  delete(
    key: Resource<KubeObject>,
    name: string,
    propagationPolicy: 'Background' | 'Foreground' | 'Orphan' = 'Background',
  ): void {
    this.registry.delete(key, key.namespaced ? 'default' : '', name, { propagationPolicy })
  }

  pods(owner?: string): readonly Pod[] {
    const pods = this.all(PODS)
    return owner === undefined ? pods : pods.filter((pod) => controllerOf(pod)?.name.startsWith(owner))
  }

  readyPods(owner?: string): readonly Pod[] {
    return this.pods(owner).filter(isReady)
  }

  node(name: string): ClusterNode {
    return this.get(NODES, name)
  }

  /** `reason: message` of every event about the object of this name. */
  eventsOf(name: string): readonly string[] {
    return this.all(EVENTS)
      .filter(({ involvedObject }) => involvedObject.name === name)
      .map(({ reason, message }) => `${reason}: ${message}`)
  }
}

export function template(
  app: string,
  container: Partial<Container> = {},
  spec: object = {},
): { metadata: { labels: Record<string, string> }; spec: { containers: Container[] } } {
  return {
    metadata: { labels: { app } },
    spec: { containers: [{ name: app, image: `${app}:1.0`, ...container }], ...spec },
  }
}

export function selecting(app: string): { matchLabels: Record<string, string> } {
  return { matchLabels: { app } }
}

/** By text: for comparing what has no order of its own. */
export const byText = (a: unknown, b: unknown): number => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)
