/**
 * Stands in for the kubelets of a control plane under test: registers nodes and keeps them Ready, runs
 * the pods that are bound to them (in their status only) and takes deleted ones away, as the kubelet's
 * part of the pod lifecycle is documented:
 * https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/
 *
 * What a container does is read from its image and command: an image of a registry under `.invalid`
 * is never pulled; `exit N` in the command ends with N at once; `sleep N` ends with 0 after N seconds;
 * a container of a Job's pod that says neither ends with 0; any other runs until it is deleted.
 *
 * It deliberately lacks probes, volumes, resources at run time, init containers' order (they are done
 * at once) and restarts with growing back-off (a crash is restarted once, then CrashLoopBackOff).
 * Logs are served over the kubelet's own HTTPS API, so that `kubectl logs` works through the API server.
 */
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { at, textAt, type Answer, type KubeJson, type KubernetesHttp } from './kubernetes-http.ts'
import { createCertificateAuthority } from './test-certificates.ts'
import { eventually } from './eventually.ts'
import { followResource } from './follow-resource.ts'

export interface FakeKubeletOptions {
  readonly http: KubernetesHttp
  /** Reported as kubeletVersion; the API server's own as a rule. */
  readonly version: string
  /** Where the cluster's authority is (`ControlPlane.files`): signs the certificate of the log server. */
  readonly filesDir: string
  /** Nodes `node-0` … `node-(n-1)`; default 3. */
  readonly nodes?: number
  /** Of each node; default 8 cores, 32 GiB, 110 pods. */
  readonly capacity?: { readonly cpu: string; readonly memory: string; readonly pods: string }
  /** More labels, by the node's number. */
  readonly labels?: (index: number) => Readonly<Record<string, string>>
  /** Milliseconds from bound to Running; default 20. */
  readonly startDelayMs?: number
}

export interface FakeKubelet {
  readonly nodeNames: readonly string[]
  close(): Promise<void>
}

interface Container {
  readonly name: string
  readonly image: string
  readonly command?: readonly string[]
  readonly args?: readonly string[]
}

const LEASE_EVERY_MS = 10_000

export async function startFakeKubelet(options: FakeKubeletOptions): Promise<FakeKubelet> {
  const { http, nodes = 3 } = options
  const stop = new AbortController()
  const nodeNames = Array.from({ length: nodes }, (_, index) => `node-${index}`)
  const logs = await startLogServer(options.filesDir, http)
  for (const [index, name] of nodeNames.entries()) await registerNode(options, name, index, logs.port)
  const heartbeat = beat(http, nodeNames, stop.signal)
  await eventually(
    async () => {
      const { items } = await http.must(http.get('/api/v1/nodes'))
      if (items.some((node) => at(node, 'spec.taints')))
        throw new Error('a node is still tainted as not ready')
    },
    { timeoutMs: 30_000, everyMs: 50 },
  )
  const pods = new Map<string, PodWorker>()
  const follow = await followResource(http, '/api/v1/pods?fieldSelector=spec.nodeName!%3D', {
    signal: stop.signal,
    onObject(pod) {
      if (!nodeNames.includes(textAt(pod, 'spec.nodeName'))) return
      let worker = pods.get(pod.metadata.uid)
      if (!worker) pods.set(pod.metadata.uid, (worker = new PodWorker(options, stop.signal)))
      worker.see(pod)
    },
    onGone: (pod) => void pods.delete(pod.metadata.uid),
  })
  return {
    nodeNames,
    async close() {
      stop.abort()
      await Promise.all([heartbeat, follow.ended, ...[...pods.values()].map((worker) => worker.idle)])
      await logs.close()
    },
  }
}

async function registerNode(
  options: FakeKubeletOptions,
  name: string,
  index: number,
  port: number,
): Promise<void> {
  const { http, capacity = { cpu: '8', memory: '32Gi', pods: '110' } } = options
  await http.must(
    http.post('/api/v1/nodes', {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: {
        name,
        labels: {
          'kubernetes.io/hostname': name,
          'kubernetes.io/os': 'linux',
          'kubernetes.io/arch': 'amd64',
          'topology.kubernetes.io/zone': `zone-${index % 3}`,
          ...options.labels?.(index),
        },
      },
      spec: { podCIDR: `10.244.${index}.0/24`, podCIDRs: [`10.244.${index}.0/24`] },
    }),
  )
  const storage = { 'ephemeral-storage': '100Gi', 'hugepages-2Mi': '0' }
  await http.must(
    http.patch(`/api/v1/nodes/${name}/status`, 'strategic', {
      status: {
        capacity: { ...capacity, ...storage },
        allocatable: { ...capacity, ...storage },
        addresses: [
          { type: 'InternalIP', address: '127.0.0.1' },
          { type: 'Hostname', address: name },
        ],
        daemonEndpoints: { kubeletEndpoint: { Port: port } },
        nodeInfo: {
          architecture: 'amd64',
          bootID: '',
          containerRuntimeVersion: 'containerd://2.1.0',
          kernelVersion: '6.12.0',
          kubeProxyVersion: options.version,
          kubeletVersion: options.version,
          machineID: '',
          operatingSystem: 'linux',
          osImage: 'Debian GNU/Linux 12 (bookworm)',
          systemUUID: '',
        },
        conditions: nodeConditions(),
      },
    }),
  )
  await http.must(
    http.post('/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases', {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name, namespace: 'kube-node-lease' },
      spec: { holderIdentity: name, leaseDurationSeconds: 40, renewTime: microTime() },
    }),
  )
}

function nodeConditions(): unknown[] {
  const now = time()
  const condition = (type: string, status: string, reason: string, message: string): unknown => ({
    type,
    status,
    reason,
    message,
    lastHeartbeatTime: now,
    lastTransitionTime: now,
  })
  return [
    condition(
      'MemoryPressure',
      'False',
      'KubeletHasSufficientMemory',
      'kubelet has sufficient memory available',
    ),
    condition('DiskPressure', 'False', 'KubeletHasNoDiskPressure', 'kubelet has no disk pressure'),
    condition('PIDPressure', 'False', 'KubeletHasSufficientPID', 'kubelet has sufficient PID available'),
    condition('Ready', 'True', 'KubeletReady', 'kubelet is posting ready status'),
  ]
}

async function beat(http: KubernetesHttp, names: readonly string[], signal: AbortSignal): Promise<void> {
  while (await pause(LEASE_EVERY_MS, signal)) {
    for (const name of names) {
      // An API server that is away for a while is what some tests are about: the next beat tries again.
      await http
        .patch(`/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/${name}`, 'merge', {
          spec: { renewTime: microTime() },
        })
        .catch(() => undefined)
    }
  }
}

/** Brings one pod's status to what its spec and metadata ask for: one change at a time, on the newest state seen. */
class PodWorker {
  /** Resolves when no change is under way. */
  idle: Promise<void> = Promise.resolve()
  readonly #options: FakeKubeletOptions
  readonly #signal: AbortSignal
  readonly #address: string
  #pod: KubeJson | undefined
  #busy = false
  #started = false
  #restarts = 0
  #deleting = false
  static #addresses = 0

  constructor(options: FakeKubeletOptions, signal: AbortSignal) {
    this.#options = options
    this.#signal = signal
    const number = PodWorker.#addresses++
    this.#address = `10.244.${(number >> 8) % 256}.${number % 256}`
  }

  see(pod: KubeJson): void {
    this.#pod = pod
    if (this.#busy) return
    this.#busy = true
    this.idle = this.#work()
  }

  async #work(): Promise<void> {
    try {
      for (let done: KubeJson | undefined; done !== this.#pod && !this.#signal.aborted;) {
        done = this.#pod
        if (!done) return
        const phase = textAt(done, 'status.phase') || 'Pending'
        if (done.metadata.deletionTimestamp !== undefined) await this.#remove(done, phase)
        else if (!this.#started && phase !== 'Succeeded' && phase !== 'Failed') {
          this.#started = true
          await this.#run(done)
        }
      }
    } finally {
      // In the same turn as the loop's last look: a state that comes after it starts new work.
      this.#busy = false
    }
  }

  async #run(pod: KubeJson): Promise<void> {
    const containers = containersOf(pod)
    await this.#status(pod, {
      phase: 'Pending',
      startTime: time(),
      hostIP: '127.0.0.1',
      conditions: conditions('False', 'ContainersNotReady'),
      containerStatuses: containers.map((container) => waiting(container, 'ContainerCreating')),
    })
    if (!(await pause(this.#options.startDelayMs ?? 20, this.#signal)) || this.#wasDeleted()) return
    if (containers.some(({ image }) => image.includes('.invalid/'))) return this.#neverPulls(pod, containers)
    const startedAt = time()
    await this.#status(pod, {
      phase: 'Running',
      podIP: this.#address,
      podIPs: [{ ip: this.#address }],
      conditions: conditions('True'),
      initContainerStatuses: containersOf(pod, 'initContainers').map((container) =>
        terminated(container, 0, startedAt),
      ),
      containerStatuses: containers.map((container) => running(container, startedAt, this.#restarts)),
    })
    const end = endOf(containers, pod)
    if (!end || !(await this.#lasts(end.afterMs))) return
    await this.#finish(pod, containers, end.exitCode, startedAt)
  }

  async #neverPulls(pod: KubeJson, containers: readonly Container[]): Promise<void> {
    for (const reason of ['ErrImagePull', 'ImagePullBackOff']) {
      await this.#status(pod, {
        containerStatuses: containers.map((container) =>
          waiting(
            container,
            container.image.includes('.invalid/') ? reason : 'ContainerCreating',
            'no such host',
          ),
        ),
      })
      if (!(await this.#lasts(200))) return
    }
  }

  async #finish(
    pod: KubeJson,
    containers: readonly Container[],
    exitCode: number,
    startedAt: string,
  ): Promise<void> {
    const policy = textAt(pod, 'spec.restartPolicy')
    const over = policy === 'Never' || (policy === 'OnFailure' && exitCode === 0)
    if (!over) {
      this.#restarts += 1
      await this.#status(pod, {
        phase: 'Running',
        conditions: conditions('False', 'ContainersNotReady'),
        containerStatuses: containers.map((container) => ({
          ...waiting(
            container,
            'CrashLoopBackOff',
            `back-off 10s restarting failed container=${container.name}`,
          ),
          restartCount: this.#restarts,
          started: false,
          lastState: at(terminated(container, exitCode, startedAt), 'state'),
        })),
      })
      return
    }
    await this.#status(pod, {
      phase: exitCode === 0 ? 'Succeeded' : 'Failed',
      conditions: conditions('False', exitCode === 0 ? 'PodCompleted' : 'PodFailed'),
      containerStatuses: containers.map((container) => terminated(container, exitCode, startedAt)),
    })
  }

  /** A deleted pod ends (its containers with 0, for they were asked to), and then its object goes. */
  async #remove(pod: KubeJson, phase: string): Promise<void> {
    if (this.#deleting) return
    this.#deleting = true
    if (phase === 'Running' || phase === 'Pending') {
      await this.#finishForDeletion(pod)
    }
    const { namespace, name, uid } = pod.metadata
    const options = { apiVersion: 'v1', kind: 'DeleteOptions', gracePeriodSeconds: 0, preconditions: { uid } }
    await this.#insist(() =>
      this.#options.http.delete(`/api/v1/namespaces/${namespace}/pods/${name}`, options),
    )
  }

  async #finishForDeletion(pod: KubeJson): Promise<void> {
    const startedAt = time()
    await this.#status(pod, {
      phase: 'Succeeded',
      conditions: conditions('False', 'PodCompleted'),
      containerStatuses: containersOf(pod).map((container) => terminated(container, 0, startedAt)),
    })
  }

  async #status(pod: KubeJson, status: unknown): Promise<void> {
    const { namespace, name, uid } = pod.metadata
    const path = `/api/v1/namespaces/${namespace}/pods/${name}/status`
    await this.#insist(() => this.#options.http.patch(path, 'strategic', { metadata: { uid }, status }))
  }

  /** As a kubelet does, through an outage: a refusal for good (the pod is gone, or another one) ends it, too. */
  async #insist(request: () => Promise<Answer>): Promise<void> {
    for (;;) {
      const { status } = await request().catch(() => ({ status: 0 }))
      if (status >= 200 && status < 500 && status !== 429) return
      if (!(await pause(300, this.#signal))) return
    }
  }

  #wasDeleted(): boolean {
    return this.#pod?.metadata.deletionTimestamp !== undefined
  }

  /** False where the pod was deleted meanwhile. */
  async #lasts(ms: number): Promise<boolean> {
    const until = performance.now() + ms
    while (performance.now() < until) {
      if (this.#wasDeleted() || !(await pause(Math.min(100, ms), this.#signal))) return false
    }
    return !this.#wasDeleted()
  }
}

function containersOf(pod: KubeJson, field = 'containers'): readonly Container[] {
  return (at(pod, `spec.${field}`) ?? []) as readonly Container[]
}

/** See the header for the words that a command is searched for. */
function endOf(
  containers: readonly Container[],
  pod: KubeJson,
): { exitCode: number; afterMs: number } | undefined {
  const words = containers.flatMap(({ command = [], args = [] }) => [...command, ...args]).join(' ')
  const exit = /\bexit (\d+)/.exec(words)
  const nap = /\bsleep (\d+)/.exec(words)
  const ofJob = pod.metadata.ownerReferences?.some(({ kind }) => kind === 'Job') ?? false
  if (/\bsleep infinity\b/.test(words)) return undefined
  if (!exit && !nap && !ofJob) return undefined
  return { exitCode: Number(exit?.[1] ?? 0), afterMs: nap ? Number(nap[1]) * 1000 : 100 }
}

function conditions(ready: 'True' | 'False', reason?: string): unknown[] {
  const now = time()
  const more = reason === undefined ? { reason: null, message: null } : { reason }
  return [
    { type: 'Initialized', status: 'True', lastTransitionTime: now },
    { type: 'Ready', status: ready, lastTransitionTime: now, ...more },
    { type: 'ContainersReady', status: ready, lastTransitionTime: now, ...more },
  ]
}

function base(container: Container): Record<string, unknown> {
  return { name: container.name, image: container.image, imageID: '', ready: false, restartCount: 0 }
}

function waiting(container: Container, reason: string, message?: string): Record<string, unknown> {
  return { ...base(container), state: { waiting: { reason, ...(message !== undefined && { message }) } } }
}

function running(container: Container, startedAt: string, restartCount: number): Record<string, unknown> {
  return {
    ...base(container),
    ready: true,
    started: true,
    restartCount,
    containerID: `containerd://${container.name}`,
    imageID: `${container.image}@sha256:${'0'.repeat(64)}`,
    state: { running: { startedAt }, waiting: null },
  }
}

function terminated(container: Container, exitCode: number, startedAt: string): Record<string, unknown> {
  const reason = exitCode === 0 ? 'Completed' : 'Error'
  return {
    ...base(container),
    started: false,
    state: { terminated: { exitCode, reason, startedAt, finishedAt: time() }, running: null, waiting: null },
  }
}

/** The kubelet's `/containerLogs/{namespace}/{pod}/{container}`: two lines, then one a second with `follow`. */
async function startLogServer(
  filesDir: string,
  http: KubernetesHttp,
): Promise<{ port: number; close(): Promise<void> }> {
  const authority = await createCertificateAuthority(filesDir)
  const { cert, key } = await authority.issue('kubelet-server', {
    commonName: 'kubelet',
    alternativeNames: ['IP:127.0.0.1'],
  })
  const server = createServer({ cert, key }, (request, response) => {
    const url = new URL(request.url ?? '/', 'https://kubelet')
    const [, verb, namespace, pod, container] = url.pathname.split('/')
    if (verb !== 'containerLogs') response.writeHead(404).end()
    else void writeLog(response, `${namespace}/${pod}/${container}`, url.searchParams)
  })
  async function writeLog(response: ServerResponse, of: string, query: URLSearchParams): Promise<void> {
    const gone = new AbortController()
    response.on('close', () => gone.abort())
    const [namespace, pod] = of.split('/')
    const lines = [`started ${of}`, 'listening on :8080']
    const tail = query.get('tailLines')
    for (const line of tail === null ? lines : lines.slice(lines.length - Number(tail)))
      response.write(`${line}\n`)
    for (let tick = 1; query.get('follow') === 'true' && (await pause(1000, gone.signal)); tick += 1) {
      response.write(`tick ${tick}\n`)
      const { status } = await http
        .get(`/api/v1/namespaces/${namespace}/pods/${pod}`)
        .catch(() => ({ status: 0 }))
      if (status === 404) break
    }
    response.end()
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** RFC 3339 in seconds, as metav1.Time. */
function time(): string {
  return new Date().toISOString().replace(/\.\d+Z$/, 'Z')
}

/** RFC 3339 in microseconds, as metav1.MicroTime. */
function microTime(): string {
  return new Date().toISOString().replace('Z', '000Z')
}

/** False where the signal ended it. */
async function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  return sleep(ms, true, { signal }).catch(() => false)
}
