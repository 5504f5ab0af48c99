/**
 * One workload, from what `deploy` is asked for to the objects of one cluster, which are applied on the server's side.
 *
 * Invariants: only what was asked for is in the objects, so that nobody comes to own a field by chance; the selector
 * depends on the name alone, since it can never be changed; what the API server would refuse is refused here with
 * the argument at fault, before anything is sent to any cluster.
 */
import type { KubernetesJson } from '../../kubernetes/json.ts'
import { dnsLabel, dnsLabel1035, dnsSubdomain, labelValue, qualifiedName, quoted } from '../names.ts'
import {
  annotations,
  countOrPercent,
  distinct,
  fields,
  given,
  integer,
  labels,
  listOf,
  MANAGED_BY,
  named,
  optionalInteger,
  refuse,
} from './checks.ts'
import { composeContainer, composeVariable, type ContainerRole } from './containers.ts'
import type {
  ContainerSpec,
  DeployableKind,
  DeployOptions,
  DeployOverrides,
  DeploySpec,
  EnvironmentOverride,
  StrategySpec,
  TolerationSpec,
} from './deploy-spec.ts'
import { isRegistry } from './image.ts'
import { schedule, timeZone } from './schedule.ts'
import { composeVolumes } from './volumes.ts'

const NAME_LABEL = 'app.kubernetes.io/name'

export interface ComposedWorkload {
  /** To be created where it is not there, and not to be changed where it is; `null`: nobody asked for it. */
  readonly namespace: KubernetesJson | null
  /** To be applied, in this order; the workload is the last. */
  readonly objects: readonly KubernetesJson[]
}

/** Throws nothing but `ComposeError`; arguments at fault in `overrides` begin with `overrides.`. */
export function composeWorkload(
  spec: DeploySpec,
  overrides: DeployOverrides = {},
  { allowHostPath = false }: DeployOptions = {},
): ComposedWorkload {
  checkName(spec)
  const namespace = named('namespace', spec.namespace, dnsLabel)
  checkKind(spec, overrides)
  const own = labels('labels', spec.labels, NAME_LABEL) ?? {}
  const selector = { [NAME_LABEL]: spec.name }
  const { volumes, claimTemplates, names } = composeVolumes(spec.volumes ?? [], spec.kind, allowHostPath)
  const containers = composeContainers(spec, overrides, names)
  const runs = spec.kind === 'Job' || spec.kind === 'CronJob'

  const pod = fields({
    ...containers,
    volumes: volumes.length > 0 ? volumes : undefined,
    restartPolicy: runs ? (spec.restartPolicy ?? 'Never') : undefined,
    serviceAccountName: given(spec.serviceAccountName)
      ? named('serviceAccountName', spec.serviceAccountName, dnsSubdomain)
      : undefined,
    imagePullSecrets: composePullSecrets(spec),
    nodeSelector: composeNodeSelector(spec),
    tolerations: listOf(spec.tolerations, (toleration, index) =>
      composeToleration(`tolerations[${index}]`, toleration),
    ),
    terminationGracePeriodSeconds: optionalInteger(
      'terminationGracePeriodSeconds',
      spec.terminationGracePeriodSeconds,
      0,
    ),
    securityContext: given(spec.fsGroup) ? { fsGroup: integer('fsGroup', spec.fsGroup, 0) } : undefined,
  })
  const template = {
    metadata: fields({
      // Pods of jobs come and go: no Service that selects a workload of the same name is to find them.
      labels: runs ? { ...own, ...MANAGED_BY } : { ...own, ...selector, ...MANAGED_BY },
      annotations: annotations('podAnnotations', spec.podAnnotations),
    }),
    spec: pod,
  }
  const metadata = fields({
    name: spec.name,
    namespace,
    labels: { ...own, ...selector, ...MANAGED_BY },
    annotations: annotations('annotations', spec.annotations),
  })
  const replicas = optionalInteger('replicas', spec.replicas, 0)
  const replicasHere = optionalInteger('overrides.replicas', overrides.replicas, 0) ?? replicas
  const workload = (apiVersion: string, body: Record<string, unknown>): KubernetesJson => ({
    apiVersion,
    kind: spec.kind,
    metadata,
    spec: fields(body),
  })

  const objects: KubernetesJson[] = []
  switch (spec.kind) {
    case 'Deployment':
      objects.push(
        workload('apps/v1', {
          replicas: replicasHere,
          selector: { matchLabels: selector },
          strategy: given(spec.strategy) ? deploymentStrategy(spec.strategy) : undefined,
          template,
        }),
      )
      break
    case 'StatefulSet': {
      const serviceName = given(spec.serviceName)
        ? named('serviceName', spec.serviceName, dnsLabel1035)
        : named('name', spec.name, dnsLabel1035)
      if (!given(spec.serviceName)) {
        objects.push(
          headlessService(spec, { name: spec.name, namespace, labels: metadata['labels'] }, selector),
        )
      }
      objects.push(
        workload('apps/v1', {
          replicas: replicasHere,
          serviceName,
          selector: { matchLabels: selector },
          updateStrategy: given(spec.strategy) ? statefulSetStrategy(spec.strategy) : undefined,
          template,
          volumeClaimTemplates: claimTemplates.length > 0 ? claimTemplates : undefined,
        }),
      )
      break
    }
    case 'DaemonSet':
      objects.push(
        workload('apps/v1', {
          selector: { matchLabels: selector },
          updateStrategy: given(spec.strategy) ? daemonSetStrategy(spec.strategy) : undefined,
          template,
        }),
      )
      break
    case 'Job':
      objects.push(workload('batch/v1', { ...jobOf(spec), template }))
      break
    case 'CronJob':
      objects.push(
        workload('batch/v1', {
          schedule: given(spec.schedule)
            ? named('schedule', spec.schedule, schedule)
            : refuse('schedule', 'a CronJob needs one: five fields as `0 3 * * *`, or `@daily`.'),
          timeZone: given(spec.timeZone) ? named('timeZone', spec.timeZone, timeZone) : undefined,
          concurrencyPolicy: spec.concurrencyPolicy,
          suspend: spec.suspend,
          jobTemplate: { spec: fields({ ...jobOf(spec), template }) },
        }),
      )
      break
  }
  return { namespace: spec.createNamespace ? namespaceOf(namespace) : null, objects }
}

function namespaceOf(name: string): KubernetesJson {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name } }
}

/** What else a name has to leave room for: suffixes of the objects, and labels with them, that controllers make. */
const MOST_OF_NAME: Readonly<Record<DeployableKind, number>> = {
  // A label of its pods has the name, a hyphen and a hash of ten characters.
  StatefulSet: 52,
  DaemonSet: 52,
  // Its Jobs have eleven characters more.
  CronJob: 52,
  Deployment: 63,
  Job: 63,
}

function checkName({ name, kind }: DeploySpec): void {
  named('name', name, dnsLabel)
  const most = MOST_OF_NAME[kind]
  if (name.length > most) {
    refuse('name', `${quoted(name)} is longer than ${most} characters, which is the most for a ${kind}.`)
  }
}

const SCALED: readonly DeployableKind[] = ['Deployment', 'StatefulSet']
const JOBS: readonly DeployableKind[] = ['Job', 'CronJob']

/** Arguments that only some kinds have. */
const KINDS_OF = {
  replicas: SCALED,
  strategy: ['Deployment', 'StatefulSet', 'DaemonSet'],
  schedule: ['CronJob'],
  timeZone: ['CronJob'],
  concurrencyPolicy: ['CronJob'],
  suspend: ['CronJob'],
  completions: JOBS,
  parallelism: JOBS,
  backoffLimit: JOBS,
  activeDeadlineSeconds: JOBS,
  ttlSecondsAfterFinished: JOBS,
  restartPolicy: JOBS,
  serviceName: ['StatefulSet'],
} as const satisfies { readonly [key in keyof DeploySpec]?: readonly DeployableKind[] }

function checkKind(spec: DeploySpec, overrides: DeployOverrides): void {
  for (const [key, kinds] of Object.entries(KINDS_OF)) {
    const isOf: readonly DeployableKind[] = kinds
    if (!given(spec[key as keyof typeof KINDS_OF]) || isOf.includes(spec.kind)) continue
    refuse(key, `a ${spec.kind} has none: leave it out, or use the kind ${isOf.join(' or ')}.`)
  }
  if (given(overrides.replicas) && !SCALED.includes(spec.kind)) {
    refuse('overrides.replicas', `a ${spec.kind} has none: leave it out.`)
  }
}

interface Place {
  readonly argument: string
  readonly role: ContainerRole
  readonly name: string
  readonly spec: ContainerSpec
}

function composeContainers(spec: DeploySpec, overrides: DeployOverrides, volumes: ReadonlySet<string>) {
  if (spec.containers.length === 0) refuse('containers', 'a workload needs at least one.')
  const place = (list: string, role: ContainerRole) => (one: ContainerSpec, index: number) => {
    const argument = `${list}[${index}]`
    const name = one.name ?? (role === 'MAIN' && spec.containers.length === 1 ? spec.name : undefined)
    if (name === undefined) refuse(`${argument}.name`, 'it needs a name, since it is not the only container.')
    return { argument, role, name, spec: one }
  }
  const places: readonly Place[] = [
    // Init containers first: sidecars are started after them, and beside the containers.
    ...(spec.initContainers ?? []).map(place('initContainers', 'INIT')),
    ...(spec.sidecars ?? []).map(place('sidecars', 'SIDECAR')),
    ...spec.containers.map(place('containers', 'MAIN')),
  ]
  distinct(
    (index) => `${places[index]!.argument}.name`,
    places.map(({ name }) => name),
    'the name',
  )

  const { imageRegistry } = overrides
  if (given(imageRegistry) && !isRegistry(imageRegistry)) {
    refuse(
      'overrides.imageRegistry',
      `${quoted(imageRegistry)} is no registry: write a host with a dot or a port, as \`registry.example.com\` or \`registry.example.com:5000/mirror\`.`,
    )
  }
  const variables = checkVariables(overrides.env ?? [], places)
  const made = places.map(({ argument, role, name, spec }) => ({
    role,
    container: withVariables(
      composeContainer(spec, { argument, role, name, volumes, imageRegistry: imageRegistry ?? undefined }),
      variables.filter(({ container }) => (container === null ? role !== 'INIT' : container === name)),
    ),
  }))
  const init = made.filter(({ role }) => role !== 'MAIN').map(({ container }) => container)
  return {
    initContainers: init.length > 0 ? init : undefined,
    containers: made.filter(({ role }) => role === 'MAIN').map(({ container }) => container),
  }
}

interface OverridingVariable {
  /** `null`: all but init containers. */
  readonly container: string | null
  readonly variable: Record<string, unknown>
}

function checkVariables(
  overrides: readonly EnvironmentOverride[],
  places: readonly Place[],
): readonly OverridingVariable[] {
  const made = overrides.map((one, index) => {
    const argument = `overrides.env[${index}]`
    const container = one.container ?? null
    if (container !== null && !places.some(({ name }) => name === container)) {
      refuse(`${argument}.container`, `${quoted(container)} is the name of none of the containers.`)
    }
    return { container, variable: composeVariable(argument, one) }
  })
  distinct(
    (index) => `overrides.env[${index}]`,
    overrides.map(({ name, container }) => (container ? `${name} of ${container}` : name)),
    'the name',
  )
  // Those of one container win over those of all.
  return made.toSorted((one, other) => Number(one.container !== null) - Number(other.container !== null))
}

function withVariables(
  container: Record<string, unknown>,
  variables: readonly OverridingVariable[],
): Record<string, unknown> {
  if (variables.length === 0) return container
  const own = (container['env'] ?? []) as readonly Record<string, unknown>[]
  const byName = new Map(own.map((variable) => [variable['name'], variable]))
  for (const { variable } of variables) byName.set(variable['name'], variable)
  return { ...container, env: [...byName.values()] }
}

function composePullSecrets({ imagePullSecrets }: DeploySpec) {
  const made = listOf(imagePullSecrets, (name, index) => ({
    name: named(`imagePullSecrets[${index}]`, name, dnsSubdomain),
  }))
  distinct((index) => `imagePullSecrets[${index}]`, imagePullSecrets ?? [], 'the name')
  return made
}

function composeNodeSelector({ nodeSelector }: DeploySpec): Record<string, string> | undefined {
  const entries = Object.entries(nodeSelector ?? {})
  for (const [key, value] of entries) {
    const place = `nodeSelector[${JSON.stringify(key)}]`
    named(place, key, qualifiedName)
    named(place, value, labelValue)
  }
  return entries.length > 0 ? Object.fromEntries(entries) : undefined
}

function composeToleration(argument: string, toleration: TolerationSpec): Record<string, unknown> {
  const { effect, tolerationSeconds } = toleration
  const key = toleration.key ? named(`${argument}.key`, toleration.key, qualifiedName) : undefined
  const operator = toleration.operator ?? 'Equal'
  if (key === undefined && operator !== 'Exists') {
    refuse(`${argument}.key`, 'it is missing: without it the operator has to be `Exists`.')
  }
  if (operator === 'Exists' && toleration.value) {
    refuse(`${argument}.value`, 'the operator `Exists` looks at no value: leave it out.')
  }
  if (given(tolerationSeconds) && effect !== 'NoExecute') {
    refuse(`${argument}.tolerationSeconds`, 'only the effect `NoExecute` has a time.')
  }
  return fields({
    key,
    operator,
    value: toleration.value ? named(`${argument}.value`, toleration.value, labelValue) : undefined,
    effect,
    tolerationSeconds: optionalInteger(`${argument}.tolerationSeconds`, tolerationSeconds, 0),
  })
}

function jobOf(spec: DeploySpec): Record<string, unknown> {
  const count = (key: 'completions' | 'parallelism' | 'backoffLimit' | 'ttlSecondsAfterFinished') =>
    optionalInteger(key, spec[key], 0)
  return {
    completions: count('completions'),
    parallelism: count('parallelism'),
    backoffLimit: count('backoffLimit'),
    activeDeadlineSeconds: optionalInteger('activeDeadlineSeconds', spec.activeDeadlineSeconds, 1),
    ttlSecondsAfterFinished: count('ttlSecondsAfterFinished'),
  }
}

function isZero(count: number | string | undefined): boolean {
  return count === 0 || count === '0%'
}

function deploymentStrategy({ type, maxSurge, maxUnavailable }: StrategySpec): Record<string, unknown> {
  if (type === 'OnDelete')
    refuse('strategy.type', 'a Deployment has none: use `RollingUpdate` or `Recreate`.')
  if (type === 'Recreate') {
    if (given(maxSurge)) refuse('strategy.maxSurge', '`Recreate` has none: leave it out.')
    if (given(maxUnavailable)) refuse('strategy.maxUnavailable', '`Recreate` has none: leave it out.')
    return { type }
  }
  const surge = given(maxSurge) ? countOrPercent('strategy.maxSurge', maxSurge, 1000) : undefined
  const missing = given(maxUnavailable)
    ? countOrPercent('strategy.maxUnavailable', maxUnavailable, 100)
    : undefined
  if (isZero(surge) && isZero(missing)) {
    refuse('strategy.maxUnavailable', 'it may not be 0 where `maxSurge` is 0: no pod could be replaced.')
  }
  return rolling(surge, missing)
}

function statefulSetStrategy({ type, maxSurge, maxUnavailable }: StrategySpec): Record<string, unknown> {
  if (type === 'Recreate')
    refuse('strategy.type', 'a StatefulSet has none: use `RollingUpdate` or `OnDelete`.')
  if (given(maxSurge)) refuse('strategy.maxSurge', 'a StatefulSet has none: leave it out.')
  if (given(maxUnavailable)) refuse('strategy.maxUnavailable', 'a StatefulSet has none: leave it out.')
  return { type: type ?? 'RollingUpdate' }
}

function daemonSetStrategy({ type, maxSurge, maxUnavailable }: StrategySpec): Record<string, unknown> {
  if (type === 'Recreate') refuse('strategy.type', 'a DaemonSet has none: use `RollingUpdate` or `OnDelete`.')
  if (type === 'OnDelete') {
    if (given(maxSurge)) refuse('strategy.maxSurge', '`OnDelete` has none: leave it out.')
    if (given(maxUnavailable)) refuse('strategy.maxUnavailable', '`OnDelete` has none: leave it out.')
    return { type }
  }
  const surge = given(maxSurge) ? countOrPercent('strategy.maxSurge', maxSurge, 100) : undefined
  const surges = surge !== undefined && !isZero(surge)
  const missing = given(maxUnavailable)
    ? countOrPercent('strategy.maxUnavailable', maxUnavailable, 100)
    : // Its default is 1, which the API server refuses beside a surge.
      surges
      ? 0
      : undefined
  if (isZero(missing) !== surges && missing !== undefined) {
    refuse(
      'strategy.maxUnavailable',
      surges
        ? 'of a DaemonSet it has to be 0 where it has `maxSurge`: leave one of them out.'
        : 'it may not be 0 where `maxSurge` is 0: no pod could be replaced.',
    )
  }
  return rolling(surge, missing)
}

function rolling(maxSurge: number | string | undefined, maxUnavailable: number | string | undefined) {
  const rollingUpdate = fields({ maxSurge, maxUnavailable })
  return fields({
    type: 'RollingUpdate',
    rollingUpdate: Object.keys(rollingUpdate).length > 0 ? rollingUpdate : undefined,
  })
}

/** What gives each pod of a StatefulSet its name in DNS. */
function headlessService(
  { containers, sidecars }: DeploySpec,
  metadata: Record<string, unknown>,
  selector: Readonly<Record<string, string>>,
): KubernetesJson {
  const ports = new Map<string, Record<string, unknown>>()
  const names = new Set<string>()
  for (const { ports: own } of [...containers, ...(sidecars ?? [])]) {
    for (const { name, containerPort, protocol } of own ?? []) {
      const key = `${protocol ?? 'TCP'}-${containerPort}`
      if (ports.has(key)) continue
      let unique = name ?? key.toLowerCase()
      for (let count = 2; names.has(unique); count++) unique = `${key.toLowerCase()}-${count}`
      names.add(unique)
      ports.set(key, { name: unique, port: containerPort, protocol: protocol ?? 'TCP' })
    }
  }
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata,
    spec: fields({
      clusterIP: 'None',
      selector,
      ports: ports.size > 0 ? [...ports.values()] : undefined,
    }),
  }
}
