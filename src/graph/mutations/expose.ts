/** `expose`: a Service in front of a workload, and perhaps an Ingress in front of that. */
import { project } from '../../kubernetes/projections/projections.ts'
import type { ServiceRow, WorkloadRow } from '../../kubernetes/rows.ts'
import type { ObjectKey, StepResult } from '../../writes/change.ts'
import { composeExposure } from '../../writes/compose/expose.ts'
import type { ExposeSpec, IngressSpec, ServicePortSpec } from '../../writes/compose/expose-spec.ts'
import { builder } from '../builder.ts'
import { within } from '../changes.ts'
import type { GraphContext } from '../context.ts'
import { badUserInput } from '../errors.ts'
import { linksOf } from '../links.ts'
import { ServiceType } from '../kinds/service.ts'
import { isWorkloadKind } from '../relations.ts'
import { changeField, type StepSpec } from './change-field.ts'
import { applied, composed } from './composed.ts'
import { liveObject } from './live-object.ts'
import { KeyValue, keyValueRecord, type KeyValueInput } from './metadata-values.ts'
import { PortProtocol } from './pod-template-input.ts'
import { describeTargets, Targets, targetsOf, type TargetsInput } from './targets.ts'

const PathType = builder.enumType('IngressPathType', {
  description: 'How the path of an Ingress matches.',
  values: {
    Prefix: { description: 'By its beginning, segment by segment.' },
    Exact: { description: 'Only this very path.' },
    ImplementationSpecific: { description: 'As the class of the Ingress has it.' },
  } satisfies Record<NonNullable<IngressSpec['pathType']>, { description: string }>,
})

const ExternalTrafficPolicy = builder.enumType('ExternalTrafficPolicy', {
  description: 'Where traffic from outside of the cluster goes.',
  values: {
    Cluster: { description: 'To pods on any node; they do not see the address of the client.' },
    Local: { description: 'To pods on the node that it came to; they see the address of the client.' },
  },
})

const SessionAffinity = builder.enumType('SessionAffinity', {
  description: 'Whether one client comes to one pod.',
  values: {
    None: { description: 'To any.' },
    ClientIP: { description: 'All traffic of one address comes to the same pod, for some hours.' },
  },
})

const ServicePortInput = builder.inputRef<ServicePortSpec>('ServicePortInput').implement({
  description: 'A port of a Service.',
  fields: (t) => ({
    name: t.string({ description: 'Name; needed where there are several ports.' }),
    port: t.int({ required: true, description: 'Port of the Service.' }),
    targetPort: t.field({
      type: 'IntOrString',
      description:
        "Port of the pods: a number, or the name of a container's port. Absent: the same as `port`.",
    }),
    protocol: t.field({ type: PortProtocol, description: 'Absent: TCP.' }),
    nodePort: t.int({ description: 'Of a NodePort or LoadBalancer: port of each node; absent: a free one.' }),
    appProtocol: t.string({ description: 'What is spoken on it: `http`, `https`, `kubernetes.io/h2c`.' }),
  }),
})

type IngressInput = Omit<IngressSpec, 'annotations'> & {
  readonly annotations?: readonly KeyValueInput[] | null | undefined
}

const IngressInputRef = builder.inputRef<IngressInput>('IngressInput').implement({
  description: 'A route from outside of the cluster to the Service, by host and path.',
  fields: (t) => ({
    name: t.string({ description: 'Name; absent: that of the Service.' }),
    host: t.string({ description: 'Host, such as `shop.example.com` or `*.example.com`; absent: all.' }),
    path: t.string({ description: 'Absent: `/`.' }),
    pathType: t.field({ type: PathType, description: 'How paths match; absent: Prefix.' }),
    className: t.string({ description: 'Class of the Ingress; absent: the default one of the cluster.' }),
    tlsSecret: t.string({ description: 'Name of the Secret with the certificate of the host.' }),
    servicePort: t.field({
      type: 'IntOrString',
      description: 'Port of the Service, by number or name; absent: its first.',
    }),
    annotations: t.field({ type: [KeyValue], description: 'Annotations of the Ingress.' }),
  }),
})

type ExposeInput = Omit<ExposeSpec, 'name' | 'namespace' | 'labels' | 'annotations' | 'ingress'> & {
  readonly targets: TargetsInput
  readonly name?: string | null | undefined
  readonly labels?: readonly KeyValueInput[] | null | undefined
  readonly annotations?: readonly KeyValueInput[] | null | undefined
  readonly ingress?: IngressInput | null | undefined
  readonly force?: boolean | null | undefined
  readonly waitForAddressSeconds?: number | null | undefined
}

changeField<ExposeInput>('expose', {
  description:
    'Puts a Service in front of the pods of workloads, and an Ingress in front of that where one is asked for. With `waitForAddressSeconds` the answer has the links that lead there: `results { links { url } }`.',
  fields: (t) => ({
    targets: t.field({
      type: Targets,
      required: true,
      description:
        'Workloads: Deployments, unless another kind is named; also StatefulSets, DaemonSets and ReplicaSets.',
    }),
    name: t.string({ description: 'Name of the Service; absent: that of the workload.' }),
    type: t.field({ type: ServiceType, description: 'How far it reaches; absent: ClusterIP.' }),
    headless: t.boolean({
      description: 'Of a ClusterIP: no address of its own; its name stands for those of the pods.',
    }),
    ports: t.field({
      type: [ServicePortInput],
      description: 'Its ports; absent: those that the containers of the workload declare.',
    }),
    externalName: t.string({ description: 'Of an ExternalName: the DNS name that it stands for.' }),
    loadBalancerClass: t.string({ description: 'Of a LoadBalancer: who makes it.' }),
    loadBalancerSourceRanges: t.stringList({
      description: 'Of a LoadBalancer: from where it is reached, as CIDRs.',
    }),
    externalTrafficPolicy: t.field({
      type: ExternalTrafficPolicy,
      description: 'Of a NodePort or LoadBalancer; absent: Cluster.',
    }),
    sessionAffinity: t.field({ type: SessionAffinity, description: 'Absent: None.' }),
    labels: t.field({ type: [KeyValue], description: 'Labels of the Service and the Ingress.' }),
    annotations: t.field({
      type: [KeyValue],
      description: 'Annotations of the Service; clouds read some of them.',
    }),
    ingress: t.field({ type: IngressInputRef, description: 'A route from outside to it.' }),
    force: t.boolean({
      defaultValue: false,
      description: 'Whether to take over fields that other managers own.',
    }),
    waitForAddressSeconds: t.int({
      defaultValue: 0,
      description:
        'Seconds to wait for an address from outside – of the load balancer, the Ingress, or a node –, 0 to 25. The links that are known by then are in the answer; later ones are told by `serviceChanges`.',
    }),
  }),
  compose: async (input, context, path) => {
    const { targets, name, labels, annotations, ingress, force, waitForAddressSeconds, ...rest } = input
    within(`${path}.waitForAddressSeconds`, waitForAddressSeconds ?? 0, 0, 25)
    const { objects, known } = targetsOf(
      targets,
      { kinds: ['Deployment', 'StatefulSet', 'DaemonSet', 'ReplicaSet'] },
      context,
      `${path}.targets`,
    )
    const names = objects.map((object) => `${object.cluster}/${object.namespace}/${name ?? object.name}`)
    if (new Set(names).size < names.length) {
      throw badUserInput('Several workloads of a namespace cannot have one Service.', `${path}.name`)
    }
    const read = await Promise.all(
      objects.map(async (object) => ({ object, ...(await workloadOf(object, context)) })),
    )
    const unread = read.flatMap(({ failure }) => failure ?? [])
    const steps = read.flatMap(({ object, workload }): StepSpec[] => {
      if (!workload) return []
      const { service, ingress: route } = composed(
        () =>
          composeExposure(
            {
              ...rest,
              name: name ?? object.name,
              namespace: object.namespace ?? '',
              ...(labels && { labels: keyValueRecord(labels, 'label', `${path}.labels`) }),
              ...(annotations && {
                annotations: keyValueRecord(annotations, 'annotation', `${path}.annotations`),
              }),
              ...(ingress && { ingress: ingressOf(ingress, `${path}.ingress`) }),
            },
            rest.type === 'ExternalName'
              ? null
              : {
                  selector: workload.selector,
                  ports: workload.containers
                    .filter(({ type }) => type !== 'INIT')
                    .flatMap(({ ports }) => ports),
                },
          ),
        path,
      )
      return applied(route ? [service, route] : [service], object.cluster, {
        force: force ?? false,
        createNamespace: null,
        purpose: 'expose',
        group: `${object.kind} ${object.namespace}/${object.name}`,
      })
    })
    return { title: `expose ${describeTargets(objects)}`, steps, known: [...known, ...unread] }
  },
  after: async ({ results }, { waitForAddressSeconds }, context) => {
    const services = results.filter(
      ({ object, dryRun, error }) => object.kind === 'Service' && !dryRun && !error,
    )
    if (waitForAddressSeconds && services.length > 0) {
      await addresses(services, waitForAddressSeconds * 1_000, context)
    }
  },
})

/** As it is now: its ports may have been deployed a moment ago. */
async function workloadOf(
  object: ObjectKey,
  context: GraphContext,
): Promise<{ readonly workload?: WorkloadRow; readonly failure?: StepResult }> {
  const { kind, cluster } = object
  const read = await liveObject(object, 'expose', context)
  if ('failure' in read) return { failure: read.failure }
  return isWorkloadKind(kind) ? { workload: project(kind)(read.live, cluster) } : {}
}

function ingressOf({ annotations, ...rest }: IngressInput, path: string): IngressSpec {
  if (!annotations) return rest
  return { ...rest, annotations: keyValueRecord(annotations, 'annotation', `${path}.annotations`) }
}

/** Resolves when all of these Services can be reached from outside, as far as memory knows, or after this time. */
async function addresses(
  services: readonly StepResult[],
  timeoutMs: number,
  { fleet, clock, signal }: GraphContext,
): Promise<void> {
  const clusters = new Set(services.map(({ object }) => object.cluster))
  const done = new AbortController()
  const end = () => done.abort()
  signal?.addEventListener('abort', end, { once: true })
  const cancel = clock.after(timeoutMs, end)
  const areThere = () =>
    services.every(({ object: { cluster, namespace, name } }) => {
      const row: ServiceRow | undefined = fleet.get('Service', cluster, namespace ?? '', name)
      return row !== undefined && linksOf(row, fleet).length > 0
    })
  try {
    const following = fleet.follow(
      {
        type: 'rows',
        kinds: ['Service', 'Ingress'],
        clusters: ({ name }) => clusters.has(name),
        selection: { namespaces: [...new Set(services.map(({ object }) => object.namespace ?? ''))] },
        throttleMs: 0,
      },
      { snapshot: true },
      done.signal,
    )
    const changes = following[Symbol.asyncIterator]()
    while (!(await changes.next()).done) if (areThere()) return
  } finally {
    cancel()
    signal?.removeEventListener('abort', end)
    end()
  }
}
