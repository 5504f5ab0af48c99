/**
 * Claims of a token made a user, by the rules of kube-apiserver's OIDC authenticator
 * (https://kubernetes.io/docs/reference/access-authn-authz/authentication/#openid-connect-tokens): whoever
 * signs in here and there with one token is one and the same.
 */
import type { User } from '../viewer.ts'
import { AuthenticationError } from './authenticator.ts'
import { foreignUser } from './identity.ts'

export interface ClaimMapping {
  readonly username: { readonly claim: string; readonly prefix: string }
  readonly groups?: { readonly claim: string; readonly prefix: string } | undefined
  readonly uidClaim?: string | undefined
  /** By key: the claim that holds the value or values. */
  readonly extra: Readonly<Record<string, string>>
  /** By claim: the value that it must have. */
  readonly requiredClaims: Readonly<Record<string, string>>
}

type Claims = Readonly<Record<string, unknown>>

/** Throws `AuthenticationError` (`UNAUTHENTICATED`). */
export function userOf(claims: Claims, mapping: ClaimMapping): User {
  for (const [claim, value] of Object.entries(mapping.requiredClaims)) {
    const actual = own(claims, claim)
    if (!isPlain(actual) || String(actual) !== value) {
      throw refused('The token lacks a claim that is required here.')
    }
  }
  const { username, groups, uidClaim, extra } = mapping
  return foreignUser({
    name: username.prefix + nameOf(claims, username.claim),
    groups: groups ? listOf(claims, groups.claim).map((group) => groups.prefix + group) : [],
    uid: uidClaim === undefined ? undefined : textOf(claims, uidClaim),
    extra: Object.fromEntries(
      Object.entries(extra)
        .map(([key, claim]) => [key.toLowerCase(), listOf(claims, claim)] as const)
        .filter(([, values]) => values.length > 0),
    ),
  })
}

function nameOf(claims: Claims, claim: string): string {
  const name = textOf(claims, claim)
  if (name === undefined) throw refused('The token names no user: the claim for it is missing.')
  const verified = own(claims, 'email_verified')
  // Some providers write the boolean as a string.
  if (claim === 'email' && verified !== undefined && verified !== true && verified !== 'true') {
    throw refused('The e-mail address of this user is not verified.')
  }
  return name
}

function textOf(claims: Claims, claim: string): string | undefined {
  const value = own(claims, claim)
  if (value === undefined || value === null || value === '') return undefined
  if (typeof value !== 'string') throw refused('A claim of the token is not a string.')
  return value
}

/** A string is a list of one. */
function listOf(claims: Claims, claim: string): string[] {
  const value = own(claims, claim)
  if (value === undefined || value === null) return []
  const values: readonly unknown[] = Array.isArray(value) ? value : [value]
  return values.flatMap((one) => {
    if (typeof one !== 'string') throw refused('A claim of the token is neither a string nor a list of them.')
    return one === '' ? [] : [one]
  })
}

/** Not `claims[name]`: a claim may be called `constructor` in the configuration, and be missing. */
function own(claims: Claims, name: string): unknown {
  return Object.hasOwn(claims, name) ? claims[name] : undefined
}

function isPlain(value: unknown): boolean {
  return typeof value === 'string' || typeof value === 'boolean' || typeof value === 'number'
}

function refused(message: string): AuthenticationError {
  return new AuthenticationError('UNAUTHENTICATED', message)
}
