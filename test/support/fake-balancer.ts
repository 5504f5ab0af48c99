/**
 * The load balancers of the fake cloud: for each Service an address of loopback, on which its ports answer HTTP for one
 * ready endpoint of its EndpointSlices after the other, as kube-proxy would lead there. Fake pods serve nothing, so the
 * balancer answers in their name: with the name of the pod as text. Without a ready endpoint it answers 503.
 */
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { followResource } from './follow-resource.ts'
import { at, type KubeJson, type KubernetesHttp } from './kubernetes-http.ts'

export interface FakeBalancer {
  /** The address on which all TCP ports of the Service answer from now on; the same for the same Service. */
  open(service: KubeJson): Promise<string>
  close(): Promise<void>
}

interface Endpoint {
  readonly conditions?: { readonly ready?: boolean }
  readonly targetRef?: { readonly kind: string; readonly name: string }
}

/** Of 127/8: the second number tells processes of one machine apart, as far as that goes. */
const NETWORK = `127.${64 + (process.pid % 128)}`
let addresses = 0

/** Ports below 1024 need a process that may listen there. */
export async function mayServe(port: number): Promise<boolean> {
  const server = createServer()
  server.listen(port, `${NETWORK}.255.254`)
  try {
    await once(server, 'listening')
    return true
  } catch {
    return false
  } finally {
    server.close()
  }
}

export async function startFakeBalancer(http: KubernetesHttp): Promise<FakeBalancer> {
  const stop = new AbortController()
  /** By `namespace/name` of the slice. */
  const slices = new Map<string, KubeJson>()
  /** By uid of the Service. */
  const opened = new Map<string, { readonly address: string; readonly servers: readonly Server[] }>()
  const keyOf = ({ metadata }: KubeJson) => `${metadata.namespace}/${metadata.name}`
  const following = await followResource(http, '/apis/discovery.k8s.io/v1/endpointslices', {
    signal: stop.signal,
    onObject: (slice) => void slices.set(keyOf(slice), slice),
    onGone: (slice) => void slices.delete(keyOf(slice)),
  })

  const readyPods = ({ metadata: { namespace, name } }: KubeJson): readonly string[] =>
    [...slices.values()]
      .filter(
        ({ metadata }) =>
          metadata.namespace === namespace && metadata.labels?.['kubernetes.io/service-name'] === name,
      )
      .flatMap((slice) => (at(slice, 'endpoints') ?? []) as readonly Endpoint[])
      .filter(({ conditions }) => conditions?.ready !== false)
      .flatMap(({ targetRef }) => (targetRef?.kind === 'Pod' ? [targetRef.name] : []))

  const serve = async (service: KubeJson, address: string, port: number): Promise<Server> => {
    let turn = 0
    const server = createServer((_request, response) => {
      const pods = readyPods(service)
      if (pods.length === 0) response.writeHead(503).end('no endpoint is ready\n')
      else response.end(`${pods[turn++ % pods.length]}\n`)
    })
    server.listen(port, address)
    await once(server, 'listening')
    return server
  }

  return {
    async open(service) {
      const { uid } = service.metadata
      const known = opened.get(uid)
      if (known) return known.address
      addresses += 1
      const address = `${NETWORK}.${(addresses >> 8) % 255}.${addresses % 256}`
      const servers: Server[] = []
      opened.set(uid, { address, servers })
      for (const { port } of (at(service, 'spec.ports') ?? []) as readonly { readonly port: number }[]) {
        servers.push(await serve(service, address, port))
      }
      return address
    },
    async close() {
      stop.abort()
      await following.ended
      for (const server of [...opened.values()].flatMap(({ servers }) => servers)) {
        server.closeAllConnections()
        await new Promise((resolve) => server.close(resolve))
      }
    },
  }
}
