/**
 * Inputs of the composers: mostly what somebody could mean, with some of what nobody should. With `junk: false` they
 * are only wrong where two fields do not fit each other.
 */
import * as fc from 'fast-check'
import type { Arbitrary } from 'fast-check'
import type { AutoscaleSpec } from '../../../src/writes/compose/autoscale-spec.ts'
import {
  ACCESS_MODES,
  DEPLOYABLE_KINDS,
  HOST_PATH_TYPES,
  type ContainerSpec,
  type DeployOverrides,
  type DeploySpec,
  type ProbeSpec,
  type VolumeSpec,
} from '../../../src/writes/compose/deploy-spec.ts'
import type { ExposeSpec, ExposeTarget } from '../../../src/writes/compose/expose-spec.ts'

export interface Inputs {
  readonly deploy: Arbitrary<{ readonly spec: DeploySpec; readonly overrides: DeployOverrides }>
  readonly expose: Arbitrary<{ readonly spec: ExposeSpec; readonly target: ExposeTarget | null }>
  readonly autoscale: Arbitrary<AutoscaleSpec>
}

/** All in the namespace `default`, unless there is junk. */
export function inputs({ junk }: { readonly junk: boolean }): Inputs {
  const wild = fc.oneof(
    fc.string(),
    fc.string({ unit: 'grapheme' }),
    fc.constantFrom(
      '',
      '../x',
      '..',
      '/',
      'UPPER',
      'a b',
      '-a',
      'a-',
      '__proto__',
      'ü',
      '\0',
      'x'.repeat(300),
      '%2f',
    ),
  )
  const text = (valid: Arbitrary<string>): Arbitrary<string> =>
    junk ? fc.oneof({ weight: 150, arbitrary: valid }, { weight: 1, arbitrary: wild }) : valid
  const number = (least: number, most: number): Arbitrary<number> => {
    const valid = fc.integer({ min: least, max: most })
    const bad = fc.oneof(fc.constantFrom(-1, 1.5, NaN, Infinity, 2 ** 31, -0), fc.integer())
    return junk ? fc.oneof({ weight: 150, arbitrary: valid }, { weight: 1, arbitrary: bad }) : valid
  }
  /** Each key may be left out, or be `null`. */
  const partial = <T extends object>(
    required: { [K in keyof T]: Arbitrary<T[K]> },
    optional: Record<string, Arbitrary<unknown>>,
  ): Arbitrary<never> =>
    fc
      .tuple(
        fc.record(required),
        fc.record(
          Object.fromEntries(
            Object.entries(optional).map(([key, value]) => [
              key,
              fc.oneof(
                { weight: 3, arbitrary: fc.constant(undefined) },
                { weight: 1, arbitrary: fc.constant(null) },
                { weight: 3, arbitrary: value },
              ),
            ]),
          ),
        ),
      )
      .map(([one, other]) => ({
        ...one,
        ...Object.fromEntries(Object.entries(other).filter(([, value]) => value !== undefined)),
      })) as unknown as Arbitrary<never>
  const list = <T>(one: Arbitrary<T>, by: (value: T) => unknown = (value) => value): Arbitrary<T[]> => {
    const distinct = fc.uniqueArray(one, { maxLength: 3, selector: by })
    if (!junk) return distinct
    return fc.oneof(
      { weight: 50, arbitrary: distinct },
      { weight: 1, arbitrary: fc.array(one, { maxLength: 3 }) },
    )
  }
  const map = (key: Arbitrary<string>, value: Arbitrary<string>) => fc.dictionary(key, value, { maxKeys: 3 })

  const label = text(fc.stringMatching(/^[a-z]([-a-z0-9]{0,20}[a-z0-9])?$/))
  const subdomain = text(fc.stringMatching(/^[a-z]([-a-z0-9]{0,9}[a-z0-9])?(\.[a-z0-9]{1,5}){0,2}$/))
  const namespace = junk ? text(fc.constant('default')) : fc.constant('default')
  const labelKey = text(
    fc.oneof(
      fc.stringMatching(/^[a-zA-Z]([-a-zA-Z0-9_.]{0,20}[a-zA-Z0-9])?$/),
      fc.stringMatching(/^[a-z]{1,5}\.example\.com\/[a-z]{1,9}$/),
    ),
  )
  const labelValue = text(
    fc.oneof(fc.constant(''), fc.stringMatching(/^[a-zA-Z0-9]([-a-zA-Z0-9_.]{0,60}[a-zA-Z0-9])?$/)),
  )
  const free = fc.oneof(fc.string(), fc.string({ unit: 'grapheme' }))
  const portName = text(fc.constantFrom('http', 'https', 'metrics', 'grpc-web', 'a1'))
  const protocol = fc.constantFrom('TCP', 'UDP', 'SCTP')
  const volumeName = text(fc.constantFrom('data', 'conf', 'cache'))
  const port = number(1, 65_535)
  const image = text(
    fc.constantFrom(
      'nginx',
      'nginx:1.29',
      'library/nginx',
      'docker.io/nginx@sha256:' + 'a'.repeat(64),
      'registry.example.com:5000/team/app_one/x--y:V1.0-rc.1',
      'localhost/app',
      'ghcr.io/org/app:1@sha256:' + '0'.repeat(64),
      '[::1]:5000/a/b',
    ),
  )
  const quantity = (...values: string[]) => text(fc.constantFrom(...values))
  const dataKey = text(fc.stringMatching(/^[a-zA-Z][-._a-zA-Z0-9]{0,12}$/))
  const environmentName = text(fc.stringMatching(/^[A-Z][A-Z0-9_]{0,12}$/))
  const keyReference = partial({ name: subdomain, key: dataKey }, { optional: fc.boolean() })
  const only = (values: Record<string, Arbitrary<unknown>>): Arbitrary<object> => {
    const one = fc.oneof(
      ...Object.entries(values).map(([key, value]) => value.map((one): object => ({ [key]: one }))),
    )
    if (!junk) return one
    const all = fc.record(values).map((all): object => all)
    return fc.oneof({ weight: 100, arbitrary: one }, { weight: 1, arbitrary: all })
  }
  const variable = fc
    .tuple(
      environmentName,
      fc.oneof(
        fc.constant({}),
        only({
          value: free,
          configMap: keyReference,
          secret: keyReference,
          field: text(
            fc.constantFrom('metadata.name', 'status.podIP', "metadata.labels['app']", 'spec.nodeName'),
          ),
        }),
      ),
    )
    .map(([name, source]) => ({ name, ...source }))
  const environmentSource = fc
    .tuple(
      only({ configMap: subdomain, secret: subdomain }),
      partial({}, { prefix: environmentName, optional: fc.boolean() }),
    )
    .map(([one, other]) => ({ ...one, ...(other as object) }))
  const containerPort = partial({ containerPort: port }, { protocol })
  const amounts = (cpu: string[], memory: string[]) =>
    partial({}, { cpu: quantity(...cpu), memory: quantity(...memory), ephemeralStorage: quantity('1Gi') })
  const resources = partial(
    {},
    {
      requests: amounts(['100m', '0.25', '1e-1'], ['64Mi', '1e6', '.5G']),
      limits: amounts(['1', '2000m'], ['1Gi', '2e9', '1500M']),
    },
  )
  const probeNumbers = (readiness: boolean) =>
    partial(
      {},
      {
        initialDelaySeconds: number(0, 100),
        periodSeconds: number(1, 100),
        timeoutSeconds: number(1, 100),
        failureThreshold: number(1, 100),
        successThreshold: readiness ? number(1, 5) : fc.constant(1),
      },
    )
  const probePort = junk
    ? fc.oneof({ weight: 20, arbitrary: port }, { weight: 1, arbitrary: portName })
    : port
  const probe = (readiness: boolean): Arbitrary<ProbeSpec> =>
    fc
      .tuple(
        only({
          httpGet: partial({ port: probePort }, { path: free, scheme: fc.constantFrom('HTTP', 'HTTPS') }),
          tcpSocket: fc.record({ port: probePort }),
          exec: fc.record({ command: fc.array(free, { minLength: junk ? 0 : 1, maxLength: 3 }) }),
          grpc: partial({ port }, { service: free }),
        }),
        probeNumbers(readiness),
      )
      .map(([handler, numbers]) => ({ ...handler, ...(numbers as object) }))
  const security = partial(
    {},
    {
      runAsUser: number(1, 2 ** 31 - 1),
      runAsGroup: number(0, 2 ** 31 - 1),
      runAsNonRoot: fc.boolean(),
      readOnlyRootFilesystem: fc.boolean(),
      allowPrivilegeEscalation: fc.boolean(),
      dropCapabilities: list(text(fc.constantFrom('ALL', 'NET_RAW'))),
      addCapabilities: list(text(fc.constantFrom('NET_BIND_SERVICE', 'SYS_ADMIN'))),
    },
  )
  const makeContainer = (
    names: readonly string[],
    volumes: readonly string[],
    probed: boolean,
  ): Arbitrary<ContainerSpec> =>
    partial<{ image: string; name?: string }>(
      { image, ...(names.length > 0 && { name: text(fc.constantFrom(...names)) }) },
      {
        imagePullPolicy: fc.constantFrom('Always', 'IfNotPresent', 'Never'),
        command: fc.array(free, { maxLength: 3 }),
        args: fc.array(free, { maxLength: 3 }),
        workingDir: free,
        env: list(variable, ({ name }) => name),
        envFrom: list(environmentSource),
        ports: list(containerPort, (one) => `${(one as { containerPort: number }).containerPort}`),
        resources,
        ...(probed
          ? { readinessProbe: probe(true), livenessProbe: probe(false), startupProbe: probe(false) }
          : {}),
        ...(volumes.length > 0 && {
          mounts: list(
            partial(
              {
                volume: text(fc.constantFrom(...volumes)),
                mountPath: text(fc.stringMatching(/^\/[a-z]{1,8}(\/[a-z]{1,5})?$/)),
              },
              { readOnly: fc.boolean(), subPath: text(fc.stringMatching(/^[a-z]{1,8}(\/[a-z.]{1,5}x)?$/)) },
            ) as Arbitrary<{ mountPath: string }>,
            ({ mountPath }) => mountPath,
          ),
        }),
        security,
      },
    )
  // Made once for each choice of names: making one takes longer than drawing from it.
  const made = new Map<string, Arbitrary<ContainerSpec>>()
  const container: typeof makeContainer = (names, volumes, probed) => {
    const key = JSON.stringify([names, volumes.toSorted(), probed])
    const known = made.get(key) ?? makeContainer(names, volumes, probed)
    made.set(key, known)
    return known
  }
  const projection = partial(
    { name: subdomain },
    {
      items: list(
        fc.record({ key: dataKey, path: text(fc.stringMatching(/^[a-z]{1,8}(\/[a-z]{1,8})?$/)) }),
        ({ path }) => path,
      ),
      optional: fc.boolean(),
    },
  )
  const volume = (kind: string): Arbitrary<VolumeSpec> =>
    fc
      .tuple(
        volumeName,
        only({
          emptyDir: partial({}, { medium: fc.constant('Memory'), sizeLimit: quantity('1Gi', '0') }),
          configMap: projection,
          secret: projection,
          claim: partial({ name: subdomain }, { readOnly: fc.boolean() }),
          hostPath: partial(
            { path: text(fc.stringMatching(/^\/[a-z]{1,8}$/)) },
            { type: fc.constantFrom(...HOST_PATH_TYPES) },
          ),
          ...(kind === 'StatefulSet' || junk
            ? {
                claimTemplate: partial(
                  { storage: quantity('1Gi', '10G') },
                  {
                    storageClassName: subdomain,
                    accessModes: list(fc.constantFrom(...ACCESS_MODES.slice(0, 3))),
                  },
                ),
              }
            : {}),
        }),
      )
      .map(([name, source]) => ({ name, ...source }))
  const count = (least: number) =>
    fc.oneof<Arbitrary<number | string>[]>(
      number(least, 20),
      text(fc.integer({ min: least, max: 100 }).map((percent) => `${percent}%`)),
    )
  const toleration = fc.oneof(
    partial(
      { key: labelKey },
      { value: labelValue, effect: fc.constantFrom('NoSchedule', 'PreferNoSchedule') },
    ),
    partial({ operator: fc.constant('Exists' as const) }, { key: labelKey }),
    partial(
      { key: labelKey, effect: fc.constant('NoExecute' as const) },
      { tolerationSeconds: number(0, 300) },
    ),
  )
  const jobs = {
    completions: number(0, 100),
    parallelism: number(0, 100),
    backoffLimit: number(0, 10),
    activeDeadlineSeconds: number(1, 1000),
    ttlSecondsAfterFinished: number(0, 1000),
    restartPolicy: fc.constantFrom('Never', 'OnFailure'),
  }
  const cron = {
    timeZone: text(fc.constantFrom('Europe/Berlin', 'Etc/UTC', 'America/Argentina/Buenos_Aires')),
    concurrencyPolicy: fc.constantFrom('Allow', 'Forbid', 'Replace'),
    suspend: fc.boolean(),
  }
  const ofKind: Record<string, Record<string, Arbitrary<unknown>>> = {
    Deployment: {
      replicas: number(0, 100),
      strategy: fc.oneof(
        fc.constant({ type: 'Recreate' }),
        partial({}, { type: fc.constant('RollingUpdate'), maxSurge: count(1), maxUnavailable: count(0) }),
      ),
    },
    StatefulSet: {
      replicas: number(0, 100),
      strategy: fc.record({ type: fc.constantFrom('RollingUpdate', 'OnDelete') }),
      serviceName: label,
    },
    DaemonSet: {
      strategy: fc.oneof(
        fc.constant({ type: 'OnDelete' }),
        fc.record({ maxSurge: count(1) }),
        fc.record({ maxUnavailable: count(1) }),
      ),
    },
    Job: jobs,
    CronJob: { ...jobs, ...cron },
  }
  const schedule = text(
    fc.constantFrom(
      '0 3 * * *',
      '*/5 0-6 1,15 JAN-mar ?',
      '@daily',
      '@every 1h30m',
      '5/10 * * * Sun',
      ' 0  0 1 1 0 ',
    ),
  )

  const deploy = fc.constantFrom(...DEPLOYABLE_KINDS).chain((kind) => {
    const all = junk ? Object.assign({}, ...Object.values(ofKind)) : {}
    const volumes = fc.uniqueArray(volume(kind), { maxLength: 3, selector: ({ name }) => name })
    return fc.tuple(volumes, fc.boolean()).chain(([volumes, isOne]) => {
      const names = volumes.map(({ name }) => name)
      const containers = (pool: readonly string[], probed: boolean, least: number) =>
        fc.uniqueArray(container(pool, names, probed), {
          minLength: least,
          maxLength: 2,
          selector: ({ name }) => name,
        })
      const spec = partial(
        {
          name: text(fc.stringMatching(/^[a-z]([-a-z0-9]{0,40}[a-z0-9])?$/)),
          namespace,
          kind: fc.constant(kind),
          volumes: fc.constant(volumes),
          containers: isOne
            ? fc.tuple(container([], names, true)).map((one) => [...one])
            : containers(['app', 'web', 'proxy'], true, junk ? 0 : 1),
          ...(kind === 'CronJob' && { schedule }),
        },
        {
          createNamespace: fc.boolean(),
          initContainers: containers(['init', 'migrate'], false, 0),
          sidecars: containers(['log', 'mesh'], true, 0),
          ...(junk ? {} : ofKind[kind]),
          serviceAccountName: subdomain,
          imagePullSecrets: list(subdomain),
          labels: map(labelKey, labelValue),
          annotations: map(labelKey, free),
          podAnnotations: map(labelKey, free),
          nodeSelector: map(labelKey, labelValue),
          tolerations: list(toleration),
          terminationGracePeriodSeconds: number(0, 100),
          fsGroup: number(0, 65_535),
        },
      ) as Arbitrary<DeploySpec>
      const wrong: Arbitrary<object> = junk ? partial({}, { ...all, ...ofKind[kind] }) : fc.constant({})
      const few = fc.oneof({ weight: 9, arbitrary: fc.constant({}) }, { weight: 1, arbitrary: wrong })
      const overrides = partial(
        {},
        {
          imageRegistry: text(
            fc.constantFrom('mirror.example.com', 'localhost:5000', 'r.example.com:443/a/b'),
          ),
          ...((kind === 'Deployment' || kind === 'StatefulSet' || junk) && { replicas: number(0, 10) }),
          env: list(variable, ({ name }) => name),
        },
      ) as Arbitrary<DeployOverrides>
      return fc.record({
        spec: fc.tuple(spec, few).map(([one, other]) => ({ ...one, ...other })),
        overrides,
      })
    })
  })

  const servicePort = partial(
    { name: label, port },
    {
      targetPort: fc.oneof<Arbitrary<number | string>[]>(port, portName),
      protocol,
      ...(junk && { nodePort: number(30_000, 32_767) }),
      appProtocol: text(fc.constantFrom('http', 'kubernetes.io/h2c')),
    },
  ) as Arbitrary<{ name: string; port: number }>
  const servicePorts = fc
    .uniqueArray(servicePort, { minLength: junk ? 0 : 1, maxLength: 3, selector: (one) => one.port })
    .map((ports) =>
      junk ? ports : ports.map((one, index) => ({ ...one, name: `${one.name.slice(0, 20)}${index}` })),
    )
  const ingress = partial(
    {},
    {
      name: subdomain,
      host: text(fc.constantFrom('shop.example.com', '*.example.com', 'localhost')),
      path: text(fc.constantFrom('/', '/api', '/a/b/', '/~x')),
      pathType: fc.constantFrom('Prefix', 'Exact', 'ImplementationSpecific'),
      className: subdomain,
      tlsSecret: subdomain,
      annotations: map(labelKey, free),
      ...(junk && { servicePort: fc.oneof<Arbitrary<number | string>[]>(port, portName) }),
    },
  )
  // A workload of a cluster, which its API server has let in.
  const liveKey = fc.constantFrom('tier', 'example.com/team', 'app.kubernetes.io/name')
  const liveValue = fc.constantFrom('', 'web', 'Web_1.0')
  const livePort = fc.constantFrom('http', 'https', 'metrics')
  const selected = fc.record({
    selector: fc.record({
      matchLabels: map(liveKey, liveValue).map((labels) => ({ ...labels, app: 'web' })),
      matchExpressions: junk
        ? fc.oneof(
            { weight: 9, arbitrary: fc.constant([]) },
            { weight: 1, arbitrary: fc.constant([{ key: 'a', operator: 'Exists' as const, values: [] }]) },
          )
        : fc.constant([]),
    }),
    ports: fc.array(
      fc.record({ name: fc.option(livePort), containerPort: fc.integer({ min: 1, max: 65_535 }), protocol }),
      { minLength: junk ? 0 : 1, maxLength: 3 },
    ),
  })
  const base = { labels: map(labelKey, labelValue), annotations: map(labelKey, free) }
  const cluster = {
    ...base,
    sessionAffinity: fc.constantFrom('None', 'ClientIP'),
    ports: servicePorts,
    ingress,
  }
  const outside = { ...cluster, externalTrafficPolicy: fc.constantFrom('Cluster', 'Local') }
  const ofType = (type: string, optional: Record<string, Arbitrary<unknown>>, required: object = {}) =>
    partial(
      { name: label, namespace, type: fc.constant(type), ...required },
      optional,
    ) as Arbitrary<ExposeSpec>
  const expose = fc.record({
    spec: fc.oneof(
      ofType('ClusterIP', { ...cluster, headless: fc.boolean() }),
      ofType('NodePort', outside),
      ofType('LoadBalancer', {
        ...outside,
        loadBalancerClass: text(fc.constantFrom('example.com/internal', 'nginx')),
        loadBalancerSourceRanges: list(
          text(fc.constantFrom('10.0.0.0/8', '203.0.113.7/32', '2001:db8::/32')),
        ),
      }),
      ofType(
        'ExternalName',
        { ...base, ports: servicePorts },
        { externalName: text(fc.constantFrom('db.example.com', 'x')) },
      ),
    ),
    target: junk ? fc.option(selected) : selected,
  })

  const autoscale = partial(
    {
      namespace,
      target: fc.record({
        apiVersion: text(fc.constantFrom('apps/v1', 'example.com/v1beta1')),
        kind: text(fc.constantFrom('Deployment', 'StatefulSet', 'Database')),
        name: subdomain,
      }),
      maxReplicas: number(10, 100),
    },
    {
      name: subdomain,
      minReplicas: number(1, 10),
      cpuUtilization: number(1, 200),
      memoryUtilization: number(1, 200),
      scaleDownStabilizationSeconds: number(0, 3600),
      scaleUpStabilizationSeconds: number(0, 3600),
      ...base,
    },
  ) as Arbitrary<AutoscaleSpec>

  return { deploy: deploy, expose: expose, autoscale }
}
