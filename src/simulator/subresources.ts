/**
 * What hangs below an object: scale, eviction (through PodDisruptionBudgets), binding, log, token, finalize.
 * (`status` is an ordinary write of one part, and lives with the verbs.)
 */
import {
  asArray,
  asNumber,
  asObject,
  asString,
  at,
  isObject,
  trusted,
  withKey,
  type JsonObject,
} from './json.ts'
import { trackUpdate } from './apply.ts'
import { apiAudience, type Identities } from './identity.ts'
import { serveLog, type LogSource } from './logs.ts'
import { answer, mediaType, objectBody, parseBody } from './negotiation.ts'
import { jsonPatch, mergePatch } from './patch.ts'
import type { KubeObject } from './registry.ts'
import { groupVersion } from './resources.ts'
import { isDryRun, type ResourceCall, type Rest } from './rest.ts'
import { matchesSelector } from './selectors.ts'
import {
  badRequest,
  conflict,
  invalid,
  methodNotAllowed,
  noSuchPath,
  staleObject,
  StatusError,
} from './status-error.ts'
import { rfc3339, type Storage } from './storage.ts'

export interface SubresourceContext {
  readonly storage: Storage
  readonly rest: Rest
  readonly identities: Identities
  readonly logs: () => LogSource | undefined
}

const budgets = { group: 'policy', resource: 'poddisruptionbudgets' }

/** Answers a call on a subresource other than status. Throws 404 for one that the kind does not have. */
export function serveSubresource(call: ResourceCall, context: SubresourceContext): void {
  const { definition } = call.served
  const id = `${definition.group}/${definition.resource}/${call.subresource}`
  if (call.subresource === 'scale' && definition.scale) scale(call, context)
  else if (id === '/pods/log') log(call, context)
  else if (id === '/pods/eviction') evict(call, context)
  else if (id === '/pods/binding') bind(call, context)
  else if (id === '/serviceaccounts/token') issueToken(call, context)
  else if (id === '/namespaces/finalize') finalize(call, context)
  else throw noSuchPath()
}

function log(call: ResourceCall, { storage, rest, logs }: SubresourceContext): void {
  if (call.verb !== 'get') throw methodNotAllowed()
  serveLog({ pod: rest.find(call), query: call.query, response: call.response, storage, source: logs() })
}

function scale(call: ResourceCall, { storage, rest }: SubresourceContext): void {
  const live = rest.find(call)
  const { served, verb, query, request, response } = call
  if (verb === 'get') {
    answer(response, 200, scaleOf(call, live))
    return
  }
  if (verb !== 'update' && verb !== 'patch') throw methodNotAllowed()
  const given =
    verb === 'update' ? objectBody(call.body, mediaType(request), 'V1Scale') : patchedScale(call, live)
  const { name } = live.metadata
  const version = asString(at(given, 'metadata', 'resourceVersion'))
  if (version !== '' && version !== live.metadata.resourceVersion)
    throw conflict(served.definition, name, staleObject)
  const replicas = asNumber(at(given, 'spec', 'replicas')) ?? 0
  if (replicas < 0 || !Number.isInteger(replicas)) {
    throw invalid('autoscaling', 'Scale', name, [
      {
        reason: 'FieldValueInvalid',
        message: `Invalid value: ${replicas}: must be greater than or equal to 0`,
        field: 'spec.replicas',
      },
    ])
  }
  const spec = withKey(asObject(live['spec']), replicasPath(call), replicas)
  const manager = query.get('fieldManager') ?? (request.headers['user-agent'] ?? 'unknown').split('/')[0]!
  const updated = storage.update(
    served.definition,
    { ...live, spec },
    {
      dryRun: isDryRun(query),
      track: (object, previous) =>
        trackUpdate(object, previous, {
          manager,
          apiVersion: groupVersion(served.group, served.version),
          model: served.definition.model,
          subresource: 'scale',
          time: rfc3339(storage.now()),
        }),
    },
  )
  answer(response, 200, scaleOf(call, updated))
}

function replicasPath({ served }: ResourceCall): string {
  const path = asString(at(customScale(served.definition.custom, served.version), 'specReplicasPath'))
  return path === '' ? 'replicas' : path.replace('.spec.', '')
}

function customScale(custom: KubeObject | undefined, version: string): unknown {
  const versions = asArray(at(custom, 'spec', 'versions'))
  return at(
    versions.find((one) => at(one, 'name') === version),
    'subresources',
    'scale',
  )
}

function scaleOf(call: ResourceCall, object: KubeObject): JsonObject {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata
  const declared = customScale(call.served.definition.custom, call.served.version)
  const statusPath = asString(at(declared, 'statusReplicasPath')).replace('.status.', '') || 'replicas'
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      uid,
      resourceVersion,
      creationTimestamp,
    },
    spec: { replicas: asNumber(at(object, 'spec', replicasPath(call))) ?? 0 },
    status: {
      replicas: asNumber(at(object, 'status', statusPath)) ?? 0,
      selector: selectorQuery(at(object, 'spec', 'selector')),
    },
  }
}

function selectorQuery(selector: unknown): string {
  const labels = Object.entries(asObject(at(selector, 'matchLabels'))).map(
    ([key, value]) => `${key}=${asString(value)}`,
  )
  const expressions = asArray(at(selector, 'matchExpressions')).map((expression) => {
    const key = asString(at(expression, 'key'))
    const values = asArray(at(expression, 'values')).map(asString).join(',')
    const operator = asString(at(expression, 'operator'))
    if (operator === 'Exists') return key
    return operator === 'DoesNotExist' ? `!${key}` : `${key} ${operator.toLowerCase()} (${values})`
  })
  return [...labels, ...expressions].sort().join(',')
}

function patchedScale(call: ResourceCall, live: KubeObject): unknown {
  const type = mediaType(call.request)
  const shown = scaleOf(call, live)
  const patch = parseBody(call.body, type === 'application/json-patch+json' ? 'application/json' : type)
  return type === 'application/json-patch+json' ? jsonPatch(shown, patch) : mergePatch(shown, patch)
}

/** Deletes a pod if every budget over it allows (API reference, "API-initiated Eviction"). */
function evict(call: ResourceCall, { storage, rest }: SubresourceContext): void {
  if (call.verb !== 'create') throw methodNotAllowed()
  const pod = rest.find(call)
  const body = objectBody(call.body, mediaType(call.request), 'V1Eviction')
  const { name, namespace = '' } = pod.metadata
  const given = asObject(body['deleteOptions'])
  const dryRun = isDryRun(call.query) || asArray(given['dryRun']).includes('All')
  const phase = at(pod, 'status', 'phase')
  const isDone =
    phase === 'Succeeded' ||
    phase === 'Failed' ||
    phase === 'Pending' ||
    pod.metadata.deletionTimestamp !== undefined
  const matching = isDone
    ? []
    : storage.list(budgets, namespace).filter((budget) => {
        const selector = at(budget, 'spec', 'selector')
        return isObject(selector) && matchesSelector(selector, pod.metadata.labels)
      })
  if (matching.length > 1) {
    throw new StatusError(
      500,
      'InternalError',
      'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.',
    )
  }
  const [budget] = matching
  if (budget !== undefined) spend(storage, budget, pod, dryRun)
  const grace = asNumber(given['gracePeriodSeconds'])
  storage.delete(
    call.served.definition,
    namespace,
    name,
    grace === undefined ? {} : { gracePeriodSeconds: grace },
    { dryRun },
  )
  answer(call.response, 201, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 })
}

function spend(storage: Storage, budget: KubeObject, pod: KubeObject, dryRun: boolean): void {
  const status = asObject(budget['status'])
  const isReady = asArray(at(pod, 'status', 'conditions')).some(
    (one) => at(one, 'type') === 'Ready' && at(one, 'status') === 'True',
  )
  const healthy = asNumber(status['currentHealthy']) ?? 0
  const desired = asNumber(status['desiredHealthy']) ?? 0
  const always = at(budget, 'spec', 'unhealthyPodEvictionPolicy') === 'AlwaysAllow'
  if (!isReady && (always || (healthy >= desired && desired > 0))) return
  const { name } = budget.metadata
  const refuse = (message: string): StatusError =>
    new StatusError(
      429,
      'TooManyRequests',
      "Cannot evict pod as it would violate the pod's disruption budget.",
      {
        causes: [{ reason: 'DisruptionBudget', message }],
        ...(message.includes('still being') ? { retryAfterSeconds: 10 } : {}),
      },
    )
  if ((asNumber(status['observedGeneration']) ?? 0) < (budget.metadata.generation ?? 0)) {
    throw refuse(`The disruption budget ${name} is still being processed by the server.`)
  }
  const allowed = asNumber(status['disruptionsAllowed']) ?? 0
  if (allowed <= 0)
    throw refuse(`The disruption budget ${name} needs ${desired} healthy pods and has ${healthy} currently`)
  if (dryRun) return
  const disruptedPods = { ...asObject(status['disruptedPods']), [pod.metadata.name]: rfc3339(storage.now()) }
  storage.update(
    budgets,
    { ...budget, status: { ...status, disruptionsAllowed: allowed - 1, disruptedPods } },
    { subresource: 'status' },
  )
}

function bind(call: ResourceCall, { storage, rest }: SubresourceContext): void {
  if (call.verb !== 'create') throw methodNotAllowed()
  const pod = rest.find(call)
  const { name } = pod.metadata
  const node = asString(at(objectBody(call.body, mediaType(call.request), 'V1Binding'), 'target', 'name'))
  const bound = asString(at(pod, 'spec', 'nodeName'))
  if (node === '') throw badRequest('target.name: Required value')
  if (bound !== '')
    throw conflict(call.served.definition, name, `pod ${name} is already assigned to node "${bound}"`)
  const scheduled = {
    type: 'PodScheduled',
    status: 'True',
    lastProbeTime: null,
    lastTransitionTime: rfc3339(storage.now()),
  }
  const others = asArray(at(pod, 'status', 'conditions')).filter((one) => at(one, 'type') !== 'PodScheduled')
  const status = { ...asObject(pod['status']), conditions: [...others, scheduled] }
  storage.update(
    call.served.definition,
    { ...pod, spec: { ...asObject(pod['spec']), nodeName: node }, status },
    { subresource: 'all' },
  )
  answer(call.response, 201, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 })
}

const shortestToken = 600

function issueToken(call: ResourceCall, { rest, identities }: SubresourceContext): void {
  if (call.verb !== 'create') throw methodNotAllowed()
  const account = rest.find(call)
  const body = objectBody(call.body, mediaType(call.request), 'AuthenticationV1TokenRequest')
  const spec = asObject(body['spec'])
  const seconds = asNumber(spec['expirationSeconds']) ?? 3_600
  if (seconds < shortestToken) {
    throw invalid('authentication.k8s.io', 'TokenRequest', '', [
      {
        reason: 'FieldValueInvalid',
        message: `Invalid value: ${seconds}: may not specify a duration less than 10 minutes`,
        field: 'spec.expirationSeconds',
      },
    ])
  }
  const given = asArray(spec['audiences']).map(asString)
  const audiences = given.length > 0 ? given : [apiAudience]
  const { token, expires } = identities.issue(account, seconds, audiences)
  const { name, namespace } = account.metadata
  answer(call.response, 201, {
    kind: 'TokenRequest',
    apiVersion: 'authentication.k8s.io/v1',
    metadata: { name, namespace, creationTimestamp: null },
    spec: { audiences, expirationSeconds: seconds, boundObjectRef: spec['boundObjectRef'] ?? null },
    status: { token, expirationTimestamp: rfc3339(expires) },
  })
}

/** The namespace controller's last word: spec.finalizers. */
function finalize(call: ResourceCall, { storage, rest }: SubresourceContext): void {
  if (call.verb !== 'update') throw methodNotAllowed()
  const live = rest.find(call)
  const finalizers = asArray(
    at(objectBody(call.body, mediaType(call.request), 'V1Namespace'), 'spec', 'finalizers'),
  )
  const updated = storage.update(
    call.served.definition,
    trusted({ ...live, spec: { ...asObject(live['spec']), finalizers } }),
    { subresource: 'all' },
  )
  rest.reply(call, 200, updated)
}
