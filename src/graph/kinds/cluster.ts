/** Cluster: a Kubernetes cluster of the fleet, its health and what of it is in memory. */
import { ALL_KINDS } from '../../kubernetes/kinds.ts'
import { matchesLabels } from '../../kubernetes/label-selector.ts'
import { globalId } from '../../kubernetes/kinds.ts'
import type { Kind } from '../../kubernetes/rows.ts'
import type { AuthorizedFleet } from '../../access/authorized-fleet.ts'
import type { Coverage } from '../../access/coverage.ts'
import type { Cluster, ClusterHealth } from '../../fleet/fleet.ts'
import type { LiveEvent } from '../../events/live.ts'
import { builder } from '../builder.ts'
import { ChangeTypeEnum, DeletedReasonEnum } from '../changes.ts'
import { connectionType, windowOf, type Connection } from '../connection.ts'
import { CoverageRef } from '../coverage.ts'
import { KindEnum } from '../enums.ts'
import { badUserInput } from '../errors.ts'
import { labelSelectorOf, textTest, TextFilter, type TextFilterInput } from '../filters.ts'
import { windowArguments } from '../list.ts'
import { LabelRef, labelsOf } from '../metadata.ts'
import { ClusterRef, Node } from '../refs.ts'

const ClusterState = builder.enumType('ClusterState', {
  description: 'Whether the gateway can talk to a cluster.',
  values: {
    CONNECTING: { description: 'No answer yet.' },
    UP: { description: 'It answers.' },
    DOWN: { description: 'It does not answer, or not to the gateway.' },
  } satisfies Record<ClusterHealth['state'], { description: string }>,
})

const ClusterError = builder.objectRef<NonNullable<ClusterHealth['lastError']>>('ClusterError').implement({
  description: 'The last failure of a cluster.',
  fields: (t) => ({
    code: t.exposeString('code', { description: 'For a program, such as `UNREACHABLE` or `TLS`.' }),
    message: t.exposeString('message', { description: 'For a person: what failed and what to do.' }),
    at: t.field({ type: 'DateTime', description: 'When.', resolve: ({ at }) => new Date(at) }),
  }),
})

interface KindState {
  readonly kind: Kind
  readonly coverage: Coverage
  readonly count: number
}

const KindStateRef = builder.objectRef<KindState>('KindState').implement({
  description: 'What the gateway has of one kind of a cluster.',
  fields: (t) => ({
    kind: t.expose('kind', { type: KindEnum, description: 'The kind.' }),
    coverage: t.expose('coverage', { type: CoverageRef, description: 'How complete and how fresh it is.' }),
    count: t.exposeInt('count', { description: 'How many objects of it are in memory that you may see.' }),
  }),
})

ClusterRef.implement({
  description: 'A Kubernetes cluster of the fleet.',
  interfaces: [Node],
  fields: (t) => ({
    id: t.id({ description: 'Global and opaque.', resolve: ({ name }) => globalId('Cluster', name) }),
    name: t.exposeString('name', { description: 'Name in the fleet, unique.' }),
    labels: t.field({
      type: [LabelRef],
      description: 'Labels that the configuration gave it, in order of their keys: `env`, `region`…',
      resolve: ({ labels }) => labelsOf(labels),
    }),
    label: t.string({
      nullable: true,
      description: 'Value of one label; null where it has no such label.',
      args: { key: t.arg.string({ required: true, description: 'Key of the label.' }) },
      resolve: ({ labels }, { key }) => (Object.hasOwn(labels, key) ? (labels[key] ?? null) : null),
    }),
    state: t.field({
      type: ClusterState,
      description: 'Whether the gateway can talk to it.',
      resolve: ({ health }) => health.state,
    }),
    since: t.field({
      type: 'DateTime',
      description: 'Since when it has been in this state.',
      resolve: ({ health }) => new Date(health.since),
    }),
    version: t.string({
      nullable: true,
      description:
        'Version of its API server, such as `v1.34.1`; the last known while it is down, null if it never answered.',
      resolve: ({ health }) => health.version,
    }),
    latencyMs: t.float({
      nullable: true,
      description:
        'Milliseconds that its API server took to answer the last probe; null if it never answered. It changes all the time: an answer that holds it is never served from the cache.',
      resolve: ({ health }, _arguments, { fleet }) => {
        fleet.reads.noteVolatile()
        return health.latencyMs
      },
    }),
    lastContactAt: t.field({
      type: 'DateTime',
      nullable: true,
      description:
        'When it last answered; null if it never did. It changes all the time: an answer that holds it is never served from the cache.',
      resolve: ({ health }, _arguments, { fleet }) => {
        fleet.reads.noteVolatile()
        return health.lastContactAt === null ? null : new Date(health.lastContactAt)
      },
    }),
    lastError: t.field({
      type: ClusterError,
      nullable: true,
      description: 'Its last failure, even if it has recovered; null if there never was one.',
      resolve: ({ health }, _arguments, { fleet }) => {
        fleet.reads.noteVolatile()
        return health.lastError
      },
    }),
    coverage: t.field({
      type: CoverageRef,
      description: 'How complete and how fresh all that the gateway has of it is: the worst of its kinds.',
      resolve: (cluster, _arguments, { fleet }) => fleet.coverage(ALL_KINDS, [cluster])[0]!,
    }),
    kinds: t.field({
      type: [KindStateRef],
      description: 'What the gateway has of each kind, in the order in which it reads them.',
      resolve: (cluster, _arguments, { fleet }) =>
        ALL_KINDS.map((kind) => ({
          kind,
          coverage: fleet.coverage([kind], [cluster])[0]!,
          count: fleet.summaries(kind, cluster).reduce((sum, { count }) => sum + count, 0),
        })),
    }),
  }),
})

interface ClusterFilterInput {
  readonly name?: TextFilterInput | null | undefined
  readonly selector?: string | null | undefined
  readonly states?: readonly ClusterHealth['state'][] | null | undefined
}

const ClusterFilter = builder.inputRef<ClusterFilterInput>('ClusterFilter').implement({
  description: 'Which clusters. All that is given has to hold; what is absent or null accepts everything.',
  fields: (t) => ({
    name: t.field({ type: TextFilter, description: 'By the name in the fleet.' }),
    selector: t.string({ description: "By labels, in Kubernetes' syntax: `env=prod,region in (eu,us)`." }),
    states: t.field({ type: [ClusterState], description: 'In one of these states.' }),
  }),
})

const ClusterConnection = connectionType<Cluster>('Cluster', ClusterRef, 'clusters')

/** Cursors are names: the order of clusters is the order of their names. */
const cursorOf = (cluster: Cluster) => Buffer.from(`cluster/${cluster.name}`).toString('base64url')

function nameIn(cursor: string | undefined, argument: string): string | undefined {
  if (cursor === undefined) return undefined
  const text = Buffer.from(cursor, 'base64url').toString()
  if (text.startsWith('cluster/')) return text.slice('cluster/'.length)
  throw badUserInput(
    `"${cursor}" is not a cursor of this list. Take one from its edges or its pageInfo.`,
    argument,
  )
}

builder.queryFields((t) => ({
  cluster: t.field({
    type: ClusterRef,
    nullable: true,
    description: 'The cluster of this name; null where the fleet has none.',
    args: { name: t.arg.string({ required: true, description: 'Name in the fleet.' }) },
    resolve: (_root, { name }, { fleet }) => fleet.cluster(name) ?? null,
  }),
  clusters: t.field({
    type: ClusterConnection,
    description: 'The clusters of the fleet, in order of their names.',
    args: {
      filter: t.arg({ type: ClusterFilter, description: 'Which clusters; absent: all.' }),
      ...windowArguments(t),
    },
    resolve: (_root, args, { fleet }) =>
      clusterPage(fleet.clusters().filter(testOf(args.filter)), args, fleet),
  }),
}))

/** Throws BAD_USER_INPUT. */
function testOf(filter: ClusterFilterInput | null | undefined): (cluster: Cluster) => boolean {
  const { name, selector, states } = filter ?? {}
  const labels = selector == null ? undefined : labelSelectorOf(selector, 'filter.selector')
  const test = name ? textTest(name) : undefined
  return (cluster) =>
    (!test || test(cluster.name)) &&
    (!labels || matchesLabels(labels, cluster.labels)) &&
    (!states || states.includes(cluster.health.state))
}

const ClusterChangeRef = builder.objectRef<LiveEvent>('ClusterChange').implement({
  description: 'An event of a subscription to clusters.',
  fields: (t) => ({
    type: t.expose('type', {
      type: ChangeTypeEnum,
      description:
        'What it tells: ADDED for a cluster that joins the fleet or comes into the filter, MODIFIED where its state, its version or its labels have changed, DELETED, SYNCED after a snapshot, and RESYNC for a reader that was too slow: ADDED for all and SYNCED follow.',
    }),
    cluster: t.expose('cluster', {
      type: ClusterRef,
      nullable: true,
      description: 'The cluster as it is now; of DELETED as it was last. Null for SYNCED and RESYNC.',
    }),
    deletedReason: t.expose('deletedReason', {
      type: DeletedReasonEnum,
      nullable: true,
      description: 'Of DELETED: why.',
    }),
    message: t.exposeString('message', {
      nullable: true,
      description: 'A sentence for a person, or null.',
    }),
  }),
})

builder.subscriptionField('clusterChanges', (t) =>
  t.field({
    type: ClusterChangeRef,
    description:
      'Clusters as they join and leave the fleet, go up and down, or change version or labels. It cannot be resumed: ask for a `snapshot` each time.',
    args: {
      filter: t.arg({ type: ClusterFilter, description: 'Which clusters; absent: all.' }),
      snapshot: t.arg.boolean({
        defaultValue: false,
        description: 'Whether to begin with what is there: ADDED for each cluster, then one SYNCED.',
      }),
    },
    subscribe: (_root, { filter, snapshot }, { fleet, signal }) =>
      fleet.follow({ type: 'clusters', clusters: testOf(filter) }, { snapshot: snapshot ?? false }, signal),
    resolve: (event) => event,
  }),
)

function clusterPage(
  matching: readonly Cluster[],
  args: Parameters<typeof windowOf>[0],
  fleet: AuthorizedFleet,
): Connection<Cluster> {
  const { first, last, ...cursors } = windowOf(args)
  const after = nameIn(cursors.after, 'after')
  const before = nameIn(cursors.before, 'before')
  const range = matching.filter(
    ({ name }) => (after === undefined || name > after) && (before === undefined || name < before),
  )
  const nodes = last === undefined ? range.slice(0, first) : range.slice(Math.max(0, range.length - last))
  const [begin] = nodes
  const end = nodes.at(-1)
  return {
    nodes,
    edges: nodes.map((node) => ({ node, cursor: cursorOf(node) })),
    pageInfo: {
      // A page of none has what it could have shown on the side that it was to grow to.
      hasNextPage: end
        ? matching.at(-1) !== end
        : (first === 0 && range.length > 0) ||
          matching.some(({ name }) => before !== undefined && name >= before),
      hasPreviousPage: begin
        ? matching[0] !== begin
        : (last === 0 && range.length > 0) ||
          matching.some(({ name }) => after !== undefined && name <= after),
      startCursor: begin ? cursorOf(begin) : null,
      endCursor: end ? cursorOf(end) : null,
    },
    totalCount: matching.length,
    get coverage() {
      return fleet.coverage([], nodes)
    },
  }
}
