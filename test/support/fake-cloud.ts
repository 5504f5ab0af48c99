/**
 * Stands in for a cloud provider beside a control plane under test: gives Services of type
 * LoadBalancer an address, and PersistentVolumeClaims of its StorageClass a volume (which
 * kube-controller-manager then binds). Addresses are of TEST-NET-3, RFC 5737, and lead nowhere; or, with `balance`, of
 * loopback, where a balancer answers for the ready endpoints of the Service (`fake-balancer.ts`).
 */
import { at, type KubeJson, type KubernetesHttp } from './kubernetes-http.ts'
import { startFakeBalancer, type FakeBalancer } from './fake-balancer.ts'
import { followResource } from './follow-resource.ts'

const FAKE_STORAGE_CLASS = 'standard'
const PROVISIONER = 'disk.fleetgraph.test'

export interface FakeCloud {
  close(): Promise<void>
}

export interface FakeCloudOptions {
  /** Whether HTTP GET of a load balancer's address is answered; default false. */
  readonly balance?: boolean
}

/** Creates the StorageClass `standard`, the default one, if it is missing. */
export async function startFakeCloud(
  http: KubernetesHttp,
  { balance = false }: FakeCloudOptions = {},
): Promise<FakeCloud> {
  const stop = new AbortController()
  const { signal } = stop
  const balancer: FakeBalancer | undefined = balance ? await startFakeBalancer(http) : undefined
  let addresses = 0
  const answer = await http.post('/apis/storage.k8s.io/v1/storageclasses', {
    apiVersion: 'storage.k8s.io/v1',
    kind: 'StorageClass',
    metadata: {
      name: FAKE_STORAGE_CLASS,
      annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' },
    },
    provisioner: PROVISIONER,
    reclaimPolicy: 'Delete',
    volumeBindingMode: 'Immediate',
  })
  if (answer.status !== 409) await http.must(Promise.resolve(answer))

  const addressFor = async (service: KubeJson): Promise<string> => {
    if (balancer) return balancer.open(service)
    addresses += 1
    return `203.0.113.${addresses % 256}`
  }

  const giveAddress = (service: KubeJson): void => {
    if (at(service, 'spec.type') !== 'LoadBalancer' || at(service, 'status.loadBalancer.ingress.0')) return
    const { namespace, name } = service.metadata
    // Gone or changed meanwhile: its next event brings it here again.
    addressFor(service)
      .then((ip) =>
        http.patch(`/api/v1/namespaces/${namespace}/services/${name}/status`, 'merge', {
          status: { loadBalancer: { ingress: [{ ip }] } },
        }),
      )
      .catch(() => undefined)
  }

  const giveVolume = (claim: KubeJson): void => {
    if (at(claim, 'spec.storageClassName') !== FAKE_STORAGE_CLASS || at(claim, 'spec.volumeName')) return
    const { namespace, name, uid, resourceVersion } = claim.metadata
    const volume = {
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      metadata: { name: `pvc-${uid}`, annotations: { 'pv.kubernetes.io/provisioned-by': PROVISIONER } },
      spec: {
        capacity: at(claim, 'spec.resources.requests'),
        accessModes: at(claim, 'spec.accessModes'),
        persistentVolumeReclaimPolicy: 'Retain',
        storageClassName: FAKE_STORAGE_CLASS,
        volumeMode: at(claim, 'spec.volumeMode'),
        hostPath: { path: `/var/lib/disks/${uid}` },
        claimRef: { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace, name, uid, resourceVersion },
      },
    }
    // 409: it was made before, and the binder has not come to it yet.
    http.post('/api/v1/persistentvolumes', volume).catch(() => undefined)
  }

  /** The volume goes with its claim, as reclaimPolicy Delete has it. */
  const takeVolume = (claim: KubeJson): void => {
    const volume = at(claim, 'spec.volumeName')
    if (typeof volume === 'string') http.delete(`/api/v1/persistentvolumes/${volume}`).catch(() => undefined)
  }

  const following = await Promise.all([
    followResource(http, '/api/v1/services', { signal, onObject: giveAddress }),
    followResource(http, '/api/v1/persistentvolumeclaims', {
      signal,
      onObject: giveVolume,
      onGone: takeVolume,
    }),
  ])
  return {
    async close() {
      stop.abort()
      await Promise.all(following.map(({ ended }) => ended))
      await balancer?.close()
    },
  }
}
