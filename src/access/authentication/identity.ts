/**
 * Users as others describe them – claims of a token, headers of a proxy, the answer of a review – made
 * identities in Kubernetes' terms.
 *
 * Invariant: names and groups that begin with `system:` are Kubernetes' own; whoever is not a cluster gives
 * nobody such a name. Everybody who signed in is in `system:authenticated`.
 */
import type { User } from '../viewer.ts'
import { AuthenticationError } from './authenticator.ts'

const EVERYBODY = 'system:authenticated'

export interface Described {
  readonly name: string
  readonly groups: readonly string[]
  readonly uid?: string | undefined
  readonly extra?: Readonly<Record<string, readonly string[]>> | undefined
}

/** The user that a cluster, or a file of ours, describes: it may be one of Kubernetes' own. */
export function ownUser({ name, groups, uid, extra }: Described): User {
  for (const text of [name, uid ?? 'x', ...groups]) requireWritable(text)
  const all = new Set(groups)
  // A user is one or the other; the cluster's own anonymous one has not signed in.
  if (name !== 'system:anonymous') all.add(EVERYBODY)
  return {
    name,
    groups: [...all],
    ...(uid !== undefined && { uid }),
    ...(extra && Object.keys(extra).length > 0 && { extra }),
  }
}

/**
 * The user that somebody else describes: a name of Kubernetes' own is refused, such groups are dropped.
 * Throws `AuthenticationError`.
 */
export function foreignUser(described: Described): User {
  if (isSystem(described.name)) {
    throw new AuthenticationError(
      'UNAUTHENTICATED',
      'User names that begin with "system:" are of the clusters alone. Sign in as somebody else.',
    )
  }
  return ownUser({ ...described, groups: described.groups.filter((group) => !isSystem(group)) })
}

/** Whether a name or group is one of Kubernetes' own. */
function isSystem(name: string): boolean {
  return name.startsWith('system:')
}

/** Whether a user has a name, or groups, that mean something in its own cluster only. */
export function isOfCluster({ name, groups }: User): boolean {
  return isSystem(name) || groups.some((group) => group !== EVERYBODY && isSystem(group))
}

/**
 * What could not be written into an `Impersonate-*` header as it is would be somebody else there, or nobody.
 */
function requireWritable(text: string): void {
  // oxlint-disable-next-line no-control-regex
  if (text !== '' && text === text.trim() && !/[\u0000-\u001f\u007f]/.test(text)) return
  throw new AuthenticationError(
    'UNAUTHENTICATED',
    'The name or a group of the user is empty, or holds characters that Kubernetes does not take.',
  )
}
