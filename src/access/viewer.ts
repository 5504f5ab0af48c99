/**
 * Who asks, as far as everything behind the door is concerned: an identity in Kubernetes' terms, how it is
 * known, and how far it holds. Made by `authentication/`, read by everything else in this folder.
 */

/** An identity as Kubernetes knows it (`authentication/v1` UserInfo). */
export interface User {
  readonly name: string
  /** With `system:authenticated`, or `system:unauthenticated` for the anonymous one. */
  readonly groups: readonly string[]
  readonly uid?: string
  readonly extra?: Readonly<Record<string, readonly string[]>>
}

/** How a viewer signed in. */
export const SIGN_IN_METHODS = ['OIDC', 'TOKEN_REVIEW', 'TOKEN', 'PROXY', 'ANONYMOUS'] as const
export type SignInMethod = (typeof SIGN_IN_METHODS)[number]

/**
 * A user who has signed in. One object for one sign-in, however many requests come with it: others keep what
 * they know of it in WeakMaps.
 */
export interface Viewer {
  readonly user: User
  readonly method: SignInMethod
  /** Who vouches: the URL of the OIDC issuer, the cluster that reviewed the token, the name of the static token. */
  readonly issuer: string | null
  /** Epoch milliseconds; `null`: it does not end by itself. */
  readonly expiresAt: number | null
  /** The bearer token that the viewer sent: for clusters that are sent it on. Never logged, never shown. */
  readonly token: string | null
  /**
   * Names of the clusters in which the identity means something; `null`: in all. A service account of one
   * cluster is a stranger in another, even where one of the same name exists.
   */
  readonly clusters: ReadonlySet<string> | null
  /** SHA-256, in hex, of the documents that may be sent; `null`: no such restriction. */
  readonly operations: ReadonlySet<string> | null
}

/**
 * Names the person or program, whichever of their tokens they show: of one issuer a name is one user's. Issuers of
 * different kinds may be called alike: a static token as a cluster.
 */
export function identityOf({ method, issuer, user }: Pick<Viewer, 'method' | 'issuer' | 'user'>): string {
  return JSON.stringify([method, issuer, user.name])
}

/** Why a sign-in ended before its viewer left. */
export interface SignInEnd {
  readonly code: 'EXPIRED' | 'REVOKED'
  /** A sentence for the viewer, at most 120 bytes: it has to fit into a close frame. */
  readonly message: string
}

/** A viewer of whom only the identity matters. */
export function viewerOf(user: User, about: Partial<Omit<Viewer, 'user'>> = {}): Viewer {
  return {
    method: 'ANONYMOUS',
    issuer: null,
    expiresAt: null,
    token: null,
    clusters: null,
    operations: null,
    ...about,
    user,
  }
}
