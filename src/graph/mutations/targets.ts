/**
 * What a mutation is about: one object, several, or whatever a selector finds in memory – cut to what the viewer
 * may see. Of a cluster whose objects are not known the selector finds nothing, and that is said as a result.
 */
import { badUserInput } from '../errors.ts'
import { builder } from '../builder.ts'
import type { GraphContext } from '../context.ts'
import { KindEnum } from '../enums.ts'
import {
  clusterFields,
  clustersOf,
  inNamespaces,
  labelled,
  labelSelectorOf,
  selectionOf,
  unknownCluster,
  type ClusterFilter,
  type Condition,
} from '../filters.ts'
import { isKind } from '../relations.ts'
import { placed } from '../../access/live-reads.ts'
import type { Cluster } from '../../fleet/fleet.ts'
import { KINDS, parseGlobalId, type ObjectReference } from '../../kubernetes/kinds.ts'
import type { Kind, Row } from '../../kubernetes/rows.ts'
import type { ChangeErrorCode, ObjectKey, Outcome, StepResult } from '../../writes/change.ts'
import {
  apiVersion as apiVersionRule,
  dnsLabel,
  kindName,
  pathSegment,
  quoted,
  type NameRule,
} from '../../writes/names.ts'

export interface ObjectInput {
  readonly cluster: string
  readonly apiVersion?: string | null | undefined
  readonly kind?: string | null | undefined
  readonly namespace?: string | null | undefined
  readonly name: string
}

const ObjectInputRef = builder.inputRef<ObjectInput>('ObjectInput').implement({
  description: 'One object by its name.',
  fields: (t) => ({
    cluster: t.string({ required: true, description: 'Name of its cluster.' }),
    apiVersion: t.string({
      description:
        'API version, such as `apps/v1`; needed for kinds that the gateway does not keep in memory.',
    }),
    kind: t.string({
      description: 'Kubernetes kind, such as `Deployment`; absent: what the mutation is mostly used for.',
    }),
    namespace: t.string({ description: 'Namespace; needed for kinds that have one.' }),
    name: t.string({ required: true, description: 'Name.' }),
  }),
})

interface SelectorInput extends ClusterFilter {
  readonly kinds?: readonly Kind[] | null | undefined
  readonly namespaces?: readonly string[] | null | undefined
  readonly names?: readonly string[] | null | undefined
  readonly labelSelector?: string | null | undefined
  readonly limit?: number | null | undefined
}

const DEFAULT_LIMIT = 100
/** Of one mutation, however its objects are given. */
const MOST_OBJECTS = 1_000

const ObjectSelector = builder.inputRef<SelectorInput>('ObjectSelector').implement({
  description:
    'Objects of all clusters by what they are, as you may list them now. All that is given has to hold. Give at least one of `namespaces`, `names` and `labelSelector`.',
  fields: (t) => ({
    ...clusterFields(t),
    kinds: t.field({
      type: [KindEnum],
      description: 'Of these kinds; absent: of the kind that the mutation is mostly used for.',
    }),
    namespaces: t.stringList({ description: 'Only in these namespaces.' }),
    names: t.stringList({ description: 'Only with one of these names.' }),
    labelSelector: t.string({
      description: "By labels, in Kubernetes' syntax: `app=web,tier!=cache,env in (prod,stage)`.",
    }),
    limit: t.int({
      defaultValue: DEFAULT_LIMIT,
      description: `Refuses the mutation where more objects than this match: 1 to ${MOST_OBJECTS}. A guard against a selector that says more than was meant.`,
    }),
  }),
})

export interface TargetsInput {
  readonly id?: string | null | undefined
  readonly ids?: readonly string[] | null | undefined
  readonly object?: ObjectInput | null | undefined
  readonly objects?: readonly ObjectInput[] | null | undefined
  readonly selector?: SelectorInput | null | undefined
}

export const Targets = builder.inputRef<TargetsInput>('Targets').implement({
  description: 'Which objects: exactly one of the ways to say it.',
  isOneOf: true,
  fields: (t) => ({
    id: t.id({ description: 'One object by its global ID.' }),
    ids: t.idList({ description: 'Objects by their global IDs.' }),
    object: t.field({ type: ObjectInputRef, description: 'One object by its name.' }),
    objects: t.field({ type: [ObjectInputRef], description: 'Objects by their names.' }),
    selector: t.field({ type: ObjectSelector, description: 'Whatever matches in all clusters.' }),
  }),
})

/** What a mutation can be used for. */
export interface Accepted {
  /** `null`: any kind that a cluster serves. The first is the one that is meant where none is named. */
  readonly kinds: readonly [Kind, ...Kind[]] | null
}

export interface Found {
  readonly objects: readonly ObjectKey[]
  /** Of clusters in which it could not be looked. */
  readonly known: readonly StepResult[]
}

/** Throws BAD_USER_INPUT. Each object once, in the order in which they were given, or that of a list. */
export function targetsOf(
  targets: TargetsInput,
  accepted: Accepted,
  context: GraphContext,
  path = 'input.targets',
): Found {
  const { id, ids, object, objects, selector } = targets
  if (selector) return selected(selector, accepted, context, `${path}.selector`)
  const keys = [
    ...(id != null ? [byId(id, accepted, context, `${path}.id`)] : []),
    ...(ids ?? []).map((each, i) => byId(each, accepted, context, `${path}.ids[${i}]`)),
    ...(object ? [byName(object, accepted, context, `${path}.object`)] : []),
    ...(objects ?? []).map((each, i) => byName(each, accepted, context, `${path}.objects[${i}]`)),
  ]
  const unique = [...new Map(keys.map((key) => [JSON.stringify(key), key])).values()]
  requireFew(unique.length, MOST_OBJECTS, path)
  return { objects: unique, known: [] }
}

/** `ObjectKey` of a kind that the gateway knows. */
export function keyOf(kind: Kind, cluster: string, namespace: string, name: string): ObjectKey {
  const { group, versions, namespaced } = KINDS[kind]
  const apiVersion = group === '' ? versions[0] : `${group}/${versions[0]}`
  return { cluster, apiVersion, kind, namespace: namespaced ? namespace : null, name }
}

function byId(id: string, accepted: Accepted, context: GraphContext, path: string): ObjectKey {
  const reference = parseGlobalId(id)
  if (reference?.kind === 'Cluster') {
    throw badUserInput('This is the ID of a cluster, not of an object.', path)
  }
  // Anybody can write one: what stands in it is no better than other input.
  if (!reference || !isPlace(reference)) throw badUserInput('This is not the ID of an object.', path)
  requireKind(reference.kind, accepted, path)
  requireCluster(reference.cluster, context, path)
  return keyOf(reference.kind, reference.cluster, reference.namespace, reference.name)
}

function isPlace({ kind, namespace, name }: ObjectReference): boolean {
  const isIn = KINDS[kind].namespaced ? dnsLabel(namespace) === null : namespace === ''
  return isIn && pathSegment(name) === null
}

/** Throws BAD_USER_INPUT. */
function byName(
  { cluster, apiVersion, kind: named, namespace, name }: ObjectInput,
  accepted: Accepted,
  context: GraphContext,
  path: string,
): ObjectKey {
  requireCluster(cluster, context, `${path}.cluster`)
  requireNamed(name, pathSegment, `${path}.name`)
  if (namespace != null) requireNamed(namespace, dnsLabel, `${path}.namespace`)
  if (apiVersion != null) requireNamed(apiVersion, apiVersionRule, `${path}.apiVersion`)
  const kind = named ?? accepted.kinds?.[0]
  if (kind === undefined) throw badUserInput('Say of which kind the object is.', `${path}.kind`)
  requireNamed(kind, kindName, `${path}.kind`)
  requireKind(kind, accepted, `${path}.kind`)
  if (!isKind(kind)) {
    if (!apiVersion) {
      const message = `The gateway does not keep objects of kind ${kind}: give "apiVersion" with it.`
      throw badUserInput(message, `${path}.apiVersion`)
    }
    return { cluster, apiVersion, kind, namespace: namespace ?? null, name }
  }
  const { namespaced } = KINDS[kind]
  const isOurs = !apiVersion || groupOf(apiVersion) === KINDS[kind].group
  if (isOurs && namespaced && namespace == null) {
    throw badUserInput(`Objects of kind ${kind} are in a namespace: give "namespace".`, `${path}.namespace`)
  }
  if (isOurs && !namespaced && namespace != null) {
    throw badUserInput(
      `Objects of kind ${kind} are in no namespace: leave "namespace" out.`,
      `${path}.namespace`,
    )
  }
  const key = keyOf(kind, cluster, namespace ?? '', name)
  return apiVersion ? { ...key, apiVersion, namespace: namespace ?? null } : key
}

/** Of `apps/v1`, `apps`; `''` is the core group. */
export function groupOf(apiVersion: string): string {
  return apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : ''
}

function selected(selector: SelectorInput, accepted: Accepted, context: GraphContext, path: string): Found {
  const { namespaces, names, labelSelector } = selector
  const limit = selector.limit ?? DEFAULT_LIMIT
  if (limit < 1 || limit > MOST_OBJECTS) {
    throw badUserInput(`"limit" is ${limit}: expected 1 to ${MOST_OBJECTS}.`, `${path}.limit`)
  }
  if (!namespaces && !names && labelSelector == null) {
    throw badUserInput(
      'This would be all objects: give at least one of "namespaces", "names" and "labelSelector".',
      path,
    )
  }
  const kinds = selector.kinds ?? (accepted.kinds ? [accepted.kinds[0]] : null)
  if (!kinds?.length) throw badUserInput('Say of which kinds the objects are.', `${path}.kinds`)
  for (const kind of kinds) requireKind(kind, accepted, `${path}.kinds`)
  const conditions: Condition[] = [
    ...(namespaces ? [inNamespaces(namespaces)] : []),
    ...(names ? [named(names)] : []),
    ...(labelSelector == null ? [] : [labelled(labelSelectorOf(labelSelector, `${path}.labelSelector`))]),
  ]
  const clusters = clustersOf(selector, context, path)
  const { fleet } = context
  const page = fleet.select<Kind>(kinds, clusters, selectionOf(conditions), [], { first: limit })
  if (page.hasNextPage) {
    const message = `More than ${limit} objects match. Narrow the selector, or raise "limit" if you mean all of them.`
    throw badUserInput(message, `${path}.limit`)
  }
  return {
    objects: page.rows.map((row: Row) => keyOf(row.kind, row.cluster, row.namespace, row.name)),
    known: unknownIn(clusters, kinds, context),
  }
}

function named(names: readonly string[]): Condition {
  const accepted = new Set(names)
  return { names, test: (row) => accepted.has(row.name) }
}

/** A result for each cluster in which the objects are not known: nobody takes it for one without any. */
function unknownIn(
  clusters: readonly Cluster[],
  kinds: readonly Kind[],
  context: GraphContext,
): readonly StepResult[] {
  const { fleet } = context
  return kinds.flatMap((kind) =>
    fleet.coverage([kind], clusters).flatMap(({ cluster, state, reason }): StepResult[] => {
      if (state === 'CURRENT' || state === 'STALE' || state === 'NOT_SERVED') return []
      const code = state === 'FORBIDDEN' ? 'FORBIDDEN' : 'UNREACHABLE'
      const message = `What the selector means in ${cluster} is not known: ${reason ?? 'the cluster is not in memory yet.'}`
      const object = { ...keyOf(kind, cluster, '', ''), namespace: null }
      return [knownResult(object, 'select objects', { outcome: code, code, message }, context)]
    }),
  )
}

/** What is known before anything is done. */
export function knownResult(
  object: ObjectKey,
  purpose: string,
  {
    outcome,
    code,
    message,
  }: { readonly outcome: Outcome; readonly code: ChangeErrorCode; readonly message: string },
  { clock }: GraphContext,
): StepResult {
  const now = clock.now()
  return {
    index: -1,
    object,
    purpose,
    outcome,
    dryRun: false,
    before: null,
    after: null,
    error: {
      code,
      message,
      causes: [],
      policy: null,
      mayHaveBeenApplied: false,
      retryAfterSeconds: null,
    },
    resourceVersion: null,
    note: null,
    startedAt: now,
    finishedAt: now,
  }
}

export interface ClusterTargetsInput {
  readonly clusters?: readonly string[] | null | undefined
  readonly selector?: string | null | undefined
}

/** Where something is to be made: there is nothing yet that could be selected. */
export const ClusterTargets = builder.inputRef<ClusterTargetsInput>('ClusterTargets').implement({
  description: 'In which clusters: exactly one of the ways to say it.',
  isOneOf: true,
  fields: (t) => ({
    clusters: t.stringList({ description: 'In these clusters, by name. An unknown name is an error.' }),
    selector: t.string({
      description: "In all clusters whose labels match, in Kubernetes' syntax: `env=prod,region in (eu,us)`.",
    }),
  }),
})

/** In order of their names; at least one. Throws BAD_USER_INPUT. */
export function clusterTargetsOf(
  { clusters, selector }: ClusterTargetsInput,
  context: GraphContext,
  path = 'input.targets',
): readonly Cluster[] {
  // Checked first, for the argument at fault has another name here.
  if (selector != null) labelSelectorOf(selector, `${path}.selector`)
  const found = clustersOf({ clusters, clusterSelector: selector }, context, path)
  if (found.length === 0) throw badUserInput('No cluster is meant by this.', path)
  return found
}

function requireCluster(name: string, { fleet }: GraphContext, path: string): void {
  if (!fleet.cluster(name)) throw unknownCluster(name, fleet.clusters(), path)
}

function requireKind(kind: string, { kinds }: Accepted, path: string): void {
  if (kinds && !(kinds as readonly string[]).includes(kind)) {
    throw badUserInput(`This is not for objects of kind ${quoted(kind)}, but for ${kinds.join(', ')}.`, path)
  }
}

/** Throws BAD_USER_INPUT where the rule is against it. */
export function requireNamed(text: string, rule: NameRule, path: string): void {
  const wrong = rule(text)
  if (wrong !== null) throw badUserInput(`${quoted(text)} ${wrong}.`, path)
}

function requireFew(count: number, most: number, path: string): void {
  if (count === 0) throw badUserInput('This names no object.', path)
  if (count > most) throw badUserInput(`These are ${count} objects: at most ${most} in one request.`, path)
}

/** For a title: `Deployment shop/web in prod-eu, prod-us`; of many how many they are. */
export function describeTargets(objects: readonly ObjectKey[]): string {
  const clusters = [...new Set(objects.map(({ cluster }) => cluster))]
  const names = [...new Set(objects.map(({ kind, namespace, name }) => `${kind} ${placed(namespace, name)}`))]
  const what = names.length <= 3 ? names.join(', ') : `${objects.length} objects`
  return `${what} in ${clusters.length <= 3 ? clusters.join(', ') : `${clusters.length} clusters`}`
}
