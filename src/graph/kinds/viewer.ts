/**
 * `viewer` and `canI`: who asks, and whether they may do something; and under each cluster what they may list
 * there. Whoever they are is theirs alone: no answer with it is kept. What they may list is part of the rights
 * that answers are kept by.
 */
import type { AuthorizedFleet } from '../../access/authorized-fleet.ts'
import type { ReadRight, Verdict } from '../../access/policy.ts'
import type { SignInMethod, Viewer } from '../../access/viewer.ts'
import type { Cluster } from '../../fleet/fleet.ts'
import type { Scope } from '../../fleet/selection.ts'
import { ALL_KINDS, KINDS } from '../../kubernetes/kinds.ts'
import type { Kind } from '../../kubernetes/rows.ts'
import { builder } from '../builder.ts'
import { KindEnum } from '../enums.ts'
import { badUserInput } from '../errors.ts'
import { unknownCluster } from '../filters.ts'
import { READ_LIVE } from '../live.ts'
import { ClusterRef } from '../refs.ts'

const SignInMethodEnum = builder.enumType('SignInMethod', {
  description: 'How somebody signed in.',
  values: {
    OIDC: { description: 'With a token of an OpenID Connect issuer.' },
    TOKEN_REVIEW: { description: 'With a token that a cluster knows, such as one of a service account.' },
    TOKEN: { description: 'With a token of the configuration.' },
    PROXY: { description: 'A proxy in front of the gateway says who it is.' },
    ANONYMOUS: { description: 'Not at all.' },
  } satisfies Record<SignInMethod, { description: string }>,
})

interface ExtraEntry {
  readonly key: string
  readonly values: readonly string[]
}

const UserExtraRef = builder.objectRef<ExtraEntry>('UserExtra').implement({
  description: 'Something more that is known of a user, for whoever checks it.',
  fields: (t) => ({
    key: t.exposeString('key', { description: 'What, such as `scopes`.' }),
    values: t.exposeStringList('values', { description: 'Its values.' }),
  }),
})

const ViewerRef = builder.objectRef<Viewer>('Viewer').implement({
  description: 'Who asks, as the clusters know them.',
  fields: (t) => ({
    name: t.string({ description: 'Name of the user.', resolve: ({ user }) => user.name }),
    groups: t.stringList({ description: 'Groups of the user.', resolve: ({ user }) => user.groups }),
    uid: t.string({
      nullable: true,
      description: 'What tells the user from others that had the name before; null where nobody says.',
      resolve: ({ user }) => user.uid ?? null,
    }),
    extra: t.field({
      type: [UserExtraRef],
      description: 'What more is known of the user, in order of the keys.',
      resolve: ({ user }): readonly ExtraEntry[] =>
        Object.entries(user.extra ?? {})
          .map(([key, values]) => ({ key, values }))
          .sort((a, b) => (a.key < b.key ? -1 : 1)),
    }),
    method: t.expose('method', { type: SignInMethodEnum, description: 'How they signed in.' }),
    issuer: t.exposeString('issuer', {
      nullable: true,
      description:
        'Who vouches for them: the URL of the OIDC issuer, the cluster that reviewed the token, or the name of the token; null where nobody does.',
    }),
    expiresAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When they have to sign in again; null where it does not end by itself.',
      resolve: ({ expiresAt }) => (expiresAt === null ? null : new Date(expiresAt)),
    }),
  }),
})

const AccessReviewRef = builder.objectRef<Verdict>('AccessReview').implement({
  description: 'Whether you may do something.',
  fields: (t) => ({
    allowed: t.exposeBoolean('allowed', {
      nullable: true,
      description: 'Null where it cannot be found out at the moment: `reason` says why.',
    }),
    reason: t.exposeString('reason', {
      nullable: true,
      description: 'A sentence for a person, where there is anything to say.',
    }),
  }),
})

/** Longer than any name that Kubernetes takes. */
const MOST_TEXT = 253

builder.queryFields((t) => ({
  viewer: t.field({
    type: ViewerRef,
    extensions: READ_LIVE,
    description: 'Who you are here, and how you signed in.',
    resolve: (_root, _arguments, { fleet, viewer }) => {
      fleet.reads.noteVolatile()
      return viewer
    },
  }),
  canI: t.field({
    type: AccessReviewRef,
    extensions: READ_LIVE,
    description:
      'Whether you may do something in a cluster, as `kubectl auth can-i` tells. For the buttons of an object there is `viewerCan`.',
    args: {
      cluster: t.arg.string({ required: true, description: 'Name of the cluster.' }),
      verb: t.arg.string({
        required: true,
        description: '`get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, or any other.',
      }),
      group: t.arg.string({ defaultValue: '', description: 'API group; empty: the core group.' }),
      resource: t.arg.string({ required: true, description: 'Resource, in the plural: `pods`.' }),
      subresource: t.arg.string({ description: 'Subresource, such as `log`; absent: the resource itself.' }),
      namespace: t.arg.string({
        description: 'Namespace; absent: in all of them, or of a resource without one.',
      }),
      name: t.arg.string({ description: 'Name of one object; absent: of any.' }),
    },
    resolve: (_root, { cluster, verb, group, resource, ...rest }, context) => {
      const { fleet, loaders } = context
      fleet.reads.noteVolatile()
      if (!fleet.cluster(cluster)) throw unknownCluster(cluster, fleet.clusters(), 'cluster')
      const { subresource, namespace, name } = rest
      const texts = { verb, group: group ?? '', resource, subresource, namespace, name }
      for (const [argument, text] of Object.entries(texts)) {
        if (text != null && text.length > MOST_TEXT) {
          throw badUserInput(`"${argument}" has more than ${MOST_TEXT} characters.`, argument)
        }
      }
      if (verb === '') throw badUserInput('"verb" is empty.', 'verb')
      if (resource === '') throw badUserInput('"resource" is empty.', 'resource')
      return loaders.permissions.ask(cluster, {
        verb,
        group: group ?? '',
        resource,
        ...(subresource && { subresource }),
        ...(namespace && { namespace }),
        ...(name && { name }),
      })
    },
  }),
}))

const SCOPES = {
  ALL: 'Everything of the kind.',
  SOME: 'What is in `namespaces`, and of `objects` and `names`.',
  NONE: 'Nothing.',
  PENDING: 'It is being found out: ask again soon.',
  UNKNOWN: 'It cannot be found out at the moment; nothing is shown.',
} as const

const ViewerScopeState = builder.enumType('ViewerScopeState', {
  description: 'How much of a kind somebody may list.',
  values: Object.fromEntries(
    Object.entries(SCOPES).map(([state, description]) => [state, { description, value: state }]),
  ),
})

interface ViewerScope {
  readonly kind: Kind
  readonly right: ReadRight
}

function stateOf({ scope, state }: ReadRight): keyof typeof SCOPES {
  if (state !== 'DECIDED') return state
  if (scope === undefined) return 'NONE'
  return scope === 'all' ? 'ALL' : 'SOME'
}

function sorted(names: Iterable<string> | undefined): readonly string[] {
  return Array.from(names ?? []).sort()
}

function partOf(scope: Scope | undefined, part: 'namespaces' | 'objects' | 'names'): readonly string[] {
  return scope === undefined || scope === 'all' ? [] : sorted(scope[part])
}

const ViewerScopeRef = builder.objectRef<ViewerScope>('ViewerScope').implement({
  description:
    'What you may list of a kind in a cluster. It tells of your rights, not of what there is: a namespace may have nothing of the kind.',
  fields: (t) => ({
    kind: t.expose('kind', { type: KindEnum, description: 'The kind.' }),
    state: t.field({
      type: ViewerScopeState,
      description: 'How much of it.',
      resolve: ({ right }) => stateOf(right) as never,
    }),
    namespaces: t.stringList({
      nullable: true,
      description:
        'Namespaces in which you may list all objects of the kind, in the order of the alphabet; null: in all.',
      resolve: ({ right: { scope } }) => (scope === 'all' ? null : partOf(scope, 'namespaces')),
    }),
    objects: t.stringList({
      description:
        'Single objects beyond these namespaces, as `namespace/name`; of kinds without namespaces as `/name`.',
      resolve: ({ right: { scope } }) => partOf(scope, 'objects'),
    }),
    names: t.stringList({
      description: 'Names that you may list in every namespace.',
      resolve: ({ right: { scope } }) => partOf(scope, 'names'),
    }),
    reason: t.string({
      nullable: true,
      description: 'A sentence for a person, where there is anything to say.',
      resolve: ({ right }) => right.reason,
    }),
  }),
})

const NAMESPACED_KINDS = ALL_KINDS.filter((kind) => KINDS[kind].namespaced)

/** `null`: any of the kinds may be listed in all namespaces. */
function namespacesIn(
  cluster: Cluster,
  kinds: readonly Kind[],
  fleet: AuthorizedFleet,
): readonly string[] | null {
  const names = new Set<string>()
  for (const kind of kinds) {
    const { scope } = fleet.right(kind, cluster)
    if (scope === 'all') return null
    for (const name of scope?.namespaces ?? []) names.add(name)
    for (const object of scope?.objects ?? []) names.add(object.slice(0, object.indexOf('/')))
  }
  names.delete('')
  return sorted(names)
}

builder.objectFields(ClusterRef, (t) => ({
  viewerScopes: t.field({
    type: [ViewerScopeRef],
    description: 'What you may list in it, kind by kind.',
    args: {
      kinds: t.arg({ type: [KindEnum], description: 'Only these kinds, each once; absent: all.' }),
    },
    resolve: (cluster, { kinds }, { fleet }) =>
      Array.from(new Set(kinds ?? ALL_KINDS), (kind) => ({ kind, right: fleet.right(kind, cluster) })),
  }),
  viewerNamespaces: t.stringList({
    nullable: true,
    description:
      'Namespaces in which you may list anything of these kinds, in the order of the alphabet: for whoever may not list the namespaces themselves. Null: in all of them.',
    args: {
      kinds: t.arg({
        type: [KindEnum],
        description: 'Of these kinds; absent: of all kinds that have namespaces.',
      }),
    },
    resolve: (cluster, { kinds }, { fleet }) => namespacesIn(cluster, kinds ?? NAMESPACED_KINDS, fleet),
  }),
}))
