/** Containers of a pod: `ContainerSpec`s made `v1.Container`s, and all that can be wrong with them. */
import { quantityValue } from '../../kubernetes/quantity.ts'
import { dnsLabel, dnsSubdomain, qualifiedName, quoted } from '../names.ts'
import {
  amount,
  dataKey,
  distinct,
  environmentName,
  fields,
  given,
  integer,
  listOf,
  named,
  onlyOne,
  optionalInteger,
  portName,
  portNumber,
  refuse,
} from './checks.ts'
import type { Maybe } from './compose-error.ts'
import type {
  AmountsSpec,
  ContainerSpec,
  EnvironmentSource,
  EnvironmentVariable,
  MountSpec,
  ProbeSpec,
  ResourcesSpec,
  SecuritySpec,
} from './deploy-spec.ts'
import { inRegistry, parseImage } from './image.ts'

export type ContainerRole = 'MAIN' | 'INIT' | 'SIDECAR'

export interface ContainerContext {
  /** `containers[1]`. */
  readonly argument: string
  readonly role: ContainerRole
  readonly name: string
  /** Names of the volumes that there are to mount. */
  readonly volumes: ReadonlySet<string>
  /** Stands in place of the image's registry. */
  readonly imageRegistry: string | undefined
}

export function composeContainer(spec: ContainerSpec, context: ContainerContext): Record<string, unknown> {
  const { argument, role, name, volumes, imageRegistry } = context
  const image = parseImage(spec.image)
  if (!image) {
    refuse(
      `${argument}.image`,
      `${quoted(spec.image)} is no image: write \`nginx:1.29\` or \`registry.example.com/team/app:1.0\`.`,
    )
  }
  const portNames = new Set((spec.ports ?? []).flatMap((port) => port.name ?? []))
  const probe = (key: 'readinessProbe' | 'livenessProbe' | 'startupProbe') => {
    const value = spec[key]
    if (!given(value)) return undefined
    if (role === 'INIT') {
      refuse(`${argument}.${key}`, 'an init container runs to its end and is not probed: leave it out.')
    }
    return composeProbe(`${argument}.${key}`, value, key, portNames)
  }
  return fields({
    name: named(`${argument}.name`, name, dnsLabel),
    image: imageRegistry === undefined ? spec.image : inRegistry(image, imageRegistry),
    imagePullPolicy: spec.imagePullPolicy,
    command: listOf(spec.command, (part) => part),
    args: listOf(spec.args, (part) => part),
    workingDir: spec.workingDir === '' ? undefined : spec.workingDir,
    env: composeEnvironment(`${argument}.env`, spec.env),
    envFrom: listOf(spec.envFrom, (source, index) => composeSource(`${argument}.envFrom[${index}]`, source)),
    ports: composePorts(`${argument}.ports`, spec),
    resources: given(spec.resources) ? composeResources(`${argument}.resources`, spec.resources) : undefined,
    volumeMounts: composeMounts(`${argument}.mounts`, spec.mounts, volumes),
    readinessProbe: probe('readinessProbe'),
    livenessProbe: probe('livenessProbe'),
    startupProbe: probe('startupProbe'),
    securityContext: given(spec.security)
      ? composeSecurity(`${argument}.security`, spec.security)
      : undefined,
    restartPolicy: role === 'SIDECAR' ? 'Always' : undefined,
  })
}

function composePorts(argument: string, { ports }: ContainerSpec) {
  const made = listOf(ports, (port, index) => {
    const place = `${argument}[${index}]`
    return fields({
      name: given(port.name) ? named(`${place}.name`, port.name, portName) : undefined,
      containerPort: portNumber(`${place}.containerPort`, port.containerPort),
      protocol: port.protocol ?? 'TCP',
    })
  })
  distinct(
    (index) => `${argument}[${index}]`,
    (made ?? []).map((port) => `${String(port['containerPort'])}/${String(port['protocol'])}`),
    'the port',
  )
  const withNames = [...(ports ?? []).entries()].filter(([, port]) => given(port.name))
  distinct(
    (index) => `${argument}[${withNames[index]![0]}].name`,
    withNames.map(([, port]) => port.name!),
    'the name',
  )
  return made
}

function composeEnvironment(argument: string, variables: Maybe<readonly EnvironmentVariable[]>) {
  const made = listOf(variables, (variable, index) => composeVariable(`${argument}[${index}]`, variable))
  distinct(
    (index) => `${argument}[${index}].name`,
    (variables ?? []).map(({ name }) => name),
    'the name',
  )
  return made
}

export function composeVariable(argument: string, variable: EnvironmentVariable): Record<string, unknown> {
  const name = named(`${argument}.name`, variable.name, environmentName)
  const sources = ['value', 'configMap', 'secret', 'field'] as const
  if (sources.every((source) => !given(variable[source]))) return { name, value: '' }
  const source = onlyOne(argument, variable, sources)
  if (source === 'value') return { name, value: variable.value }
  if (source === 'field') {
    const fieldPath = variable.field!
    if (!POD_FIELD.test(fieldPath)) {
      refuse(
        `${argument}.field`,
        `${quoted(fieldPath)} is no field of a pod that a container can be told: use \`metadata.name\`, \`metadata.namespace\`, \`metadata.uid\`, \`metadata.labels['…']\`, \`metadata.annotations['…']\`, \`spec.nodeName\`, \`spec.serviceAccountName\`, \`status.podIP\` or \`status.hostIP\`.`,
      )
    }
    const subscript = /\['(.*)'\]$/.exec(fieldPath)?.[1]
    if (subscript !== undefined) named(`${argument}.field`, subscript, qualifiedName)
    return { name, valueFrom: { fieldRef: { fieldPath } } }
  }
  const reference = variable[source]!
  const key = fields({
    name: named(`${argument}.${source}.name`, reference.name, dnsSubdomain),
    key: named(`${argument}.${source}.key`, reference.key, dataKey),
    optional: reference.optional,
  })
  return { name, valueFrom: { [source === 'secret' ? 'secretKeyRef' : 'configMapKeyRef']: key } }
}

const POD_FIELD =
  /^(?:metadata\.(?:name|namespace|uid|(?:labels|annotations)\['[^']+'\])|spec\.(?:nodeName|serviceAccountName)|status\.(?:podIPs?|hostIP))$/

function composeSource(argument: string, source: EnvironmentSource): Record<string, unknown> {
  const from = onlyOne(argument, source, ['configMap', 'secret'])
  const name = named(`${argument}.${from}`, source[from]!, dnsSubdomain)
  return fields({
    prefix: source.prefix ? named(`${argument}.prefix`, source.prefix, environmentName) : undefined,
    [`${from}Ref`]: fields({ name, optional: source.optional }),
  })
}

function composeResources(argument: string, { requests, limits }: ResourcesSpec) {
  const requested = composeAmounts(`${argument}.requests`, requests)
  const limited = composeAmounts(`${argument}.limits`, limits)
  for (const [name, text] of Object.entries(requested)) {
    const limit = limited[name]
    const isExtended = name.includes('/')
    if (isExtended && (limit === undefined || quantityValue(limit) !== quantityValue(text))) {
      refuse(
        `${argument}.requests.extended`,
        `of ${quoted(name)} as much has to be the limit: it cannot be overcommitted.`,
      )
    }
    if (limit !== undefined && quantityValue(text)! > quantityValue(limit)!) {
      refuse(`${argument}.requests`, `${text} of ${name} is more than its limit of ${limit}.`)
    }
  }
  const amounts = (values: Record<string, string>) => (Object.keys(values).length > 0 ? values : undefined)
  const made = fields({ requests: amounts(requested), limits: amounts(limited) })
  return Object.keys(made).length > 0 ? made : undefined
}

function composeAmounts(argument: string, spec: Maybe<AmountsSpec>): Record<string, string> {
  if (!given(spec)) return {}
  const made: Record<string, string> = {}
  const { cpu, memory, ephemeralStorage } = spec
  if (given(cpu)) made['cpu'] = amount(`${argument}.cpu`, cpu)
  if (given(memory)) made['memory'] = amount(`${argument}.memory`, memory)
  if (given(ephemeralStorage)) {
    made['ephemeral-storage'] = amount(`${argument}.ephemeralStorage`, ephemeralStorage)
  }
  for (const [name, text] of Object.entries(spec.extended ?? {})) {
    const place = `${argument}.extended[${JSON.stringify(name)}]`
    // Quotas call them so with `requests.` before it, which has to be a name, too.
    const isOne =
      qualifiedName(`requests.${name}`) === null &&
      /\//.test(name) &&
      !/^(?:requests\.|(?:[^/]*\.)?kubernetes\.io\/)/.test(name)
    if (!isOne) refuse(place, 'an extended resource is called as `vendor.example.com/device`.')
    amount(place, text)
    if (!Number.isInteger(quantityValue(text))) refuse(place, `${text} is not whole.`)
    made[name] = text
  }
  return made
}

function composeProbe(
  argument: string,
  probe: ProbeSpec,
  kind: string,
  portNames: ReadonlySet<string>,
): Record<string, unknown> {
  const handler = onlyOne(argument, probe, ['httpGet', 'tcpSocket', 'exec', 'grpc'])
  const place = `${argument}.${handler}`
  const port = (value: number | string) => {
    if (typeof value === 'number') return portNumber(`${place}.port`, value)
    if (portNames.has(value)) return value
    return refuse(`${place}.port`, `${quoted(value)} is the name of none of the container's ports.`)
  }
  const threshold = optionalInteger(`${argument}.successThreshold`, probe.successThreshold, 1)
  if (threshold !== undefined && threshold !== 1 && kind !== 'readinessProbe') {
    refuse(`${argument}.successThreshold`, `of a ${kind} it can only be 1.`)
  }
  const { httpGet, tcpSocket, exec, grpc } = probe
  return fields({
    httpGet:
      httpGet && fields({ path: httpGet.path || '/', port: port(httpGet.port), scheme: httpGet.scheme }),
    tcpSocket: tcpSocket && { port: port(tcpSocket.port) },
    exec: exec && {
      command: listOf(exec.command, (part) => part) ?? refuse(`${place}.command`, 'it is empty.'),
    },
    grpc: grpc && fields({ port: portNumber(`${place}.port`, grpc.port), service: grpc.service }),
    initialDelaySeconds: optionalInteger(`${argument}.initialDelaySeconds`, probe.initialDelaySeconds, 0),
    periodSeconds: optionalInteger(`${argument}.periodSeconds`, probe.periodSeconds, 1),
    timeoutSeconds: optionalInteger(`${argument}.timeoutSeconds`, probe.timeoutSeconds, 1),
    successThreshold: threshold,
    failureThreshold: optionalInteger(`${argument}.failureThreshold`, probe.failureThreshold, 1),
  })
}

function composeMounts(argument: string, mounts: Maybe<readonly MountSpec[]>, volumes: ReadonlySet<string>) {
  const made = listOf(mounts, ({ volume, mountPath, readOnly, subPath }, index) => {
    const place = `${argument}[${index}]`
    if (!volumes.has(volume)) {
      refuse(`${place}.volume`, `${quoted(volume)} is none of the \`volumes\`: add it there.`)
    }
    if (!mountPath.startsWith('/') || mountPath.includes(':')) {
      refuse(`${place}.mountPath`, `${quoted(mountPath)} is no absolute path without \`:\`.`)
    }
    if (subPath) relativePath(`${place}.subPath`, subPath)
    return fields({ name: volume, mountPath, readOnly, subPath: subPath === '' ? undefined : subPath })
  })
  distinct(
    (index) => `${argument}[${index}].mountPath`,
    (mounts ?? []).map(({ mountPath }) => mountPath),
    'the path',
  )
  return made
}

export function relativePath(argument: string, path: string): string {
  if (path !== '' && !path.startsWith('/') && !path.split('/').includes('..') && !path.startsWith('..'))
    return path
  return refuse(argument, `${quoted(path)} is no relative path without \`..\`.`)
}

function composeSecurity(argument: string, security: SecuritySpec) {
  const { runAsNonRoot, readOnlyRootFilesystem, allowPrivilegeEscalation } = security
  const runAsUser = optionalInteger(`${argument}.runAsUser`, security.runAsUser, 0)
  if (runAsNonRoot && runAsUser === 0) {
    refuse(`${argument}.runAsUser`, 'user 0 is root, and `runAsNonRoot` is set: use another user.')
  }
  const capabilities = (key: 'addCapabilities' | 'dropCapabilities') =>
    listOf(security[key], (name, index) => {
      if (/^[A-Z][A-Z_0-9]*$/.test(name) && !name.startsWith('CAP_')) return name
      return refuse(
        `${argument}.${key}[${index}]`,
        `${quoted(name)} is no capability: write it as \`NET_BIND_SERVICE\`, without \`CAP_\`.`,
      )
    })
  const capability = fields({ add: capabilities('addCapabilities'), drop: capabilities('dropCapabilities') })
  const made = fields({
    runAsUser,
    runAsGroup: given(security.runAsGroup)
      ? integer(`${argument}.runAsGroup`, security.runAsGroup, 0)
      : undefined,
    runAsNonRoot,
    readOnlyRootFilesystem,
    allowPrivilegeEscalation,
    capabilities: Object.keys(capability).length > 0 ? capability : undefined,
  })
  return Object.keys(made).length > 0 ? made : undefined
}
