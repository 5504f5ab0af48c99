/**
 * One simulated cluster's objects: the implementation of `Registry`, with the bounded history that
 * watches resume from. Plays etcd, its watch cache and the generic registry of the API server.
 *
 * Invariants: one counter of resourceVersions, raised by exactly one per commit, so that the history is
 * addressed by subtraction; every object is replaced, never changed; indexes are updated in the same step
 * as the objects. Deliberately knows nothing of HTTP, users or field managers.
 */
import { exceededQuota } from './controllers/quota-usage.ts'
import { defaultsOf } from './defaults.ts'
import { checkPreconditions, finalizersAfter, gracePeriod, isFinallyGone } from './deletion.ts'
import { asArray, asObject, asString, at, equal, trusted, withKey, type MutableJson } from './json.ts'
import type {
  Commit,
  DeleteOptions,
  KubeObject,
  KubeObjectInput,
  ObjectMeta,
  Registry,
  ResourceKey,
} from './registry.ts'
import { groupVersion, keyOf, ResourceTable, type ResourceDefinition } from './resources.ts'
import {
  alreadyExists,
  conflict,
  forbidden,
  invalid,
  notFound,
  staleObject,
  StatusError,
} from './status-error.ts'
import { validate } from './validation.ts'

export interface StorageOptions {
  /** Epoch milliseconds. */
  readonly now: () => number
  /** Makes uids and generated names repeatable. Default: random. */
  readonly seed?: number
  /** How many commits a watch may lag behind. Default 10,000. */
  readonly historySize?: number
}

/** How the REST layer writes, beyond what controllers need. */
export interface WriteOptions {
  readonly subresource?: string
  /** Answers what would be, writes nothing. */
  readonly dryRun?: boolean
  /** Sees the object after defaulting and before the commit: records who owns its fields. */
  readonly track?: (object: KubeObject, previous: KubeObject | undefined) => KubeObject
}

export interface HistoryEntry extends Commit {
  readonly revision: number
}

interface Bucket {
  readonly objects: Map<string, KubeObject>
  names: readonly string[] | undefined
}

interface Table {
  readonly definition: ResourceDefinition
  readonly namespaces: Map<string, Bucket>
  readonly byOwner: Map<string, Map<string, KubeObject>>
  namespaceNames: readonly string[] | undefined
  count: number
}

/** Namespaces that every cluster keeps. */
const permanent = new Set(['default', 'kube-system', 'kube-public'])
const podsKey: ResourceKey = { group: '', resource: 'pods' }
const namespacesKey: ResourceKey = { group: '', resource: 'namespaces' }

export class Storage implements Registry {
  readonly resources = new ResourceTable()
  readonly #tables = new Map<string, Table>()
  readonly #byNode = new Map<string, Map<string, KubeObject>>()
  readonly #listeners = new Set<(commit: HistoryEntry) => void>()
  readonly #now: () => number
  readonly #random: () => number
  readonly #historySize: number
  /** Entry i holds revision `#floor + 1 + i`. */
  #history: HistoryEntry[] = []
  #floor = 0
  #revision = 0

  constructor(options: StorageOptions) {
    this.#now = options.now
    this.#random = options.seed === undefined ? Math.random : seededRandom(options.seed)
    this.#historySize = options.historySize ?? 10_000
  }

  now(): number {
    return this.#now()
  }

  /** The resourceVersion of the last commit. */
  get revision(): number {
    return this.#revision
  }

  /** A watch may start from this resourceVersion, not from an older one. */
  get oldestRevision(): number {
    return this.#floor
  }

  /** Commits after `revision`, oldest first; undefined where they are compacted away. */
  since(revision: number): readonly HistoryEntry[] | undefined {
    if (revision < this.#floor) return undefined
    return this.#history.slice(revision - this.#floor)
  }

  /** Forgets the history, as an etcd compaction does: whoever lags behind gets 410. */
  compact(): void {
    this.#history = []
    this.#floor = this.#revision
  }

  /** A number below 1, from the cluster's seed. */
  random(): number {
    return this.#random()
  }

  get(key: ResourceKey, namespace: string, name: string): KubeObject | undefined {
    return this.#tables.get(keyOf(key))?.namespaces.get(namespace)?.objects.get(name)
  }

  count(key: ResourceKey): number {
    return this.#tables.get(keyOf(key))?.count ?? 0
  }

  list(key: ResourceKey, namespace?: string): readonly KubeObject[] {
    const table = this.#tables.get(keyOf(key))
    if (table === undefined) return []
    if (namespace !== undefined) return listBucket(table.namespaces.get(namespace))
    table.namespaceNames ??= [...table.namespaces.keys()].sort()
    if (table.namespaceNames.length === 1) return listBucket(table.namespaces.get(table.namespaceNames[0]!))
    return table.namespaceNames.flatMap((name) => listBucket(table.namespaces.get(name)))
  }

  listByOwner(key: ResourceKey, ownerUid: string): readonly KubeObject[] {
    const owned = this.#tables.get(keyOf(key))?.byOwner.get(ownerUid)
    return owned === undefined ? [] : [...owned.values()]
  }

  listByNode(nodeName: string): readonly KubeObject[] {
    const pods = this.#byNode.get(nodeName)
    return pods === undefined ? [] : [...pods.values()]
  }

  listDependents(ownerUid: string): readonly { key: ResourceKey; objects: readonly KubeObject[] }[] {
    return [...this.#tables.values()].flatMap(({ definition, byOwner }) => {
      const owned = byOwner.get(ownerUid)
      return owned === undefined
        ? []
        : [{ key: keyObject(definition.group, definition.resource), objects: [...owned.values()] }]
    })
  }

  listNamespace(namespace: string): readonly { key: ResourceKey; objects: readonly KubeObject[] }[] {
    return [...this.#tables.values()].flatMap(({ definition, namespaces }) => {
      const bucket = namespaces.get(namespace)
      return bucket === undefined || !definition.namespaced
        ? []
        : [{ key: keyObject(definition.group, definition.resource), objects: listBucket(bucket) }]
    })
  }

  onCommit(listener: (commit: HistoryEntry) => void): () => void {
    const own = (commit: HistoryEntry): void => listener(commit)
    this.#listeners.add(own)
    return () => this.#listeners.delete(own)
  }

  create(key: ResourceKey, input: KubeObjectInput, options: WriteOptions = {}): KubeObject {
    const table = this.#table(key)
    const { definition } = table
    const namespace = definition.namespaced ? (input.metadata.namespace ?? 'default') : ''
    let name = input.metadata.name ?? ''
    if (name === '' && input.metadata.generateName !== undefined && input.metadata.generateName !== '') {
      name = this.#generateName(table, namespace, input.metadata.generateName)
    }
    if (definition.namespaced) this.#requireNamespace(key, name, namespace)
    const draft: MutableJson = {
      ...input,
      apiVersion: groupVersion(definition.group, definition.version),
      kind: definition.kind,
    }
    draft['metadata'] = this.#newMetadata(definition, input.metadata, namespace, name)
    const object = defaultsOf(definition, trusted<KubeObject>(draft), undefined, this)
    this.#check(definition, object, undefined, '')
    if (this.get(key, namespace, name) !== undefined) throw alreadyExists(key, name)
    const overQuota = exceededQuota(this, key, object)
    if (overQuota !== undefined) throw forbidden(key, name, overQuota)
    const tracked = options.track?.(object, undefined) ?? object
    if (options.dryRun === true) return tracked
    return this.#commit('ADDED', table, tracked, undefined)
  }

  load(key: ResourceKey, object: KubeObject): KubeObject {
    return this.#commit(
      'ADDED',
      this.#table(key),
      object,
      this.get(key, object.metadata.namespace ?? '', object.metadata.name),
    )
  }

  update(key: ResourceKey, input: KubeObjectInput, options: WriteOptions = {}): KubeObject {
    const table = this.#table(key)
    const { definition } = table
    const name = input.metadata.name ?? ''
    const namespace = definition.namespaced ? (input.metadata.namespace ?? 'default') : ''
    const current = this.get(key, namespace, name)
    if (current === undefined) throw notFound(key, name)
    const version = input.metadata.resourceVersion
    if (version !== undefined && version !== '' && version !== current.metadata.resourceVersion) {
      throw conflict(key, name, staleObject)
    }
    const uid = input.metadata.uid
    if (uid !== undefined && uid !== '' && uid !== current.metadata.uid) {
      throw conflict(
        key,
        name,
        `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${current.metadata.uid}`,
      )
    }
    const draft = this.#replacement(definition, current, input, options.subresource ?? '')
    this.#check(definition, draft, current, options.subresource ?? '')
    const object = options.track?.(draft, current) ?? draft
    if (equalButVersion(current, object)) return current
    if (options.dryRun === true) return object
    if (isFinallyGone(object)) return this.#remove(table, object)
    return this.#commit('MODIFIED', table, object, current)
  }

  delete(
    key: ResourceKey,
    namespace: string,
    name: string,
    options: DeleteOptions = {},
    { dryRun = false }: WriteOptions = {},
  ): KubeObject {
    const table = this.#table(key)
    const current = this.get(key, namespace, name)
    if (current === undefined) throw notFound(key, name)
    checkPreconditions(key, current, options)
    if (keyOf(key) === '/namespaces' && permanent.has(name)) {
      throw forbidden(key, name, 'this namespace may not be deleted')
    }
    const grace = gracePeriod(key, current, options)
    const finalizers = finalizersAfter(current, options, table.definition)
    const waits = finalizers.length > 0 || asArray(at(current, 'spec', 'finalizers')).length > 0
    if (!waits && grace === 0) return dryRun ? current : this.#remove(table, current)

    const deleting = current.metadata.deletionTimestamp !== undefined
    const sooner = grace < (current.metadata.deletionGracePeriodSeconds ?? Infinity)
    if (deleting && !sooner && equal(finalizers, current.metadata.finalizers ?? [])) return current
    const metadata: MutableJson = { ...current.metadata }
    if (finalizers.length > 0) metadata['finalizers'] = finalizers
    else delete metadata['finalizers']
    if (!deleting || sooner) {
      metadata['deletionTimestamp'] = rfc3339(this.now() + grace * 1000)
      metadata['deletionGracePeriodSeconds'] = grace
      if (!deleting && current.metadata.generation !== undefined)
        metadata['generation'] = current.metadata.generation + 1
    }
    let object: KubeObject = { ...current, metadata: trusted<ObjectMeta>(metadata) }
    if (keyOf(key) === '/namespaces')
      object = withKey(object, 'status', { ...asObject(object['status']), phase: 'Terminating' })
    return dryRun ? object : this.#commit('MODIFIED', table, object, current)
  }

  finishDelete(key: ResourceKey, namespace: string, name: string): void {
    const current = this.get(key, namespace, name)
    if (current === undefined || (current.metadata.finalizers ?? []).length > 0) return
    this.#remove(this.#table(key), current)
  }

  #table(key: ResourceKey): Table {
    const id = keyOf(key)
    const known = this.#tables.get(id)
    if (known !== undefined) return known
    const definition = this.resources.definition(key)
    if (definition === undefined) throw notFound(key, '')
    const table: Table = {
      definition,
      namespaces: new Map(),
      byOwner: new Map(),
      namespaceNames: undefined,
      count: 0,
    }
    this.#tables.set(id, table)
    return table
  }

  /** Follows a changed or removed CustomResourceDefinition. */
  forgetDefinition(key: ResourceKey): void {
    const table = this.#tables.get(keyOf(key))
    const definition = this.resources.definition(key)
    if (table === undefined) return
    if (definition !== undefined) this.#tables.set(keyOf(key), { ...table, definition })
    else {
      for (const object of this.list(key)) this.#remove(table, object)
      this.#tables.delete(keyOf(key))
    }
  }

  #requireNamespace(key: ResourceKey, name: string, namespace: string): void {
    const home = this.get(namespacesKey, '', namespace)
    if (home === undefined) throw notFound(namespacesKey, namespace)
    if (home.metadata.deletionTimestamp === undefined) return
    const why = `unable to create new content in namespace ${namespace} because it is being terminated`
    const error = forbidden(key, name, why)
    throw new StatusError(403, 'Forbidden', error.message, {
      ...error.status.details,
      causes: [
        {
          reason: 'NamespaceTerminating',
          message: `namespace ${namespace} is being terminated`,
          field: 'metadata.namespace',
        },
      ],
    })
  }

  #newMetadata(
    definition: ResourceDefinition,
    given: Partial<ObjectMeta>,
    namespace: string,
    name: string,
  ): Readonly<Record<string, unknown>> {
    const metadata: MutableJson = { ...given, name }
    if (namespace === '') delete metadata['namespace']
    else metadata['namespace'] = namespace
    metadata['uid'] = this.#uid()
    delete metadata['resourceVersion']
    metadata['creationTimestamp'] = given.creationTimestamp ?? rfc3339(this.now())
    delete metadata['deletionTimestamp']
    delete metadata['deletionGracePeriodSeconds']
    if (definition.generation) metadata['generation'] = 1
    else delete metadata['generation']
    return metadata
  }

  #replacement(
    definition: ResourceDefinition,
    current: KubeObject,
    input: KubeObjectInput,
    subresource: string,
  ): KubeObject {
    if (subresource === 'status') {
      const status = input['status']
      const same = status === undefined || equal(status, current['status'])
      return keepMetadata(same ? current : { ...current, status }, input)
    }
    const metadata: MutableJson = { ...input.metadata }
    for (const field of [
      'uid',
      'creationTimestamp',
      'deletionTimestamp',
      'deletionGracePeriodSeconds',
      'generation',
      'generateName',
    ]) {
      const value = asObject(current.metadata)[field]
      if (value === undefined) delete metadata[field]
      else metadata[field] = value
    }
    metadata['name'] = current.metadata.name
    if (current.metadata.namespace !== undefined) metadata['namespace'] = current.metadata.namespace
    metadata['resourceVersion'] = current.metadata.resourceVersion
    if (metadata['managedFields'] === undefined && current.metadata.managedFields !== undefined) {
      metadata['managedFields'] = current.metadata.managedFields
    }
    const draft: MutableJson = {
      ...input,
      apiVersion: groupVersion(definition.group, definition.version),
      kind: definition.kind,
      metadata,
    }
    if (definition.status && subresource !== 'all') {
      if (current['status'] === undefined) delete draft['status']
      else draft['status'] = current['status']
    }
    const object = defaultsOf(definition, trusted<KubeObject>(draft), current, this)
    if (!definition.generation || subresource === 'all' || sameContent(definition, current, object))
      return object
    return { ...object, metadata: { ...object.metadata, generation: (current.metadata.generation ?? 0) + 1 } }
  }

  #check(
    definition: ResourceDefinition,
    object: KubeObject,
    current: KubeObject | undefined,
    subresource: string,
  ): void {
    const causes = validate(definition, object, current, subresource)
    if (causes.length > 0) throw invalid(definition.group, definition.kind, object.metadata.name, causes)
  }

  #commit(
    type: 'ADDED' | 'MODIFIED',
    table: Table,
    draft: KubeObject,
    previous: KubeObject | undefined,
  ): KubeObject {
    const revision = this.#revision + 1
    const object: KubeObject = {
      ...draft,
      metadata: { ...draft.metadata, resourceVersion: String(revision) },
    }
    const namespace = object.metadata.namespace ?? ''
    const { name } = object.metadata
    let bucket = table.namespaces.get(namespace)
    if (bucket === undefined) {
      bucket = { objects: new Map(), names: undefined }
      table.namespaces.set(namespace, bucket)
      table.namespaceNames = undefined
    }
    if (previous === undefined) {
      table.count++
      bucket.names = undefined
    }
    bucket.objects.set(name, object)
    this.#index(table, object, previous)
    this.#publish(type, table, object, previous)
    return object
  }

  #remove(table: Table, last: KubeObject): KubeObject {
    const namespace = last.metadata.namespace ?? ''
    const { name } = last.metadata
    const bucket = table.namespaces.get(namespace)
    const current = bucket?.objects.get(name)
    if (bucket === undefined || current === undefined) return last
    bucket.objects.delete(name)
    bucket.names = undefined
    table.count--
    if (bucket.objects.size === 0) {
      table.namespaces.delete(namespace)
      table.namespaceNames = undefined
    }
    const object: KubeObject = {
      ...last,
      metadata: { ...last.metadata, resourceVersion: String(this.#revision + 1) },
    }
    this.#index(table, undefined, current)
    this.#publish('DELETED', table, object, current)
    return object
  }

  #index(table: Table, object: KubeObject | undefined, previous: KubeObject | undefined): void {
    const id = objectId(object ?? previous!)
    const owners = object?.metadata.ownerReferences ?? []
    for (const { uid } of previous?.metadata.ownerReferences ?? []) {
      if (!owners.some((owner) => owner.uid === uid)) drop(table.byOwner, uid, id)
    }
    if (object !== undefined) for (const { uid } of owners) put(table.byOwner, uid, id, object)
    if (table.definition.resource !== podsKey.resource || table.definition.group !== '') return
    const node = object === undefined ? '' : asString(at(object, 'spec', 'nodeName'))
    const before = previous === undefined ? '' : asString(at(previous, 'spec', 'nodeName'))
    if (before !== '' && before !== node) drop(this.#byNode, before, id)
    if (node !== '' && object !== undefined) put(this.#byNode, node, id, object)
  }

  #publish(type: Commit['type'], table: Table, object: KubeObject, previous: KubeObject | undefined): void {
    this.#revision++
    const { group, resource } = table.definition
    const entry: HistoryEntry = {
      type,
      key: keyObject(group, resource),
      object,
      previous,
      revision: this.#revision,
    }
    this.#history.push(entry)
    // Trimmed in one go at twice the size: shifting at every commit would cost O(size) each.
    if (this.#history.length > 2 * this.#historySize) {
      const drop = this.#history.length - this.#historySize
      this.#history = this.#history.slice(drop)
      this.#floor += drop
    }
    for (const listener of this.#listeners) listener(entry)
  }

  #generateName(table: Table, namespace: string, prefix: string): string {
    const base = prefix.slice(0, 58)
    for (;;) {
      let name = base
      for (let i = 0; i < 5; i++) name += suffixAlphabet[Math.floor(this.#random() * suffixAlphabet.length)]!
      if (table.namespaces.get(namespace)?.objects.has(name) !== true) return name
    }
  }

  #uid(): string {
    const hex = (digits: number): string =>
      Math.floor(this.#random() * 16 ** digits)
        .toString(16)
        .padStart(digits, '0')
    const variant = '89ab'[Math.floor(this.#random() * 4)]!
    return `${hex(8)}-${hex(4)}-4${hex(3)}-${variant}${hex(3)}-${hex(6)}${hex(6)}`
  }
}

/** The letters of generated names: no vowels, so that no words come out (apimachinery `rand`). */
const suffixAlphabet = 'bcdfghjklmnpqrstvwxz2456789'

const keys = new Map<string, ResourceKey>()

function keyObject(group: string, resource: string): ResourceKey {
  const id = `${group}/${resource}`
  let key = keys.get(id)
  if (key === undefined) keys.set(id, (key = Object.freeze({ group, resource })))
  return key
}

/** RFC 3339 in seconds, as `metav1.Time` is written. */
export function rfc3339(epochMs: number): string {
  return `${new Date(epochMs).toISOString().slice(0, 19)}Z`
}

/** Mulberry32. */
function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

function listBucket(bucket: Bucket | undefined): readonly KubeObject[] {
  if (bucket === undefined) return []
  bucket.names ??= [...bucket.objects.keys()].sort()
  return bucket.names.map((name) => bucket.objects.get(name)!)
}

function objectId(object: KubeObject): string {
  return `${object.metadata.namespace ?? ''}/${object.metadata.name}`
}

function put(index: Map<string, Map<string, KubeObject>>, key: string, id: string, object: KubeObject): void {
  const entries = index.get(key)
  if (entries === undefined) index.set(key, new Map([[id, object]]))
  else entries.set(id, object)
}

function drop(index: Map<string, Map<string, KubeObject>>, key: string, id: string): void {
  const entries = index.get(key)
  if (entries?.delete(id) === true && entries.size === 0) index.delete(key)
}

/** A status write also carries annotations (the deployment controller's revision) and managedFields. */
function keepMetadata(object: KubeObject, { metadata }: KubeObjectInput): KubeObject {
  const { annotations = object.metadata.annotations, managedFields = object.metadata.managedFields } =
    metadata
  if (managedFields === object.metadata.managedFields && equal(annotations, object.metadata.annotations))
    return object
  return {
    ...object,
    metadata: {
      ...object.metadata,
      ...(annotations === undefined ? {} : { annotations }),
      ...(managedFields === undefined ? {} : { managedFields }),
    },
  }
}

/** Whether two states differ in nothing but resourceVersion and managedFields' times. */
function equalButVersion(current: KubeObject, object: KubeObject): boolean {
  for (const field of new Set([...Object.keys(current), ...Object.keys(object)])) {
    if (field !== 'metadata' && !equal(current[field], object[field])) return false
  }
  return equal({ ...current.metadata, resourceVersion: '' }, { ...object.metadata, resourceVersion: '' })
}

/** Whether all that the generation counts is the same: everything but metadata and status. */
function sameContent(definition: ResourceDefinition, current: KubeObject, object: KubeObject): boolean {
  for (const field of new Set([...Object.keys(current), ...Object.keys(object)])) {
    if (field === 'metadata' || (field === 'status' && definition.status)) continue
    if (!equal(current[field], object[field])) return false
  }
  // Deployments also count a change of annotations: rollback data lives there (deployment strategy).
  return (
    definition.resource !== 'deployments' ||
    equal(current.metadata.annotations ?? {}, object.metadata.annotations ?? {})
  )
}
