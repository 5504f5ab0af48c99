/**
 * What the API server writes into pod specs: the defaults of the API reference, and what the admission of
 * pods adds to a pod's own (service account, its token's volume, tolerations, priority).
 *
 * Invariant: equal inputs share their result – a spec is completed once per template, so that thousands of
 * pods of one template share it.
 */
import {
  asArray,
  asObject,
  asString,
  at,
  changeIfIn,
  eachIn,
  withDefaults,
  withKey,
  type JsonObject,
} from './json.ts'

/** Remembers results by the identity of a (read-only) input. */
function memoized(change: (value: JsonObject) => JsonObject): (value: JsonObject) => JsonObject {
  const known = new WeakMap<JsonObject, JsonObject>()
  return (value) => {
    const before = known.get(value)
    if (before !== undefined) return before
    const after = change(value)
    known.set(value, after)
    known.set(after, after)
    return after
  }
}

function probe(value: JsonObject): JsonObject {
  const filled = withDefaults(value, {
    timeoutSeconds: 1,
    periodSeconds: 10,
    successThreshold: 1,
    failureThreshold: 3,
  })
  return changeIfIn(changeIfIn(filled, 'httpGet', httpGet), 'grpc', (grpc) =>
    withDefaults(grpc, { service: '' }),
  )
}

function httpGet(action: JsonObject): JsonObject {
  return withDefaults(action, { path: '/', scheme: 'HTTP' })
}

function handler(value: JsonObject): JsonObject {
  return changeIfIn(value, 'httpGet', httpGet)
}

function container(value: JsonObject): JsonObject {
  const image = asString(value['image'])
  const last = image.slice(image.lastIndexOf('/') + 1)
  const moves = !last.includes('@') && (!last.includes(':') || last.endsWith(':latest'))
  let filled = withDefaults(value, {
    resources: {},
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
    imagePullPolicy: moves ? 'Always' : 'IfNotPresent',
  })
  filled = eachIn(filled, 'ports', (port) => withDefaults(port, { protocol: 'TCP' }))
  filled = eachIn(filled, 'env', (env) =>
    changeIfIn(env, 'valueFrom', (from) =>
      changeIfIn(from, 'fieldRef', (ref) => withDefaults(ref, { apiVersion: 'v1' })),
    ),
  )
  for (const name of ['livenessProbe', 'readinessProbe', 'startupProbe'])
    filled = changeIfIn(filled, name, probe)
  filled = changeIfIn(filled, 'lifecycle', (hooks) =>
    changeIfIn(changeIfIn(hooks, 'preStop', handler), 'postStart', handler),
  )
  return changeIfIn(filled, 'resources', (resources) => {
    const limits = asObject(resources['limits'])
    const requests = asObject(resources['requests'])
    const all = withDefaults(requests, limits)
    return all === requests ? resources : withKey(resources, 'requests', all)
  })
}

const volumeSources: Readonly<Record<string, JsonObject>> = {
  configMap: { defaultMode: 420 },
  secret: { defaultMode: 420 },
  downwardAPI: { defaultMode: 420 },
  projected: { defaultMode: 420 },
  hostPath: { type: '' },
  iscsi: { iscsiInterface: 'default' },
  rbd: { pool: 'rbd', user: 'admin', keyring: '/etc/ceph/keyring' },
}

function volume(value: JsonObject): JsonObject {
  if (Object.keys(value).length === 1 && value['name'] !== undefined) return { ...value, emptyDir: {} }
  let filled = value
  for (const [source, defaults] of Object.entries(volumeSources)) {
    filled = changeIfIn(filled, source, (inner) => withDefaults(inner, defaults))
  }
  const fieldRefs = (items: JsonObject): JsonObject =>
    eachIn(items, 'items', (item) =>
      changeIfIn(item, 'fieldRef', (ref) => withDefaults(ref, { apiVersion: 'v1' })),
    )
  filled = changeIfIn(filled, 'downwardAPI', fieldRefs)
  return changeIfIn(filled, 'projected', (projected) =>
    eachIn(projected, 'sources', (source) =>
      changeIfIn(
        changeIfIn(source, 'serviceAccountToken', (token) =>
          withDefaults(token, { expirationSeconds: 3607 }),
        ),
        'downwardAPI',
        fieldRefs,
      ),
    ),
  )
}

/** A pod spec as it stands in a template. */
export const templateSpec = memoized((spec) => {
  let filled = withDefaults(spec, {
    dnsPolicy: 'ClusterFirst',
    restartPolicy: 'Always',
    schedulerName: 'default-scheduler',
    securityContext: {},
    terminationGracePeriodSeconds: 30,
  })
  const account = filled['serviceAccountName'] ?? filled['serviceAccount']
  if (account !== undefined)
    filled = withDefaults(filled, { serviceAccountName: account, serviceAccount: account })
  for (const list of ['containers', 'initContainers', 'ephemeralContainers'])
    filled = eachIn(filled, list, container)
  return eachIn(filled, 'volumes', volume)
})

const notReady = {
  key: 'node.kubernetes.io/not-ready',
  operator: 'Exists',
  effect: 'NoExecute',
  tolerationSeconds: 300,
}
const unreachable = { ...notReady, key: 'node.kubernetes.io/unreachable' }
const tokenPath = '/var/run/secrets/kubernetes.io/serviceaccount'

/** A pod's own spec: the template's, completed as the admission of pods does. */
export const podSpec = memoized((template) => {
  const spec = templateSpec(template)
  const account = asString(spec['serviceAccountName']) === '' ? 'default' : spec['serviceAccountName']
  let filled = withDefaults(
    withKey(withKey(spec, 'serviceAccountName', account), 'serviceAccount', account),
    {
      enableServiceLinks: true,
      preemptionPolicy: 'PreemptLowerPriority',
      priority: 0,
      tolerations: [],
    },
  )
  const tolerations = asArray(filled['tolerations'])
  const missing = [notReady, unreachable].filter(
    ({ key, effect }) =>
      !tolerations.some((has) => {
        const one = asObject(has)
        return (
          (one['key'] === key || (one['key'] === undefined && one['operator'] === 'Exists')) &&
          (one['effect'] === undefined || one['effect'] === '' || one['effect'] === effect)
        )
      }),
  )
  if (missing.length > 0) filled = withKey(filled, 'tolerations', [...tolerations, ...missing])
  return filled['automountServiceAccountToken'] === false ? filled : withTokenVolume(filled)
})

function withTokenVolume(spec: JsonObject): JsonObject {
  const containers = asArray(spec['containers'])
  const mounted = (one: unknown): boolean =>
    asArray(at(one, 'volumeMounts')).some((mount) => at(mount, 'mountPath') === tokenPath)
  if (containers.every(mounted)) return spec
  const name = `kube-api-access-${suffixOf(JSON.stringify(containers))}`
  const mount = { name, readOnly: true, mountPath: tokenPath }
  const withMount = (one: JsonObject): JsonObject =>
    mounted(one) ? one : { ...one, volumeMounts: [...asArray(one['volumeMounts']), mount] }
  const token = {
    name,
    projected: {
      sources: [
        { serviceAccountToken: { expirationSeconds: 3607, path: 'token' } },
        { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
        {
          downwardAPI: {
            items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }],
          },
        },
      ],
      defaultMode: 420,
    },
  }
  const mountedSpec = eachIn(eachIn(spec, 'containers', withMount), 'initContainers', withMount)
  return { ...mountedSpec, volumes: [...asArray(spec['volumes']), token] }
}

function suffixOf(text: string): string {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  const letters = 'bcdfghjklmnpqrstvwxz2456789'
  let suffix = ''
  for (let i = 0; i < 5; i++, hash = Math.imul(hash, 31) + 7)
    suffix += letters[(hash >>> 0) % letters.length]!
  return suffix
}

/** Quality of service as the API server computes it at creation. */
export const qosClass = ((): ((spec: JsonObject) => string) => {
  const known = new WeakMap<JsonObject, string>()
  return (spec) => {
    let found = known.get(spec)
    if (found === undefined) known.set(spec, (found = computeQosClass(spec)))
    return found
  }
})()

function computeQosClass(spec: JsonObject): string {
  let any = false
  let guaranteed = true
  for (const one of [...asArray(spec['containers']), ...asArray(spec['initContainers'])]) {
    const requests = asObject(at(one, 'resources', 'requests'))
    const limits = asObject(at(one, 'resources', 'limits'))
    for (const name of ['cpu', 'memory']) {
      if (requests[name] !== undefined || limits[name] !== undefined) any = true
      if (limits[name] === undefined || requests[name] !== limits[name]) guaranteed = false
    }
  }
  return any ? (guaranteed ? 'Guaranteed' : 'Burstable') : 'BestEffort'
}
