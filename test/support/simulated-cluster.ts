/**
 * A simulated cluster with nodes, a StorageClass and every controller running, as the contract suites
 * need one: the counterpart of `real-cluster.ts`. Its own clock runs faster than real time, so that
 * pulls and starts of realistic length do not slow the tests down.
 */
import { startControllers } from '../../src/simulator/controllers/control-loop.ts'
import type { KubeObjectInput, ResourceKey, Timeline } from '../../src/simulator/registry.ts'
import { startSimulator, type Simulator } from '../../src/simulator/simulator.ts'

export interface SimulatedCluster {
  readonly simulator: Simulator
  readonly nodeNames: readonly string[]
  close(): Promise<void>
}

export interface SimulatedClusterOptions {
  readonly name: string
  /** Default 3. */
  readonly nodes?: number
  /** Seconds of the cluster in one of ours; default 20. */
  readonly speed?: number
  /** Default: a free one. */
  readonly port?: number
  /** Of its controllers, to be stopped by whoever made it; default: real time until it is closed. */
  readonly timeline?: Timeline
  /** HTTPS, as kubectl needs it: it sends no token over plain HTTP. Default false. */
  readonly tls?: boolean
}

export async function startSimulatedCluster(options: SimulatedClusterOptions): Promise<SimulatedCluster> {
  const { name, nodes = 3, speed = 20, tls = false, port = 0, timeline } = options
  const nodeNames = Array.from({ length: nodes }, (_, index) => `node-${index}`)
  const simulator = await startSimulator({
    name,
    port,
    tls,
    ...(timeline && { timeline }),
    objects: [...nodeNames.map(node), storageClass()],
    controllers: ({ registry, timeline, signal }) => startControllers(registry, timeline, { speed, signal }),
  })
  return { simulator, nodeNames, close: () => simulator.close() }
}

interface Populated {
  readonly key: ResourceKey
  readonly object: KubeObjectInput
}

function node(name: string, index: number): Populated {
  const resources = { cpu: '8', memory: '32Gi', pods: '110', 'ephemeral-storage': '100Gi' }
  return {
    key: { group: '', resource: 'nodes' },
    object: {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: {
        name,
        labels: {
          'kubernetes.io/hostname': name,
          'kubernetes.io/os': 'linux',
          'kubernetes.io/arch': 'amd64',
        },
      },
      spec: { podCIDR: `10.244.${index}.0/24`, podCIDRs: [`10.244.${index}.0/24`] },
      status: {
        capacity: resources,
        allocatable: resources,
        addresses: [
          { type: 'InternalIP', address: `10.0.0.${index + 1}` },
          { type: 'Hostname', address: name },
        ],
        nodeInfo: {
          architecture: 'amd64',
          bootID: '',
          containerRuntimeVersion: 'containerd://2.1.0',
          kernelVersion: '6.12.0',
          kubeProxyVersion: '',
          kubeletVersion: 'v1.34.1',
          machineID: '',
          operatingSystem: 'linux',
          osImage: 'Debian GNU/Linux 12 (bookworm)',
          systemUUID: '',
        },
        conditions: [
          {
            type: 'Ready',
            status: 'True',
            reason: 'KubeletReady',
            message: 'kubelet is posting ready status',
            lastHeartbeatTime: new Date().toISOString().replace(/\.\d+/, ''),
            lastTransitionTime: new Date().toISOString().replace(/\.\d+/, ''),
          },
        ],
      },
    },
  }
}

function storageClass(): Populated {
  return {
    key: { group: 'storage.k8s.io', resource: 'storageclasses' },
    object: {
      apiVersion: 'storage.k8s.io/v1',
      kind: 'StorageClass',
      metadata: {
        name: 'standard',
        annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' },
      },
      provisioner: 'disk.fleetgraph.test',
      reclaimPolicy: 'Delete',
      volumeBindingMode: 'Immediate',
    },
  }
}
