/**
 * Every node's kubelet of one cluster: gives each pod on a node that is up a worker while something is
 * still to happen to it, ends pods that are deleted, hands out pod addresses from the node's range.
 *
 * Invariant: workers exist only for pods in transition (starting, failing, finite, stopping). A node that
 * is told to be down (annotation `fleetgraph.dev/simulate: down`) freezes its workers until it is up again.
 */
import type { Commit } from '../registry.ts'
import { SIMULATE, stableHash, canonicalImage } from './container-behaviour.ts'
import type { ControlContext, Controller } from './control-context.ts'
import {
  committed,
  keyOf,
  NODES,
  PODS,
  read,
  readAll,
  splitKey,
  type ClusterNode,
  type Pod,
} from './objects.ts'
import { isTerminal } from './pod-template.ts'
import { PodWorker, type NodeFacts } from './pod-worker.ts'

/** The node's machine: which images it has and which addresses are taken. */
interface Machine extends NodeFacts {
  readonly taken: Set<number>
  /** Work that came due while the node was down. */
  readonly parked: Set<() => void>
}

export function kubelet(context: ControlContext): Controller {
  const { registry, clock } = context
  const workers = new Map<string, PodWorker>()
  const machines = new Map<string, Machine>()

  return {
    name: 'kubelet',
    watches: ['pods', 'nodes'],
    start(enqueue) {
      for (const pod of readAll(registry, PODS)) {
        const { nodeName } = pod.spec
        if (nodeName !== undefined) noteRunning(machineOf(nodeName), pod)
        if (
          pod.metadata.deletionTimestamp !== undefined ||
          (nodeName !== undefined && !PodWorker.isSettled(pod))
        ) {
          enqueue(keyOf(pod))
        }
      }
    },
    observe(commit, enqueue) {
      if (observeNode(commit)) {
        for (const pod of registry.listByNode(commit.object.metadata.name)) {
          if (pod.metadata.deletionTimestamp !== undefined || !PodWorker.isSettled(pod as Pod))
            enqueue(keyOf(pod))
        }
        return
      }
      const change = committed(commit, PODS)
      if (change === undefined) return
      const { object, previous } = change
      if (commit.type === 'DELETED') {
        forget(object)
        return
      }
      // A population that is loaded late brings pods that run already.
      if (previous === undefined && object.spec.nodeName !== undefined)
        noteRunning(machineOf(object.spec.nodeName), object)
      // Its own status writes do not wake it: only a new place, a changed spec or a deletion does.
      const isNews =
        previous?.spec !== object.spec ||
        previous.metadata.deletionTimestamp !== object.metadata.deletionTimestamp
      if (isNews && (object.spec.nodeName !== undefined || object.metadata.deletionTimestamp !== undefined)) {
        enqueue(keyOf(object))
      }
    },
    sync(key) {
      const { namespace, name } = splitKey(key)
      const pod = read(registry, PODS, namespace, name)
      if (pod === undefined) return
      const { nodeName } = pod.spec
      const { deletionTimestamp, uid } = pod.metadata
      if (nodeName === undefined) {
        if (deletionTimestamp !== undefined) remove(pod)
        return
      }
      if (isDown(nodeName)) return
      const known = workers.get(uid)
      if (deletionTimestamp !== undefined) {
        if (isTerminal(pod)) remove(pod)
        else (known ?? employ(pod, nodeName)).stop(pod, () => remove(pod))
      } else if (known !== undefined) known.reconcile(pod)
      else if (!PodWorker.isSettled(pod)) employ(pod, nodeName).start()
      else if (!isTerminal(pod) && !runsItsImages(pod)) {
        // Settled with the old image: the worker learns the old containers, then sees the new ones.
        employ(withStatusImages(pod), nodeName).reconcile(pod)
      }
    },
    close() {
      for (const worker of workers.values()) worker.cancel()
      workers.clear()
    },
  }

  function employ(pod: Pod, nodeName: string): PodWorker {
    const machine = machineOf(nodeName)
    const { uid } = pod.metadata
    const worker = new PodWorker(
      {
        ...context,
        nodeName,
        node: machine,
        later: (seconds, work) => {
          const parked = () => work()
          const cancel = clock.after(seconds, () => {
            if (isDown(nodeName)) machine.parked.add(parked)
            else work()
          })
          return () => {
            cancel()
            machine.parked.delete(parked)
          }
        },
        done: () => {
          if (workers.get(uid) === worker) workers.delete(uid)
        },
      },
      pod,
    )
    workers.set(uid, worker)
    return worker
  }

  /** The kubelet's last word; where finalizers are left, the pod stays with no grace left. */
  function remove({ metadata }: Pod): void {
    const { namespace = '', name } = metadata
    const current = read(registry, PODS, namespace, name)
    if (current?.metadata.uid !== metadata.uid) return
    if ((current.metadata.finalizers ?? []).length > 0)
      registry.delete(PODS, namespace, name, { gracePeriodSeconds: 0 })
    else registry.finishDelete(PODS, namespace, name)
  }

  function forget(pod: Pod): void {
    workers.get(pod.metadata.uid)?.cancel()
    workers.delete(pod.metadata.uid)
    const last = addressNumber(pod.status?.podIP)
    if (last !== undefined) machines.get(pod.spec.nodeName ?? '')?.taken.delete(last)
  }

  function isDown(nodeName: string): boolean {
    const node = read(registry, NODES, '', nodeName)
    return node === undefined || isSimulatedDown(node)
  }

  /** True where the node has just come (back) up: its pods want looking at. */
  function observeNode(commit: Commit): boolean {
    const change = committed(commit, NODES)
    if (change === undefined || commit.type === 'DELETED') return false
    const { object, previous } = change
    if (previous !== undefined && (!isSimulatedDown(previous) || isSimulatedDown(object))) return false
    const machine = machines.get(object.metadata.name)
    if (machine !== undefined) {
      for (const work of machine.parked) clock.after(0, work)
      machine.parked.clear()
    }
    return true
  }

  function machineOf(nodeName: string): Machine {
    let machine = machines.get(nodeName)
    if (machine !== undefined) return machine
    const node = read(registry, NODES, '', nodeName)
    const [base, size] = rangeOf(node)
    const images = new Set<string>()
    const taken = new Set<number>()
    let next = base + 2
    machine = {
      taken,
      parked: new Set(),
      hostIP: node?.status?.addresses?.find(({ type }) => type === 'InternalIP')?.address ?? '10.0.0.1',
      hasImage: (image) => images.has(canonicalImage(image)),
      addImage: (image) => images.add(canonicalImage(image)),
      podIP() {
        for (let tries = 0; tries < size; tries++) {
          const candidate = next
          next = next + 1 >= base + size - 1 ? base + 2 : next + 1
          if (taken.has(candidate)) continue
          taken.add(candidate)
          return addressText(candidate)
        }
        return addressText(base + 2)
      },
    }
    machines.set(nodeName, machine)
    return machine
  }

  function noteRunning(machine: Machine, pod: Pod): void {
    const number = addressNumber(pod.status?.podIP)
    if (number !== undefined) machine.taken.add(number)
    for (const { image } of pod.spec.containers) machine.addImage(image)
  }
}

/** Told by its annotation to play dead. */
export function isSimulatedDown(node: ClusterNode): boolean {
  return node.metadata.annotations?.[SIMULATE] === 'down'
}

function runsItsImages(pod: Pod): boolean {
  return pod.spec.containers.every(({ image }, i) => {
    const status = pod.status?.containerStatuses?.[i]
    return status === undefined || status.image === image || status.image === canonicalImage(image)
  })
}

function withStatusImages(pod: Pod): Pod {
  const containers = pod.spec.containers.map((container, i) => ({
    ...container,
    image: pod.status?.containerStatuses?.[i]?.image ?? container.image,
  }))
  return { ...pod, spec: { ...pod.spec, containers } }
}

/** First address and number of addresses of the node's pod range; one made from its name where it has none. */
function rangeOf(node: ClusterNode | undefined): readonly [number, number] {
  const fallback = `10.${64 + (stableHash(node?.metadata.name ?? '') % 128)}.${stableHash(`${node?.metadata.name}#`) % 256}.0/24`
  const [address = '', bits = '24'] = (node?.spec?.podCIDR ?? fallback).split('/')
  return [addressNumber(address) ?? addressNumber('10.244.0.0') ?? 0, 2 ** (32 - Number(bits))]
}

function addressNumber(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d+\.\d+\.\d+\.\d+$/.test(text)) return undefined
  return text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
}

function addressText(number: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join('.')
}
