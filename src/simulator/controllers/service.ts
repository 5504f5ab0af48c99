/**
 * The cloud's service controller: a LoadBalancer service gets an external address a few seconds after it
 * is made, and loses it when it stops being one. Cluster IPs and node ports are the API server's, at
 * creation. Source: `cloud-provider/controllers/service`.
 */
import { stableHash } from './container-behaviour.ts'
import type { ControlContext, Controller, Enqueue } from './control-context.ts'
import { committed, keyOf, read, readAll, SERVICES, splitKey, type Service } from './objects.ts'

const from = { component: 'service-controller' }
/** Shortest and longest time that the cloud takes, in the cluster's seconds. */
const [quickest, slowest] = [2, 6]

export function serviceController({ registry, random, events }: ControlContext): Controller {
  /** Services whose balancer is being made. */
  const ordered = new Set<string>()
  let enqueueLater: Enqueue = () => {}

  return {
    name: 'service',
    watches: ['services'],
    start(enqueue) {
      enqueueLater = enqueue
      for (const service of readAll(registry, SERVICES)) enqueue(keyOf(service))
    },
    observe(commit, enqueue) {
      const change = committed(commit, SERVICES)
      if (change === undefined) return
      if (commit.type === 'DELETED') ordered.delete(keyOf(change.object))
      else enqueue(keyOf(change.object))
    },
    sync(key) {
      const { namespace, name } = splitKey(key)
      const service = read(registry, SERVICES, namespace, name)
      if (service === undefined || service.metadata.deletionTimestamp !== undefined) return
      const given = service.status?.loadBalancer?.ingress ?? []
      const wanted = service.spec.type === 'LoadBalancer' && service.spec.loadBalancerClass === undefined
      if (!wanted) {
        ordered.delete(key)
        if (given.length > 0) write(service, {})
        return
      }
      if (given.length > 0) return
      if (!ordered.has(key)) {
        ordered.add(key)
        events.record(service, 'Normal', 'EnsuringLoadBalancer', 'Ensuring load balancer', from)
        enqueueLater(key, quickest + random() * (slowest - quickest))
        return
      }
      ordered.delete(key)
      write(service, { ingress: [{ ip: addressOf(service), ipMode: 'VIP' }] })
      events.record(service, 'Normal', 'EnsuredLoadBalancer', 'Ensured load balancer', from)
    },
  }

  function write(service: Service, loadBalancer: Readonly<Record<string, unknown>>): void {
    registry.update(
      SERVICES,
      { ...service, status: { ...service.status, loadBalancer } },
      { subresource: 'status' },
    )
  }
}

/** From the documentation range 203.0.113.0/24 and the benchmark range 198.18.0.0/15: never a real host. */
function addressOf({ metadata, spec }: Service): string {
  const asked = spec['loadBalancerIP']
  if (typeof asked === 'string' && asked !== '') return asked
  const hash = stableHash(metadata.uid)
  return `198.${18 + (hash & 1)}.${(hash >>> 1) & 255}.${1 + ((hash >>> 9) % 254)}`
}
