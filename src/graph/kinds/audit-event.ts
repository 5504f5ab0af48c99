/**
 * `auditEvents`, as a list and as a subscription: what was done and what was refused, for those whom the
 * configuration names. It is no part of the fleet: no cluster has to be readable for it, and there is no coverage.
 */
import {
  AuditIdError,
  type AuditFilter,
  type AuditReader,
  type AuditRecord,
  type AuditType,
} from '../../access/audit/audit.ts'
import { builder } from '../builder.ts'
import { DEFAULT_PAGE, MAX_PAGE, PageInfoRef, windowOf, type Edge, type PageInfo } from '../connection.ts'
import type { GraphContext } from '../context.ts'
import { badUserInput, forbidden } from '../errors.ts'
import { Outlet } from '../outlet.ts'

const AuditEventType = builder.enumType('AuditEventType', {
  description: 'What an audit record is about.',
  values: {
    MUTATION: { description: 'A mutation was executed.' },
    DENIED: {
      description:
        'Somebody was shown nothing of a cluster where they asked, or may see less of it in a stream than before.',
    },
    PRIVILEGED_READ: {
      description: 'Something was read beyond what lists show: a log, a manifest, an object of any kind.',
    },
    SIGN_IN_FAILED: { description: 'Credentials that were no good.' },
    REFUSED: {
      description: 'A request was not executed: too much, too often, or a document that is not trusted.',
    },
  } satisfies Record<AuditType, { description: string }>,
})

type Outcome = AuditRecord['outcome']

const AuditOutcome = builder.enumType('AuditOutcome', {
  description: 'How what an audit record is about came out.',
  values: {
    ALLOWED: { description: 'It was done.' },
    DENIED: { description: 'It was not allowed, all of it or in some of the clusters.' },
    FAILED: { description: 'It was allowed, and failed.' },
  } satisfies Record<Outcome, { description: string }>,
})

type AuditUser = NonNullable<AuditRecord['user']>

const AuditUserRef = builder.objectRef<AuditUser>('AuditUser').implement({
  description: 'Who did it, as they were signed in.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Name of the user.' }),
    groups: t.exposeStringList('groups', { description: 'Groups of the user.' }),
    issuer: t.exposeString('issuer', {
      nullable: true,
      description:
        'Who vouched for them: an OIDC issuer, a cluster, or the name of a token; null where nobody did.',
    }),
  }),
})

const AuditEventRef = builder.objectRef<AuditRecord>('AuditEvent').implement({
  description:
    'An audit record: something that was done or refused. It holds no tokens, no values of variables, and nothing of what was read.',
  fields: (t) => ({
    id: t.exposeString('id', {
      description: 'Tells it from all others; also its cursor. Later records have later ones.',
    }),
    time: t.field({
      type: 'DateTime',
      description: 'When it was recorded.',
      resolve: ({ at }) => new Date(at),
    }),
    type: t.expose('type', { type: AuditEventType, description: 'What it is about.' }),
    outcome: t.expose('outcome', { type: AuditOutcome, description: 'How it came out.' }),
    user: t.expose('user', {
      type: AuditUserRef,
      nullable: true,
      description: 'Who did it; null where nobody signed in.',
    }),
    remoteAddress: t.exposeString('remoteAddress', {
      nullable: true,
      description: 'Where the connection came from: the client, or a proxy.',
    }),
    operationName: t.exposeString('operationName', {
      nullable: true,
      description: 'Name of the operation, as its document says; null where it has none.',
    }),
    operationHash: t.exposeString('operationHash', {
      nullable: true,
      description: 'SHA-256 of the document, in hex; null where there was none.',
    }),
    clusters: t.exposeStringList('clusters', { description: 'Names of the clusters that it was about.' }),
    message: t.exposeString('message', {
      nullable: true,
      description: 'Why it was refused, or what was read or done; for a person.',
    }),
    latencyMs: t.exposeFloat('latencyMs', {
      nullable: true,
      description: 'Milliseconds from the request to its answer; null where there was none.',
    }),
    correlationId: t.exposeString('correlationId', {
      description: 'The `x-request-id` of the answer, and of the lines about it in the log of the gateway.',
    }),
    count: t.exposeInt('count', {
      description:
        'For how many it stands. Of those that are alike within a minute the first is a record at once, and the others together are one more at the end of the minute.',
    }),
  }),
})

interface AuditConnection {
  readonly edges: readonly Edge<AuditRecord>[]
  readonly pageInfo: PageInfo
  readonly problem: string | null
}

const AuditEventEdge = builder.objectRef<Edge<AuditRecord>>('AuditEventEdge').implement({
  description: 'An audit record in a connection, with its place in the order.',
  fields: (t) => ({
    cursor: t.exposeString('cursor', { description: 'Place in the order of this list, for `after`.' }),
    node: t.expose('node', { type: AuditEventRef, description: 'The record itself.' }),
  }),
})

const AuditEventConnection = builder.objectRef<AuditConnection>('AuditEventConnection').implement({
  description:
    'A page of audit records, newest first. It may be shorter than `first` while there is more: a filter that little fits to is looked up in steps.',
  fields: (t) => ({
    edges: t.expose('edges', {
      type: [AuditEventEdge],
      description: 'The page, with a cursor for each record.',
    }),
    nodes: t.field({
      type: [AuditEventRef],
      description: 'The page itself: the same as the `node` of all `edges`.',
      resolve: ({ edges }) => edges.map(({ node }) => node),
    }),
    pageInfo: t.expose('pageInfo', { type: PageInfoRef, description: 'How to go on from this page.' }),
    problem: t.exposeString('problem', {
      nullable: true,
      description: 'Why records may be missing, for a person; null where none are.',
    }),
  }),
})

interface AuditFilterInput {
  readonly types?: readonly AuditType[] | null | undefined
  readonly users?: readonly string[] | null | undefined
  readonly clusters?: readonly string[] | null | undefined
  readonly outcome?: Outcome | null | undefined
  readonly since?: number | null | undefined
  readonly until?: number | null | undefined
}

const AuditEventFilter = builder.inputRef<AuditFilterInput>('AuditEventFilter').implement({
  description: 'Which audit records; all that is given holds together.',
  fields: (t) => ({
    types: t.field({ type: [AuditEventType], description: 'About one of these.' }),
    users: t.stringList({ description: 'Of users with one of these names.' }),
    clusters: t.stringList({ description: 'About one of the clusters of these names.' }),
    outcome: t.field({ type: AuditOutcome, description: 'That came out so.' }),
    since: t.field({ type: 'DateTime', description: 'Recorded at this moment or later.' }),
    until: t.field({ type: 'DateTime', description: 'Recorded at this moment or before.' }),
  }),
})

function filterOf(filter: AuditFilterInput | null | undefined): AuditFilter {
  const { types, users, clusters, outcome, since, until } = filter ?? {}
  return {
    ...(types && { types }),
    ...(users && { users }),
    ...(clusters && { clusters }),
    ...(outcome && { outcomes: [outcome] }),
    ...(since != null && { since: since * 1000 }),
    ...(until != null && { until: until * 1000 }),
  }
}

const FORBIDDEN =
  'You may not read audit records. Who may is set by "audit.readerUsers" and "audit.readerGroups" in the configuration of the gateway.'

/** Throws FORBIDDEN. */
function readerOf({ audit, fleet }: GraphContext): AuditReader {
  // Whether they may read it is theirs alone, like what they read.
  fleet.reads.noteVolatile()
  // Who reads them, and who tried to, is on record itself.
  fleet.reads.notePrivileged('audit records')
  if (!audit?.allowed) throw forbidden(FORBIDDEN)
  return audit
}

builder.queryField('auditEvents', (t) =>
  t.field({
    type: AuditEventConnection,
    // Of who may not read them the rest of the request is answered all the same.
    nullable: true,
    description:
      'What was done and what was refused in all clusters and on all replicas of the gateway, newest first: mutations, refused reads, reads of logs and manifests, failed sign-ins. Only for those whom the configuration names: null, with the error FORBIDDEN, for all others.',
    args: {
      first: t.arg.int({
        defaultValue: DEFAULT_PAGE,
        description: `How many: 0 to ${MAX_PAGE}.`,
      }),
      after: t.arg.string({ description: 'Only those after this place: `endCursor` of the page before.' }),
      filter: t.arg({ type: AuditEventFilter, description: 'Only those that match.' }),
    },
    resolve: async (_root, { first, after, filter }, context): Promise<AuditConnection> => {
      const reader = readerOf(context)
      const window = windowOf({ first, after })
      const page = await reader
        .list({
          filter: filterOf(filter),
          first: window.first ?? DEFAULT_PAGE,
          ...(window.after !== undefined && { after: window.after }),
        })
        .catch((error: unknown): never => {
          if (error instanceof AuditIdError) throw badUserInput(error.message, 'after', error)
          throw error
        })
      const edges = page.records.map((node) => ({ cursor: node.id, node }))
      return {
        edges,
        problem: page.problem,
        pageInfo: {
          hasNextPage: page.hasMore,
          hasPreviousPage: after != null,
          startCursor: edges[0]?.cursor ?? null,
          // Of a page that was only looked through: how far.
          endCursor: page.hasMore ? page.end : (edges.at(-1)?.cursor ?? null),
        },
      }
    },
  }),
)

builder.subscriptionField('auditEvents', (t) =>
  t.field({
    type: AuditEventRef,
    description:
      'Audit records as they are made, on all replicas of the gateway, oldest first. Those before are listed by the query of the same name. A reader that is slow holds up the reading; nothing is left out. Only for those whom the configuration names.',
    args: { filter: t.arg({ type: AuditEventFilter, description: 'Only those that match.' }) },
    subscribe: (_root, { filter }, context) => {
      const reader = readerOf(context)
      return new Outlet<AuditRecord>({
        feed: async (outlet, ended) => {
          const take = (records: readonly AuditRecord[]) => {
            for (const record of records) outlet.push(record)
            return outlet.taken()
          }
          await reader.follow(filterOf(filter), take, ended)
          if (!reader.allowed && !ended.aborted) throw forbidden(FORBIDDEN)
        },
        signal: context.signal,
      })
    },
    resolve: (record) => record,
  }),
)
