/**
 * The seam inside the simulator: one simulated cluster's objects, as the REST layer (`server.ts`)
 * and the controllers (`controllers/`) both see them. It plays etcd and the API server's generic
 * registry in one, and is synchronous: a call returns when the change is committed and seen by every
 * listener.
 *
 * Invariants, as in the Kubernetes API concepts ("Resource versions", "Efficient detection of changes"):
 * one resourceVersion counter for the whole cluster, incremented by each commit; listeners hear every
 * commit once, in that order; objects handed out are shared and must be treated as deeply read-only –
 * a change is always a new object, which may share unchanged parts (a pod's `spec` with its template).
 */

/** Any Kubernetes object, read-only: a write is a new object. */
export interface KubeObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: ObjectMeta
  readonly [field: string]: unknown
}

export interface ObjectMeta {
  readonly name: string
  readonly namespace?: string
  readonly generateName?: string
  readonly uid: string
  /** Decimal, as Kubernetes writes it: compare as numbers, never as text. */
  readonly resourceVersion: string
  readonly generation?: number
  /** RFC 3339, seconds. */
  readonly creationTimestamp: string
  readonly deletionTimestamp?: string
  readonly deletionGracePeriodSeconds?: number
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly finalizers?: readonly string[]
  readonly ownerReferences?: readonly OwnerReference[]
  readonly managedFields?: readonly unknown[]
}

export interface OwnerReference {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly uid: string
  readonly controller?: boolean
  readonly blockOwnerDeletion?: boolean
}

/** What a writer hands in: metadata may lack all that the registry fills (uid, resourceVersion, times). */
export interface KubeObjectInput {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: Partial<ObjectMeta>
  readonly [field: string]: unknown
}

/** A resource of the cluster: `""`/`pods`, `apps`/`deployments`. */
export interface ResourceKey {
  readonly group: string
  readonly resource: string
}

export interface Commit {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  readonly key: ResourceKey
  /** After the commit; for DELETED the last state, with the resourceVersion of the delete. */
  readonly object: KubeObject
  readonly previous: KubeObject | undefined
}

export interface DeleteOptions {
  /** Seconds until a pod is gone; 0 deletes at once. Default: as the kind has it (pods: 30). */
  readonly gracePeriodSeconds?: number
  readonly propagationPolicy?: 'Orphan' | 'Background' | 'Foreground'
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string }
}

/**
 * Writes throw `StatusError` (an `metav1.Status` with its HTTP code): 404 NotFound, 409 Conflict or
 * AlreadyExists, 422 Invalid. Nothing is written then.
 */
export interface Registry {
  /** Epoch milliseconds: the cluster's own clock, faked in tests. */
  now(): number
  get(key: ResourceKey, namespace: string, name: string): KubeObject | undefined
  /** In order of namespace, then name (code units). Without `namespace`: the whole cluster. */
  list(key: ResourceKey, namespace?: string): readonly KubeObject[]
  /** Look-ups that controllers need often; kept incrementally, O(answer). */
  listByOwner(key: ResourceKey, ownerUid: string): readonly KubeObject[]
  listByNode(nodeName: string): readonly KubeObject[]
  /** Every object of any resource, custom ones included, that names this owner: for garbage collection. */
  listDependents(
    ownerUid: string,
  ): readonly { readonly key: ResourceKey; readonly objects: readonly KubeObject[] }[]
  /** Every object of any resource in this namespace: for its deletion. */
  listNamespace(
    namespace: string,
  ): readonly { readonly key: ResourceKey; readonly objects: readonly KubeObject[] }[]
  /** Fills name (from generateName), uid, creationTimestamp, generation 1, resourceVersion, and defaults. */
  create(key: ResourceKey, object: KubeObjectInput): KubeObject
  /**
   * Replaces. Where `object.metadata.resourceVersion` is set it must be the current one (else 409).
   * A changed spec raises the generation; a `status` update changes nothing but the status.
   * No commit when nothing changed.
   * `all` writes metadata, spec and status in one commit and leaves the generation alone, as the API
   * server's own verbs do (a pod's binding, a namespace's finalize).
   */
  update(
    key: ResourceKey,
    object: KubeObjectInput,
    options?: { readonly subresource?: 'status' | 'all' },
  ): KubeObject
  /**
   * For populations (fixtures, benchmarks): takes the object as it is, with its uid, creationTimestamp,
   * generation, labels and status; only the resourceVersion is assigned. No validation, no defaults, no
   * copy of its parts. Listeners hear ADDED. The cost is an index insert.
   */
  load(key: ResourceKey, object: KubeObject): KubeObject
  /**
   * As the API server does: sets deletionTimestamp where finalizers or a grace period are left, else
   * removes. Answers the object as it is after, or was at the end.
   */
  delete(key: ResourceKey, namespace: string, name: string, options?: DeleteOptions): KubeObject
  /** Ends a graceful deletion (the kubelet's last word): removes the object if no finalizer is left. */
  finishDelete(key: ResourceKey, namespace: string, name: string): void
  /** Every commit from now on, synchronously and in order. Returns the unsubscribe function. */
  onCommit(listener: (commit: Commit) => void): () => void
}

/**
 * Work for later, without a timer per object: one heap per simulated fleet, driven by one real timer
 * (or by a test's fake clock).
 */
export interface Timeline {
  /** Epoch milliseconds. */
  now(): number
  /** Runs `work` once at `now() + delayMs` or a little later. Returns the cancel function. */
  after(delayMs: number, work: () => void): () => void
}
