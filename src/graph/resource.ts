/**
 * `resource` and `resources`: objects of any kind that a cluster serves, custom resources included, read
 * live from the API servers as the user. Nothing of it is kept in memory.
 *
 * A page over several clusters goes through them in order of their names, a few at a time; its cursor
 * names the cluster, the API server's own continue token, and how many objects after it were shown.
 */
import type { AuthorizedFleet } from '../access/authorized-fleet.ts'
import type { Coverage, CoverageState } from '../access/coverage.ts'
import { placed } from '../access/live-reads.ts'
import type { Cluster } from '../fleet/fleet.ts'
import { resourcePath } from '../kubernetes/kinds.ts'
import type { Seconds } from '../kubernetes/rows.ts'
import { builder } from './builder.ts'
import { connectionType, MAX_PAGE, DEFAULT_PAGE, windowOf, type Edge, type PageInfo } from './connection.ts'
import type { GraphContext } from './context.ts'
import { badUserInput, liveErrorOf, type LiveError, type LiveErrorCode } from './errors.ts'
import { clusterFields, clustersOf, labelSelectorOf, unknownCluster, type ClusterFilter } from './filters.ts'
import { ManifestRef } from './live.ts'
import { isObject, presentable, type KubernetesJson } from '../kubernetes/json.ts'
import { manifestOf, type Manifest } from './manifest.ts'
import { keyValues, LabelRef } from './metadata.ts'
import { ClusterRef } from './refs.ts'

interface Resource {
  readonly cluster: Cluster
  readonly apiVersion: string
  readonly kind: string
  readonly namespace: string | null
  readonly name: string
  readonly manifest: Manifest
}

const ResourceRef = builder.objectRef<Resource>('Resource').implement({
  description: 'An object of any kind, read from its API server for this request.',
  fields: (t) => ({
    cluster: t.expose('cluster', { type: ClusterRef, description: 'The cluster it is in.' }),
    apiVersion: t.exposeString('apiVersion', { description: 'API version, such as `cert-manager.io/v1`.' }),
    kind: t.exposeString('kind', { description: 'Kubernetes kind, such as `Certificate`.' }),
    namespace: t.exposeString('namespace', {
      nullable: true,
      description: 'Namespace; null for kinds without one.',
    }),
    name: t.exposeString('name', { description: 'Name.' }),
    uid: t.string({
      nullable: true,
      description: 'UID; null where it could not be read.',
      resolve: ({ manifest }) => manifest.object?.metadata?.uid ?? null,
    }),
    creationTimestamp: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When it was created; null where it could not be read.',
      resolve: ({ manifest }): Seconds | null => {
        const time = Date.parse(manifest.object?.metadata?.creationTimestamp ?? '')
        return Number.isNaN(time) ? null : time / 1000
      },
    }),
    labels: t.field({
      type: [LabelRef],
      nullable: true,
      description: 'Labels in order of their keys; null where it could not be read.',
      resolve: ({ manifest }) => manifest.object && keyValues(manifest.object.metadata?.labels ?? {}),
    }),
    manifest: t.expose('manifest', {
      type: ManifestRef,
      description: 'The whole object, or why it could not be read.',
    }),
  }),
})

/** Values of Secrets are shown nowhere. */
function isSecret({ group, resource }: { readonly group: string; readonly resource: string }): boolean {
  return group === '' && resource === 'secrets'
}

/** No object has these names, and in a path they are no names: such a read would be one of something else. */
function requireName(name: string | null | undefined, argument: string): void {
  if (name === '.' || name === '..') throw badUserInput(`"${name}" is no name of an object.`, argument)
}

interface ResourceArguments {
  readonly apiVersion: string
  readonly kind: string
  readonly namespace?: string | null | undefined
  readonly name: string
}

async function readResource(
  cluster: Cluster,
  { apiVersion, kind, namespace, name }: ResourceArguments,
  { fleet, signal }: GraphContext,
): Promise<Resource | null> {
  let secret = kind === 'Secret'
  const manifest = await manifestOf(async () => {
    const served = await fleet.resolve(cluster, apiVersion, kind, signal)
    if (!served) return undefined
    if (served.namespaced && !namespace) {
      throw badUserInput(`Objects of kind ${kind} are in a namespace: give "namespace".`, 'namespace')
    }
    secret ||= isSecret(served.address)
    const within = served.namespaced ? namespace! : undefined
    const path = resourcePath(served.address, within, name)
    return fleet.request(cluster, { path, what: `get ${kind} ${placed(within, name)}` }, signal)
  }, kind)
  if (manifest.error?.code === 'NOT_FOUND') return null
  const object = manifest.object && presentable(manifest.object, secret)
  return {
    cluster,
    apiVersion,
    kind,
    namespace: object?.metadata?.namespace ?? (object ? null : (namespace ?? null)),
    name,
    manifest: { ...manifest, object },
  }
}

builder.queryField('resource', (t) =>
  t.field({
    type: ResourceRef,
    nullable: true,
    description:
      'One object of any kind that the cluster serves, custom resources included, read live. Null if it does not exist; a cluster that does not answer is said in `manifest { error }`.',
    args: {
      cluster: t.arg.string({ required: true, description: 'Name of the cluster.' }),
      apiVersion: t.arg.string({
        required: true,
        description: 'API version, such as `v1` or `cert-manager.io/v1`.',
      }),
      kind: t.arg.string({ required: true, description: 'Kubernetes kind, such as `Certificate`.' }),
      namespace: t.arg.string({ description: 'Namespace; needed for kinds that have one.' }),
      name: t.arg.string({ required: true, description: 'Name.' }),
    },
    resolve: (_root, args, context) => {
      const cluster = context.fleet.cluster(args.cluster)
      if (!cluster) throw unknownCluster(args.cluster, context.fleet.clusters(), 'cluster')
      if (args.name === '') throw badUserInput('"name" is empty.', 'name')
      requireName(args.name, 'name')
      requireName(args.namespace, 'namespace')
      return context.loaders.once(`resource ${JSON.stringify(args)}`, () =>
        readResource(cluster, args, context),
      )
    },
  }),
)

interface ResourceFilterInput extends ClusterFilter {
  readonly namespace?: string | null | undefined
  readonly labelSelector?: string | null | undefined
  readonly fieldSelector?: string | null | undefined
}

const ResourceFilter = builder.inputRef<ResourceFilterInput>('ResourceFilter').implement({
  description: 'Which objects. All that is given has to hold; what is absent or null accepts everything.',
  fields: (t) => ({
    ...clusterFields(t),
    namespace: t.string({ description: 'Only in this namespace.' }),
    labelSelector: t.string({
      description: "By labels, in Kubernetes' syntax: `app=web,tier!=cache,env in (prod,stage)`.",
    }),
    fieldSelector: t.string({
      description: 'By fields, as far as the API server can: `metadata.name=web` works for every kind.',
    }),
  }),
})

/** How a page is asked for: the same for each of its clusters. */
interface Question {
  readonly apiVersion: string
  readonly kind: string
  readonly filter: ResourceFilterInput
}

/** `token` is the API server's, `''` for the beginning; `skip` counts the objects after it already shown. */
interface Place {
  readonly cluster: string
  readonly token: string
  readonly skip: number
}

function encode({ cluster, token, skip }: Place, { apiVersion, kind, filter }: Question): string {
  const place = ['resources', apiVersion, kind, filter.namespace ?? '', cluster, token, skip]
  return Buffer.from(JSON.stringify(place)).toString('base64url')
}

/** Throws BAD_USER_INPUT for what is no cursor, or one of another list. */
function decode(cursor: string, question: Question): Place {
  const [, , , , cluster, token, skip] = parse(cursor)
  if (typeof cluster === 'string' && typeof token === 'string' && typeof skip === 'number') {
    const place = { cluster, token, skip }
    if (Number.isSafeInteger(skip) && skip >= 0 && skip <= MAX_PAGE && encode(place, question) === cursor) {
      return place
    }
  }
  throw badUserInput(
    `"${cursor.slice(0, 100)}" is not a cursor of this list. Take one from its edges or its pageInfo, with the same kind and namespace.`,
    'after',
  )
}

function parse(cursor: string): readonly unknown[] {
  try {
    const place: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString())
    return Array.isArray(place) ? place : []
  } catch {
    return []
  }
}

/** What one cluster has from a place on. */
interface Chunk {
  readonly cluster: Cluster
  readonly items: readonly { readonly resource: Resource; readonly after: Place }[]
  /** Whether the cluster has more than `items`. */
  readonly more: boolean
  readonly error: LiveError | null
}

async function readChunk(
  cluster: Cluster,
  question: Question,
  start: Place,
  limit: number,
  { fleet, signal }: GraphContext,
): Promise<Chunk> {
  const items: { resource: Resource; after: Place }[] = []
  const { apiVersion, kind, filter } = question
  let { token, skip } = start
  try {
    const served = await fleet.resolve(cluster, apiVersion, kind, signal)
    if (!served) {
      const message = `The cluster does not serve ${kind} in ${apiVersion}.`
      return { cluster, items, more: false, error: { code: 'NOT_SERVED', message } }
    }
    const path = resourcePath(served.address, served.namespaced ? (filter.namespace ?? undefined) : undefined)
    const secret = isSecret(served.address)
    for (;;) {
      const list = listOf(
        await fleet.request(
          cluster,
          {
            path,
            query: {
              limit: skip + limit - items.length,
              continue: token || undefined,
              labelSelector: filter.labelSelector ?? undefined,
              fieldSelector: filter.fieldSelector ?? undefined,
            },
            what: `list ${kind}${filter.namespace ? ` in ${filter.namespace}` : ''}`,
          },
          signal,
        ),
      )
      for (const [index, item] of list.items.entries()) {
        if (index < skip) continue
        const isLast = index === list.items.length - 1 && list.token !== ''
        items.push({
          resource: resourceOf(cluster, question, item, secret),
          after: isLast
            ? { cluster: cluster.name, token: list.token, skip: 0 }
            : { cluster: cluster.name, token, skip: index + 1 },
        })
      }
      token = list.token
      skip = 0
      if (token === '' || items.length >= limit) return { cluster, items, more: token !== '', error: null }
    }
  } catch (error) {
    return { cluster, items: [], more: false, error: liveErrorOf(error) }
  }
}

function listOf(list: unknown): { readonly items: readonly KubernetesJson[]; readonly token: string } {
  if (!isObject(list) || !Array.isArray(list['items'])) return { items: [], token: '' }
  const token = list.metadata?.['continue']
  return { items: list['items'].filter(isObject), token: typeof token === 'string' ? token : '' }
}

/** Items of a list say neither their kind nor their version. */
function resourceOf(
  cluster: Cluster,
  { apiVersion, kind }: Question,
  item: KubernetesJson,
  secret: boolean,
): Resource {
  const object = presentable({ apiVersion, kind, ...item }, secret)
  const { name = '', namespace = null } = object.metadata ?? {}
  return { cluster, apiVersion, kind, namespace, name, manifest: { object, error: null } }
}

interface ResourcePage {
  readonly edges: readonly Edge<Resource>[]
  readonly nodes: readonly Resource[]
  readonly pageInfo: PageInfo
  readonly coverage: readonly Coverage[]
}

/** Clusters that are asked at the same time: each for as much as the page still lacks. */
const AT_ONCE = 8

async function readPage(
  question: Question,
  clusters: readonly Cluster[],
  after: string | undefined,
  first: number,
  context: GraphContext,
): Promise<ResourcePage> {
  const place = after === undefined ? undefined : decode(after, question)
  const left = place ? clusters.filter(({ name }) => name >= place.cluster) : clusters
  const edges: Edge<Resource>[] = []
  const coverage: Coverage[] = []
  let hasNextPage = first === 0 && left.length > 0
  for (let next = 0; next < left.length && !hasNextPage; next += AT_ONCE) {
    const wave = left.slice(next, next + AT_ONCE)
    const chunks = await Promise.all(
      wave.map((cluster) => {
        const start = place?.cluster === cluster.name ? place : { cluster: cluster.name, token: '', skip: 0 }
        return readChunk(cluster, question, start, first - edges.length, context)
      }),
    )
    for (const chunk of chunks) {
      refuse(chunk, place)
      coverage.push(coverageOf(chunk, context.fleet))
      const room = first - edges.length
      for (const { resource, after } of chunk.items.slice(0, room)) {
        edges.push({ node: resource, cursor: encode(after, question) })
      }
      if (chunk.more || chunk.items.length > room) hasNextPage = true
      if (hasNextPage || edges.length === first) {
        hasNextPage ||= chunk.cluster !== left.at(-1)
        break
      }
    }
  }
  return {
    edges,
    nodes: edges.map(({ node }) => node),
    pageInfo: {
      hasNextPage,
      hasPreviousPage: place !== undefined,
      startCursor: edges[0]?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? null,
    },
    coverage,
  }
}

/** What the request is to blame for, not the cluster. */
function refuse({ cluster, error }: Chunk, place: Place | undefined): void {
  if (error?.code === 'FAILED') {
    throw badUserInput(`The cluster ${cluster.name} refuses the request: ${error.message}`, 'filter')
  }
  if (error?.code === 'EXPIRED' && place?.cluster === cluster.name) {
    throw badUserInput(
      `The cursor is too old for the cluster ${cluster.name}: start again from the first page.`,
      'after',
    )
  }
}

const COVERAGE_OF_ERRORS = {
  FORBIDDEN: 'FORBIDDEN',
  NOT_SERVED: 'NOT_SERVED',
  NOT_FOUND: 'NOT_SERVED',
  UNREACHABLE: 'UNREACHABLE',
  EXPIRED: 'UNREACHABLE',
  FAILED: 'UNREACHABLE',
} as const satisfies Record<LiveErrorCode, CoverageState>

function coverageOf({ cluster, error }: Chunk, fleet: AuthorizedFleet): Coverage {
  fleet.reads.noteVolatile()
  const now = Date.now()
  return error
    ? {
        cluster: cluster.name,
        state: COVERAGE_OF_ERRORS[error.code],
        since: now,
        asOf: null,
        reason: error.message,
      }
    : { cluster: cluster.name, state: 'CURRENT', since: now, asOf: now, reason: null }
}

const ResourceConnection = connectionType<Resource, ResourcePage>('Resource', ResourceRef, 'resources', {
  total: false,
  coverage:
    'One entry for each cluster that was asked for this page: later pages ask the ones that are missing here.',
})

builder.queryField('resources', (t) =>
  t.field({
    type: ResourceConnection,
    description: `Objects of any kind that clusters serve, custom resources included, read live; by cluster, then in the order of the API server. At most ${MAX_PAGE} a page, forward only.`,
    args: {
      apiVersion: t.arg.string({
        required: true,
        description: 'API version, such as `v1` or `cert-manager.io/v1`.',
      }),
      kind: t.arg.string({ required: true, description: 'Kubernetes kind, such as `Certificate`.' }),
      filter: t.arg({ type: ResourceFilter, description: 'Which objects; absent: all of all clusters.' }),
      first: t.arg.int({ description: `How many: 0 to ${MAX_PAGE}; absent: ${DEFAULT_PAGE}.` }),
      after: t.arg.string({
        description: 'Only what comes after this cursor. API servers forget theirs after some minutes.',
      }),
    },
    resolve: (_root, { apiVersion, kind, first, after, filter }, context) => {
      const window = windowOf({ first, after })
      requireName(filter?.namespace, 'filter.namespace')
      const question = { apiVersion, kind, filter: filter ?? {} }
      if (question.filter.labelSelector != null) {
        labelSelectorOf(question.filter.labelSelector, 'filter.labelSelector')
      }
      const clusters = clustersOf(filter, context)
      const size = window.first ?? DEFAULT_PAGE
      return context.loaders.once(`resources ${JSON.stringify([question, window])}`, () =>
        readPage(question, clusters, window.after, size, context),
      )
    },
  }),
)
